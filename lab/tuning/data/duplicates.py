"""Sentences that appear in a file more than once: copies, contradictions, and leaks between its parts."""

import dataclasses
import shlex

import pandas as pd


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Which rows of a data set repeat one another, after folding case and blanks."""

    copies: list[tuple[int, ...]]  # Positions of each sentence that appears more than once with one label.
    contradictions: list[tuple[int, ...]]  # Positions of each sentence that appears with two labels or three.
    leaks: list[tuple[int, ...]]  # Positions of each sentence that appears in more than one part of the data.

    @property
    def repeats(self) -> int:
        """Rows that say again what another row says with the same label."""
        return sum(len(rows) - 1 for rows in self.copies)


def folded_sentences(sentences: pd.Series) -> pd.Series:
    """Sentences in small letters with single blanks: two that are equal then are copies."""
    return sentences.str.casefold().str.split().str.join(" ")


def duplicates(frame: pd.DataFrame) -> Duplicates:
    """Find the rows that repeat one another; `frame` has ``sentence``, ``label`` and ``split``."""
    keys = folded_sentences(frame["sentence"]).reset_index(drop=True)
    repeated = keys[keys.duplicated(keep=False)]
    labels, parts = frame["label"].tolist(), frame["split"].tolist()
    copies, contradictions, leaks = [], [], []
    for _, group in repeated.groupby(repeated, sort=False):
        rows = tuple(group.index)
        (contradictions if len({labels[row] for row in rows}) > 1 else copies).append(rows)
        if len({parts[row] for row in rows}) > 1:
            leaks.append(rows)
    return Duplicates(copies, contradictions, leaks)


def notice(frame: pd.DataFrame, rows: tuple[int, ...], name: str, source: str) -> list[str]:
    """One line with the counts, for the person who loads a file; nothing where every sentence appears once.

    `rows` says where each row stands in the file, and `source` how the audit is to be given it.
    """
    repeated = duplicates(frame)
    counted = []
    if repeated.contradictions:
        first = " and ".join(f"row {rows[place]}" for place in repeated.contradictions[0][:2])
        counted.append(f"{len(repeated.contradictions):,} with different labels (contradictions; the first: {first})")
    if repeated.copies:
        counted.append(f"{len(repeated.copies):,} with the same label (copies: {repeated.repeats:,})")
    if repeated.leaks:
        counted.append(f"{len(repeated.leaks):,} in more than one part of its split (leaks)")
    if not counted:
        return []
    total = len(repeated.contradictions) + len(repeated.copies)
    subject = "1 sentence appears" if total == 1 else f"{total:,} sentences appear"
    return [
        f"{name}: {subject} more than once, after folding case and blanks: {'; '.join(counted)}."
        f" To see them: python3 workshop.py audit {shlex.quote(source)}"
    ]
