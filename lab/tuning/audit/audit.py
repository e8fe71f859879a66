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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tuning import paths
from tuning.audit.damaged_signs import damaged
from tuning.audit.near_copies import NEAR, near_pairs
from tuning.command import one_line_errors
from tuning.data.duplicates import duplicates
from tuning.data.labels import LABELS
from tuning.data.loading import PARTS, Data, label_counts, load
from tuning.data.splits import part_of_each
from tuning.data.words import SIGNS, token_pattern

SAMPLE = 900
# Enough for a mean length to a tenth of a token.
TOKENISED = 5_000
SEED = 0
FOLDS = 5
# Rows shown of each kind, and of the labels that look wrong.
SHOWN, DOUBTFUL = 3, 10
LETTERS_SHOWN = 100
CARD = paths.DATA / "README.md"
DOUBLE_LABELLING = paths.DATA / "double_labelling.csv"
CARD_MARKS = ("<!-- audit: begin -->", "<!-- audit: end -->")
WORD = re.compile(r"[a-z]+(?:['\u2019-][a-z]+)*")
STEPS = (
    "copies",
    "near pairs",
    "words",
    "tokens",
    "linear model",
    *(f"labels, part {fold + 1}" for fold in range(FOLDS)),
)


@dataclasses.dataclass(frozen=True)
class Audit:
    """What the audit found; `as_dict` gives it as plain data, `text` as a page to read.

    Counts are of all rows; of each kind a few rows are shown, as lines of text that begin with their place in the file.
    """

    name: str
    sizes: dict[str, int]
    labels: dict[str, int]
    tags: dict[str, dict[str, int]]
    contradictions: int
    exact_duplicates: int
    near_duplicates: int
    leaks: int
    near_leaks: int
    damaged: dict[str, int]
    shown: dict[str, list[str]]
    most_used_frame: tuple[int, str]
    mean_tokens: float | None
    mean_words: float
    longest: str
    distinct_words: int
    words_in_sample: int
    with_digit: float
    one_word: list[tuple[str, str, float]]
    linear_accuracy: float
    linear_f1: float
    majority_accuracy: float
    doubtful: int
    suspicious: list[tuple[float, str, str]]

    def as_dict(self) -> dict[str, Any]:
        """All findings as plain data."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """The findings as lines for people."""
        return "\n".join(_lines(self))


def audit(data: Data, on_step: Callable[[str], None] = lambda step: None) -> Audit:
    """Audit a data set.

    The work grows in proportion to the sentences: no step compares all of them with one another.

    Parameters
    ----------
    data : Data
        A checked data set.
    on_step : callable
        Called with a few words at the beginning of each of `STEPS`.

    Returns
    -------
    Audit
    """
    steps = iter(STEPS)

    def begin() -> None:
        on_step(next(steps))

    begin()
    frame = data.frame.assign(split=part_of_each(data))
    sentences, parts = frame["sentence"].tolist(), frame["split"].to_numpy()
    place = _Places(data, frame)
    repeated = duplicates(frame)
    begin()
    pairs, cosines = near_pairs(sentences)
    across = parts[pairs[:, 0]] != parts[pairs[:, 1]]
    leaks_first = np.argsort(~across, kind="stable")[:SHOWN]
    begin()
    signs = damaged(sentences)
    frames = collections.Counter(map(masked, sentences))
    most_used, times = frames.most_common(1)[0]
    lengths = [len(sentence.split()) for sentence in sentences]
    longest = max(range(len(sentences)), key=lambda row: len(sentences[row]))
    # The order that the card was written in decides which sentences are drawn.
    in_parts = pd.concat([frame[frame["split"] == part] for part in PARTS])
    sample = in_parts.sample(min(SAMPLE, len(frame)), random_state=SEED)["sentence"]
    rules = one_word_rules(frame)
    begin()
    mean_tokens = _mean_tokens(frame["sentence"].sample(min(TOKENISED, len(frame)), random_state=SEED).tolist())
    begin()
    train, validation = frame[frame["split"] == "train"], frame[frame["split"] == "validation"]
    with threadpool_limits(1, user_api="blas"):
        # Threads that wait for a core which another program keeps busy made this fifty times slower.
        linear = _linear_model(token_pattern(sentences)).fit(train["sentence"], train["label"])
        guessed = linear.predict(validation["sentence"])
        chances = _chances(frame, begin)
    doubtful, suspicious = _doubtful(frame, chances, place)
    return Audit(
        name=data.path.name,
        sizes={"all": len(frame)} | {part: int((parts == part).sum()) for part in PARTS},
        labels=label_counts(frame),
        tags={tag: in_parts[tag].value_counts().to_dict() for tag in ("topic", "style", "phenomenon") if tag in frame},
        contradictions=len(repeated.contradictions),
        exact_duplicates=repeated.repeats,
        near_duplicates=len(pairs),
        leaks=len(repeated.leaks),
        near_leaks=int(across.sum()),
        damaged={kind: len(rows) for kind, rows in signs.items()},
        shown={
            "leaks": [place.of(rows, with_part=True) for rows in repeated.leaks[:SHOWN]],
            "contradictions": [place.of(rows) for rows in repeated.contradictions[:SHOWN]],
            "copies": [place.of(rows) for rows in repeated.copies[:SHOWN]],
            "near pairs": [f"{cosines[at]:.2f} {place.pair(pairs[at], bool(across[at]))}" for at in leaks_first],
            **{
                kind: [place.of((row,), at=at) for row, at in list(rows.items())[:SHOWN]]
                for kind, rows in signs.items()
            },
        },
        most_used_frame=(times, most_used),
        mean_tokens=mean_tokens,
        mean_words=float(np.mean(lengths)),
        longest=f"{lengths[longest]:,} words, {len(sentences[longest]):,} characters, {place.of((longest,))}",
        distinct_words=_distinct_words(sentences),
        words_in_sample=_distinct_words(sample),
        with_digit=float(frame["sentence"].str.contains(r"\d").mean()),
        one_word=rules,
        linear_accuracy=float(accuracy_score(validation["label"], guessed)),
        linear_f1=float(f1_score(validation["label"], guessed, average="macro")),
        majority_accuracy=max(label_counts(validation).values()) / len(validation),
        doubtful=doubtful,
        suspicious=suspicious,
    )


@dataclasses.dataclass(frozen=True)
class _Places:
    """Names rows for people: where they stand in the file, with label and text."""

    data: Data
    frame: pd.DataFrame

    def row(self, position: int, with_part: bool = False) -> str:
        number = self.data.rows[position] if self.data.rows else position + 1
        part = f"{self.frame['split'].iloc[position]}, " if with_part else ""
        return f"row {number} ({part}{self.frame['label'].iloc[position]})"

    def of(self, positions: tuple[int, ...], with_part: bool = False, at: int = 0) -> str:
        rows = ", ".join(self.row(position, with_part) for position in positions[:SHOWN])
        return f"{rows}: {self.text(positions[0], at)}"

    def pair(self, positions: np.ndarray, with_part: bool) -> str:
        rows = (f"{self.row(int(position), with_part)}: {self.text(int(position))}" for position in positions)
        return " <> ".join(rows)

    def text(self, position: int, at: int = 0) -> str:
        sentence = self.frame["sentence"].iloc[position]
        start = max(at - LETTERS_SHOWN // 2, 0)
        shown = " ".join(sentence[start : start + LETTERS_SHOWN].split())
        return "\u2026" * (start > 0) + shown + "\u2026" * (len(sentence) > start + LETTERS_SHOWN)


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
    signs = token_pattern(frame["sentence"]) == SIGNS
    vectorizer = CountVectorizer(binary=True, token_pattern=SIGNS if signs else "(?u)\\b\\w[\\w'\\u2019-]*\\b")
    present = vectorizer.fit_transform(frame["sentence"])
    counts = np.stack([present[(frame["label"] == label).to_numpy()].sum(axis=0) for label in LABELS]).reshape(3, -1)
    top = int(np.argmax(list(label_counts(frame).values())))
    gains = counts - counts[top]
    words = vectorizer.get_feature_names_out()
    best = [(int(gains[row, column]), row, column) for row, column in np.argwhere(gains > 0)]
    base = label_counts(frame)[LABELS[top]]
    best.sort(key=lambda rule: (-rule[0], words[rule[2]]))
    return [(str(words[column]), LABELS[row], (base + gain) / len(frame)) for gain, row, column in best[:most]]


def _chances(frame: pd.DataFrame, begin: Callable[[], None]) -> np.ndarray:
    """Probability of each label for each row, from a linear model that was trained on other rows.

    Returns
    -------
    numpy.ndarray of shape (rows, labels)
    """
    counts = CountVectorizer(token_pattern=token_pattern(frame["sentence"])).fit_transform(frame["sentence"])
    labels = frame["label"].to_numpy()
    chances = np.zeros((len(frame), len(LABELS)))
    for others, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(counts, labels):
        begin()
        model = make_pipeline(TfidfTransformer(), LogisticRegression(max_iter=1000)).fit(counts[others], labels[others])
        # Columns in the order of the sorted labels, which is that of LABELS.
        chances[held_out] = model.predict_proba(counts[held_out])
    return chances


def _doubtful(frame: pd.DataFrame, chances: np.ndarray, place: _Places) -> tuple[int, list[tuple[float, str, str]]]:
    """Rows whose label such a model would change.

    Returns
    -------
    count : int
        All of them.
    rows : list of (float, str, str)
        Probability given to the label, the label it would give, and the row; the least likely first.
    """
    codes = np.array([LABELS.index(label) for label in frame["label"]])
    given = chances[np.arange(len(frame)), codes]
    differs = np.flatnonzero(chances.argmax(axis=1) != codes)
    worst = differs[np.argsort(given[differs], kind="stable")][:DOUBTFUL]
    return len(differs), [
        (float(given[row]), LABELS[int(chances[row].argmax())], place.of((int(row),))) for row in worst
    ]


def double_labelling() -> pd.DataFrame:
    """How often the two labelling passes over the bundled sentences gave which pair of labels.

    Returns
    -------
    pandas.DataFrame of shape (labels, labels)
        Rows: first pass; columns: second pass; in the order of ``tuning.data.loading.LABELS``.
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


def _linear_model(pattern: str) -> Pipeline:
    """TF-IDF of single words and logistic regression, both as scikit-learn sets them by default."""
    return make_pipeline(TfidfVectorizer(token_pattern=pattern), LogisticRegression(max_iter=1000))


def _distinct_words(sentences: Any) -> int:
    return len({word for sentence in sentences for word in WORD.findall(sentence.casefold())})


def _mean_tokens(sentences: list[str]) -> float | None:
    """Mean length in the pieces of the embedded encoder's tokenizer; None where that is not installed."""
    import importlib.util

    from tuning.encoder.finding import EMBEDDED_PACKAGE

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


def _lines(found: Audit) -> Iterator[str]:
    total = found.sizes["all"]
    tokens = "" if found.mean_tokens is None else f", {found.mean_tokens:.1f} tokens"
    yield (
        f"{found.name}: {total} sentences (train {found.sizes['train']}, validation {found.sizes['validation']},"
        f" test {found.sizes['test']})"
    )
    yield f"Labels: {_counts(found.labels, total)}"
    yield from (f"{tag.capitalize()}: {_counts(counts, total)}" for tag, counts in found.tags.items())
    headings = {
        "leaks": f"Leaks: {found.leaks} sentences appear in more than one part",
        "contradictions": f"Contradictions: {found.contradictions} sentences have different labels",
        "copies": f"Copies: {found.exact_duplicates} exact, with the same label, after folding case and blanks",
        "near pairs": f"Near pairs (cosine {NEAR} or more): {found.near_duplicates}, {found.near_leaks} of them across"
        " the split",
        **{f"{kind}": f"Damaged signs, {kind}: in {count} sentences" for kind, count in found.damaged.items()},
    }
    for kind, heading in headings.items():
        yield heading
        yield from (f"  {line}" for line in found.shown[kind])
    if not found.damaged:
        yield "Damaged signs: none"
    yield f"Length: {found.mean_words:.1f} words{tokens} on average; {found.with_digit:.0%} hold a digit"
    yield f"Longest: {found.longest}"
    yield f"Vocabulary: {found.distinct_words} words, {found.words_in_sample} in {min(SAMPLE, total)} sentences"
    yield f"Most used frame, names and numbers masked: {found.most_used_frame[0]} times: {found.most_used_frame[1]}"
    yield f"Lazy rules on all rows, against {max(found.labels.values()) / total:.3f} for the majority:"
    yield from (f"  if {word!r} then {label}: {accuracy:.3f}" for word, label, accuracy in found.one_word)
    yield (
        f"TF-IDF and logistic regression on validation: accuracy {found.linear_accuracy:.3f}, macro-F1"
        f" {found.linear_f1:.3f} (majority {found.majority_accuracy:.3f})"
    )
    yield (
        f"Labels that such a model, trained on other rows, would change: {found.doubtful}. Read these first; often the"
        " model is wrong:"
    )
    yield from (f"  {chance:.3f}, it says {other}: {row}" for chance, other, row in found.suspicious)


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
        (f"near pairs (cosine {NEAR} or more)", str(found.near_duplicates), "", "", ""),
        ("near pairs across the split", str(found.near_leaks), "", "", ""),
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


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py audit``."""
    parser = argparse.ArgumentParser(prog="workshop.py audit", description=__doc__.splitlines()[0])
    parser.add_argument("csv", nargs="?", default="bundled", help="a CSV of your own (default: the bundled sentences)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--card", action="store_true", help="write the table of the data card (bundled sentences)")
    options = parser.parse_args(argv)
    data = load(options.csv)
    with tqdm(total=len(STEPS), leave=False, bar_format="{desc:16} {bar:30} {elapsed}") as bar:

        def show(step: str) -> None:
            bar.set_description_str(step)
            bar.update()

        found = audit(data, show)
    print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False) if options.json else found.text())
    if options.card:
        write_card(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
