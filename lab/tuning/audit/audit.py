"""Look at a labelled CSV before anybody trains on it: ``python3 workshop.py audit [CSV]``.

What is in it, what is in it twice, what leaks from train into validation, how far a lazy rule gets, and which labels
look wrong. It works on the bundled sentences and on a file of your own, and needs no torch.
"""

import argparse
import collections
import dataclasses
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tuning.audit.damaged_signs import damaged
from tuning.audit.findings import SAMPLE, Audit
from tuning.audit.near_copies import near_pairs
from tuning.command import one_line_errors
from tuning.data.duplicates import duplicates
from tuning.data.labels import LABELS
from tuning.data.loading import PARTS, Data, label_counts, load
from tuning.data.splits import part_of_each
from tuning.data.words import SIGNS, token_pattern
from tuning.encoder.finding import embedded_folder, token_lengths

# Enough for a mean length to a tenth of a token.
TOKENISED = 5_000
SEED = 0
FOLDS = 5
# Rows shown of each kind, and of the labels that look wrong.
SHOWN, DOUBTFUL = 3, 10
LETTERS_SHOWN = 100
WORD = re.compile(r"[a-z]+(?:['\u2019-][a-z]+)*")
STEPS = (
    "copies",
    "near pairs",
    "words",
    "tokens",
    "linear model",
    *(f"labels, part {fold + 1}" for fold in range(FOLDS)),
)


def audit(data: Data, on_step: Callable[[str], None] = lambda step: None) -> Audit:
    """Audit a data set; `on_step` hears of each of `STEPS`. The work grows in proportion to the sentences."""
    steps = map(on_step, STEPS)
    next(steps)
    frame = data.frame.assign(split=part_of_each(data))
    sentences, parts = frame["sentence"].tolist(), frame["split"].to_numpy()
    place = _Places(data, frame)
    repeated = duplicates(frame)
    next(steps)
    pairs, cosines = near_pairs(sentences)
    across = parts[pairs[:, 0]] != parts[pairs[:, 1]]
    leaks_first = np.argsort(~across, kind="stable")[:SHOWN]
    next(steps)
    signs = damaged(sentences)
    frames = collections.Counter(map(masked, sentences))
    most_used, times = frames.most_common(1)[0]
    lengths = [len(sentence.split()) for sentence in sentences]
    longest = max(range(len(sentences)), key=lambda row: len(sentences[row]))
    # The order that the card was written in decides which sentences are drawn.
    in_parts = pd.concat([frame[frame["split"] == part] for part in PARTS])
    sample = in_parts.sample(min(SAMPLE, len(frame)), random_state=SEED)["sentence"]
    rules = one_word_rules(frame)
    next(steps)
    mean_tokens = _mean_tokens(frame["sentence"].sample(min(TOKENISED, len(frame)), random_state=SEED).tolist())
    next(steps)
    train, validation = frame[frame["split"] == "train"], frame[frame["split"] == "validation"]
    with threadpool_limits(1, user_api="blas"):
        # Threads that wait for a core which another program keeps busy made this fifty times slower.
        vectorizer = TfidfVectorizer(token_pattern=token_pattern(sentences))
        linear = make_pipeline(vectorizer, LogisticRegression(max_iter=1000)).fit(train["sentence"], train["label"])
        guessed = linear.predict(validation["sentence"])
        chances = _probabilities(frame, steps)
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

    Each is the word, the label and the rule's accuracy on all rows, the best first.
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


def _probabilities(frame: pd.DataFrame, steps: Iterator[None]) -> np.ndarray:
    """Probability of each label for each row, shape (rows, labels), from a linear model trained on other rows."""
    counts = CountVectorizer(token_pattern=token_pattern(frame["sentence"])).fit_transform(frame["sentence"])
    labels = frame["label"].to_numpy()
    chances = np.zeros((len(frame), len(LABELS)))
    for others, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(counts, labels):
        next(steps)
        model = make_pipeline(TfidfTransformer(), LogisticRegression(max_iter=1000)).fit(counts[others], labels[others])
        # Columns in the order of the sorted labels, which is that of LABELS.
        chances[held_out] = model.predict_proba(counts[held_out])
    return chances


def _doubtful(frame: pd.DataFrame, chances: np.ndarray, place: _Places) -> tuple[int, list[tuple[float, str, str]]]:
    """How many labels such a model would change; of the least likely: probability, the label it would give, and row."""
    codes = np.array([LABELS.index(label) for label in frame["label"]])
    given = chances[np.arange(len(frame)), codes]
    differs = np.flatnonzero(chances.argmax(axis=1) != codes)
    worst = differs[np.argsort(given[differs], kind="stable")][:DOUBTFUL]
    return len(differs), [
        (float(given[row]), LABELS[int(chances[row].argmax())], place.of((int(row),))) for row in worst
    ]


def _distinct_words(sentences: Any) -> int:
    return len({word for sentence in sentences for word in WORD.findall(sentence.casefold())})


def _mean_tokens(sentences: list[str]) -> float | None:
    """Mean length in the pieces of the embedded encoder's tokenizer; None where that is not installed."""
    folder = embedded_folder()
    if folder is None or importlib.util.find_spec("tokenizers") is None:
        return None
    return float(np.mean(token_lengths(folder, sentences)))


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py audit``."""
    parser = argparse.ArgumentParser(prog="workshop.py audit", description=__doc__.splitlines()[0])
    parser.add_argument("csv", nargs="?", default="bundled", help="a CSV of your own (default: the bundled sentences)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options = parser.parse_args(argv)
    data = load(options.csv)
    with tqdm(total=len(STEPS), leave=False, bar_format="{desc:16} {bar:30} {elapsed}") as bar:

        def show(step: str) -> None:
            bar.set_description_str(step)
            bar.update()

        findings = audit(data, show)
    print(json.dumps(findings.as_dict(), indent=1, ensure_ascii=False) if options.json else findings.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
