"""Look at a labelled CSV before anybody trains on it: ``python3 workshop.py audit [CSV]``.

What is in it, what is in it twice, what leaks from train into validation, how far a lazy rule gets, and which labels
look wrong. It works on the bundled sentences and on a file of your own, and needs no torch.
"""

import argparse
import collections
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from tuning import folders
from tuning.data import LABELS, PARTS, Data, label_counts, load, split
from tuning.errors import WorkshopError

NEAR = 0.8
SAMPLE = 900
SEED = 0
CARD = folders.DATA / "README.md"
DOUBLE_LABELLING = folders.DATA / "double_labelling.csv"
CARD_MARKS = ("<!-- audit: begin -->", "<!-- audit: end -->")
WORD = re.compile(r"[a-z]+(?:['\u2019-][a-z]+)*")


@dataclasses.dataclass(frozen=True)
class Audit:
    """What the audit found; `as_dict` gives it as plain data, `text` as a page to read."""

    name: str
    sizes: dict[str, int]
    labels: dict[str, int]
    tags: dict[str, dict[str, int]]
    exact_duplicates: int
    near_duplicates: list[tuple[float, str, str]]
    leaks: int
    most_used_frame: tuple[int, str]
    mean_tokens: float | None
    mean_words: float
    distinct_words: int
    words_in_sample: int
    with_digit: float
    one_word: list[tuple[str, str, float]]
    linear_accuracy: float
    linear_f1: float
    majority_accuracy: float
    suspicious: list[tuple[float, str, str, str]]

    def as_dict(self) -> dict[str, Any]:
        """All findings as plain data."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """The findings as lines for people."""
        return "\n".join(_lines(self))


def audit(data: Data) -> Audit:
    """Audit a data set.

    Parameters
    ----------
    data : Data
        A checked data set.

    Returns
    -------
    Audit
    """
    parts = split(data)
    frame = pd.concat(getattr(parts, part).assign(split=part) for part in PARTS).reset_index(drop=True)
    sentences = frame["sentence"].tolist()
    pairs = near_pairs(sentences)
    frames = collections.Counter(map(masked, sentences))
    most_used, times = frames.most_common(1)[0]
    linear = _linear_model().fit(parts.train["sentence"], parts.train["label"])
    guessed = linear.predict(parts.validation["sentence"])
    sample = frame.sample(min(SAMPLE, len(frame)), random_state=SEED)["sentence"]
    return Audit(
        name=data.path.name,
        sizes={"all": len(frame)} | parts.sizes(),
        labels=label_counts(frame),
        tags={tag: frame[tag].value_counts().to_dict() for tag in ("topic", "style", "phenomenon") if tag in frame},
        exact_duplicates=int(frame["sentence"].str.casefold().duplicated().sum()),
        near_duplicates=[(cosine, sentences[one], sentences[two]) for one, two, cosine in pairs if cosine >= NEAR],
        leaks=sum(frame["split"][one] != frame["split"][two] for one, two, cosine in pairs if cosine >= NEAR),
        most_used_frame=(times, most_used),
        mean_tokens=_mean_tokens(sentences),
        mean_words=float(np.mean([len(sentence.split()) for sentence in sentences])),
        distinct_words=_distinct_words(sentences),
        words_in_sample=_distinct_words(sample),
        with_digit=float(frame["sentence"].str.contains(r"\d").mean()),
        one_word=one_word_rules(frame),
        linear_accuracy=float(accuracy_score(parts.validation["label"], guessed)),
        linear_f1=float(f1_score(parts.validation["label"], guessed, average="macro")),
        majority_accuracy=max(label_counts(parts.validation).values()) / len(parts.validation),
        suspicious=suspicious_labels(frame),
    )


def near_pairs(sentences: list[str], at_least: float = NEAR) -> list[tuple[int, int, float]]:
    """Pairs of sentences that share most of their letters.

    Parameters
    ----------
    sentences : list of str
    at_least : float
        Cosine similarity of the TF-IDF vectors of their character 3- to 5-grams.

    Returns
    -------
    list of (int, int, float)
        Positions of the two and their cosine, the nearest first.
    """
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(3, 5), dtype=np.float32).fit_transform(sentences)
    found = []
    for start in range(0, len(sentences), 500):
        block = sparse.coo_array(vectors[start : start + 500] @ vectors.T)
        near = block.data >= at_least
        rows, columns = block.coords[0][near] + start, block.coords[1][near]
        pairs = zip(rows, columns, block.data[near], strict=True)
        found += [(int(one), int(two), float(cosine)) for one, two, cosine in pairs if one < two]
    return sorted(found, key=lambda pair: -pair[2])


def masked(sentence: str) -> str:
    """The frame of a sentence: numbers become N, words with a capital inside the sentence become X."""
    words = sentence.split()
    return " ".join(
        "N" if re.search(r"\d", word) else "X" if place and word[:1].isupper() else word.casefold()
        for place, word in enumerate(words)
    )


def one_word_rules(frame: pd.DataFrame, most: int = 8) -> list[tuple[str, str, float]]:
    """The best rules of the kind "if this word is there say this label, else say the majority".

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``sentence`` and ``label``.
    most : int
        How many rules.

    Returns
    -------
    list of (str, str, float)
        Word, label and the accuracy of the rule on all rows, the best first.
    """
    vectorizer = CountVectorizer(binary=True, token_pattern="(?u)\\b\\w[\\w'\u2019-]*\\b")
    present = vectorizer.fit_transform(frame["sentence"])
    counts = np.stack([present[(frame["label"] == label).to_numpy()].sum(axis=0) for label in LABELS]).reshape(3, -1)
    top = int(np.argmax(list(label_counts(frame).values())))
    gains = counts - counts[top]
    words = vectorizer.get_feature_names_out()
    best = [(int(gains[row, column]), row, column) for row, column in np.argwhere(gains > 0)]
    base = label_counts(frame)[LABELS[top]]
    best.sort(key=lambda rule: (-rule[0], words[rule[2]]))
    return [(str(words[column]), LABELS[row], (base + gain) / len(frame)) for gain, row, column in best[:most]]


def suspicious_labels(frame: pd.DataFrame, most: int = 10) -> list[tuple[float, str, str, str]]:
    """Rows whose label a linear model, trained on the other rows, finds least likely.

    Returns
    -------
    list of (float, str, str, str)
        Probability given to the label, the label, the label it would give, and the sentence; the least likely first.
    """
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    chances = cross_val_predict(
        _linear_model(), frame["sentence"], frame["label"], cv=folds, method="predict_proba"
    )  # columns in the order of the sorted labels, which is that of LABELS
    given = chances[np.arange(len(frame)), [LABELS.index(label) for label in frame["label"]]]
    worst = np.argsort(given, kind="stable")[:most]
    return [
        (float(given[row]), frame["label"][row], LABELS[int(chances[row].argmax())], frame["sentence"][row])
        for row in worst
    ]


def double_labelling() -> pd.DataFrame:
    """How often the two labelling passes over the bundled sentences gave which pair of labels.

    Returns
    -------
    pandas.DataFrame of shape (labels, labels)
        Rows: first pass; columns: second pass; in the order of ``tuning.data.LABELS``.
    """
    table = pd.read_csv(DOUBLE_LABELLING).pivot_table("sentences", "first", "second", fill_value=0)
    return table.loc[list(LABELS), list(LABELS)].astype(int)


def kappa(table: np.ndarray) -> float:
    """Cohen's kappa of two labelling passes: agreement beyond what their label shares give by chance.

    Parameters
    ----------
    table : numpy.ndarray of shape (labels, labels)
        Counts.

    References
    ----------
    Cohen (1960), A coefficient of agreement for nominal scales.
    """
    shares = table / table.sum()
    by_chance = shares.sum(axis=0) @ shares.sum(axis=1)
    return float((np.trace(shares) - by_chance) / (1 - by_chance))


def _linear_model() -> Pipeline:
    """TF-IDF of single words and logistic regression, both as scikit-learn sets them by default."""
    return make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))


def _distinct_words(sentences: Any) -> int:
    return len({word for sentence in sentences for word in WORD.findall(sentence.casefold())})


def _mean_tokens(sentences: list[str]) -> float | None:
    """Mean length in the pieces of the embedded encoder's tokenizer; None where that is not installed."""
    import importlib.util

    from tuning.encoder import EMBEDDED_PACKAGE

    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations or importlib.util.find_spec("tokenizers") is None:
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return float(np.mean([len(encoded.ids) for encoded in tokenizer.encode_batch(sentences)]))


def _counts(counts: dict[str, int], total: int) -> str:
    return ", ".join(f"{name} {count} ({count / total:.0%})" for name, count in counts.items())


def _lines(found: Audit) -> list[str]:
    total = found.sizes["all"]
    tokens = "" if found.mean_tokens is None else f", {found.mean_tokens:.1f} tokens"
    lines = [
        f"{found.name}: {total} sentences (train {found.sizes['train']}, validation {found.sizes['validation']},"
        f" test {found.sizes['test']})",
        f"Labels: {_counts(found.labels, total)}",
        *(f"{tag.capitalize()}: {_counts(counts, total)}" for tag, counts in found.tags.items()),
        f"Length: {found.mean_words:.1f} words{tokens} on average; {found.with_digit:.0%} hold a digit",
        f"Vocabulary: {found.distinct_words} words, {found.words_in_sample} in {min(SAMPLE, total)} sentences",
        f"Copies: {found.exact_duplicates} exact, {len(found.near_duplicates)} near pairs (cosine {NEAR} or more),"
        f" {found.leaks} of them across the split",
        f"Most used frame, names and numbers masked: {found.most_used_frame[0]} times: {found.most_used_frame[1]}",
        f"Lazy rules on all rows, against {found.labels and max(found.labels.values()) / total:.3f} for the majority:",
        *(f"  if {word!r} then {label}: {accuracy:.3f}" for word, label, accuracy in found.one_word),
        f"TF-IDF and logistic regression on validation: accuracy {found.linear_accuracy:.3f}, macro-F1"
        f" {found.linear_f1:.3f} (majority {found.majority_accuracy:.3f})",
        "Labels that look wrong to that model (read them; often the model is wrong):",
        *(
            f"  {chance:.3f} {label}, it says {other}: {sentence}"
            for chance, label, other, sentence in found.suspicious
        ),
    ]
    return lines + [f"  near: {cosine:.2f} {one} <> {two}" for cosine, one, two in found.near_duplicates[:10]]


def card_table(found: Audit) -> str:
    """The data card's table, in Markdown: these sentences beside published figures of real text."""
    total = found.sizes["all"]
    shares = " / ".join(f"{found.labels[label] / total:.0%}" for label in ("neutral", "positive", "negative"))
    rows = [
        ("", "these sentences", "PhraseBank", "financial tweets", "headlines (SEntFiN)"),
        ("sentences", f"{total:,}", "4,846", "", ""),
        ("train / validation / test", " / ".join(f"{found.sizes[part]:,}" for part in PARTS), "", "", ""),
        ("neutral / positive / negative", shares, "59% / 28% / 13%", "", ""),
        ("tokens per sentence, mean", f"{found.mean_tokens:.1f}", "30.6", "27.9", "16.2"),
        ("different words in 900 sentences", f"{found.words_in_sample:,}", "3,700", "4,400", "2,550"),
        ("different words in all", f"{found.distinct_words:,}", "", "", ""),
        ("sentences with a digit", f"{found.with_digit:.0%}", "53%", "65%", "45%"),
        ("exact copies", str(found.exact_duplicates), "", "", ""),
        (f"near pairs (cosine {NEAR} or more)", str(len(found.near_duplicates)), "", "", ""),
        ("near pairs across the split", str(found.leaks), "", "", ""),
        ("uses of the most frequent frame", str(found.most_used_frame[0]), "", "", ""),
        ("always say the majority", f"{found.majority_accuracy:.3f}", "", "", ""),
        (f"best one-word rule (“{found.one_word[0][0]}”)", f"{found.one_word[0][2]:.3f}", "", "", ""),
        ("TF-IDF + logistic regression, accuracy", f"{found.linear_accuracy:.3f}", "", "", ""),
        ("TF-IDF + logistic regression, macro-F1", f"{found.linear_f1:.3f}", "", "", ""),
    ]
    twice = double_labelling().to_numpy()
    rows += [
        ("sentences labelled twice", f"{twice.sum():,}", "", "", ""),
        ("passes that disagreed (dropped)", str(twice.sum() - np.trace(twice)), "", "", ""),
        ("Cohen's kappa of the two passes", f"{kappa(twice):.3f}", "", "", ""),
    ]
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    lines = [head, "|---|---|---|---|---|", *body, ""]
    for tag in ("phenomenon", "style", "topic"):
        if tag in found.tags:
            told = ", ".join(f"{name} {count}" for name, count in found.tags[tag].items())
            lines.append(f"- {tag.capitalize()}: {told}.")
    return "\n".join(lines)


def write_card(found: Audit, card: Path = CARD) -> None:
    """Put the table into the data card, between its marks."""
    text = card.read_text(encoding="utf-8")
    before, _, rest = text.partition(CARD_MARKS[0])
    _, _, after = rest.partition(CARD_MARKS[1])
    new = f"{before}{CARD_MARKS[0]}\n{card_table(found)}\n{CARD_MARKS[1]}{after}"
    card.write_text(new, encoding="utf-8", newline="\n")


def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py audit``."""
    parser = argparse.ArgumentParser(prog="workshop.py audit", description=__doc__.splitlines()[0])
    parser.add_argument("csv", nargs="?", default="bundled", help="a CSV of your own (default: the bundled sentences)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--card", action="store_true", help="write the table of the data card (bundled sentences)")
    options = parser.parse_args(argv)
    try:
        found = audit(load(options.csv))
    except WorkshopError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False) if options.json else found.text())
    if options.card:
        write_card(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
