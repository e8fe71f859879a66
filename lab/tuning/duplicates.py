"""Sentences that stand in a file more than once: copies, contradictions, and leaks between its parts."""

import dataclasses

import pandas as pd


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Which rows of a data set repeat one another, after folding case and blanks.

    Attributes
    ----------
    copies : list of tuple of int
        Positions of each sentence that stands there more than once with one label.
    contradictions : list of tuple of int
        Positions of each sentence that stands there with two labels or three.
    leaks : list of tuple of int
        Positions of each sentence that stands in more than one part of the data.
    """

    copies: list[tuple[int, ...]]
    contradictions: list[tuple[int, ...]]
    leaks: list[tuple[int, ...]]

    @property
    def repeats(self) -> int:
        """Rows that say again what another row says with the same label."""
        return sum(len(rows) - 1 for rows in self.copies)


def folded_sentences(sentences: pd.Series) -> pd.Series:
    """Sentences in small letters with single blanks: two that are equal then are copies."""
    return sentences.str.casefold().str.split().str.join(" ")


def duplicates(frame: pd.DataFrame) -> Duplicates:
    """Find the rows that repeat one another.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``sentence``, ``label`` and ``split`` (None where there are no parts).

    Returns
    -------
    Duplicates
    """
    keys = folded_sentences(frame["sentence"]).reset_index(drop=True)
    twice = keys[keys.duplicated(keep=False)]
    labels, parts = frame["label"].tolist(), frame["split"].tolist()
    found = Duplicates([], [], [])
    for _, group in twice.groupby(twice, sort=False):
        rows = tuple(group.index)
        several = len({labels[row] for row in rows}) > 1
        (found.contradictions if several else found.copies).append(rows)
        if len({parts[row] for row in rows}) > 1:
            found.leaks.append(rows)
    return found


def notice(frame: pd.DataFrame, rows: tuple[int, ...], name: str) -> list[str]:
    """One line with the counts for whoever loads the file; nothing where no sentence stands there twice."""
    found = duplicates(frame)
    counted = []
    if found.contradictions:
        first = " and ".join(f"row {rows[place]}" for place in found.contradictions[0][:2])
        counted.append(f"{len(found.contradictions):,} with different labels (contradictions; the first: {first})")
    if found.copies:
        counted.append(f"{len(found.copies):,} with the same label (copies: {found.repeats:,})")
    if found.leaks:
        counted.append(f"{len(found.leaks):,} in more than one part of its split (leaks)")
    if not counted:
        return []
    total = len(found.contradictions) + len(found.copies)
    subject = "1 sentence stands" if total == 1 else f"{total:,} sentences stand"
    return [
        f"{name}: {subject} there more than once, after folding case and blanks: {'; '.join(counted)}."
        f" To see them: python3 workshop.py audit {name}"
    ]
