"""The data card's table, and the two labelling passes over the bundled sentences: ``workshop.py audit --card``."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tuning import paths
from tuning.audit.audit import audit
from tuning.audit.findings import Audit
from tuning.audit.near_copies import NEAR
from tuning.command import one_line_errors
from tuning.data.labels import LABELS
from tuning.data.loading import PARTS, load

CARD = paths.DATA / "README.md"
DOUBLE_LABELLING = paths.DATA / "double_labelling.csv"
CARD_MARKS = ("<!-- audit: begin -->", "<!-- audit: end -->")


def double_labelling() -> pd.DataFrame:
    """How often the two labelling passes over the bundled sentences gave which pair of labels.

    Returns
    -------
    pandas.DataFrame of shape (labels, labels)
        Rows: first pass; columns: second pass; in the order of `LABELS`.
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


def card_table(findings: Audit) -> str:
    """The data card's table, in Markdown: these sentences beside published figures of real text."""
    total = findings.sizes["all"]
    shares = " / ".join(f"{findings.labels[label] / total:.0%}" for label in ("neutral", "positive", "negative"))
    rows = [
        ("", "these sentences", "PhraseBank", "financial tweets", "headlines (SEntFiN)"),
        ("sentences", f"{total:,}", "4,846", "", ""),
        ("train / validation / test", " / ".join(f"{findings.sizes[part]:,}" for part in PARTS), "", "", ""),
        ("neutral / positive / negative", shares, "59% / 28% / 13%", "", ""),
        ("tokens per sentence, mean", f"{findings.mean_tokens:.1f}", "30.6", "27.9", "16.2"),
        ("different words in 900 sentences", f"{findings.words_in_sample:,}", "3,700", "4,400", "2,550"),
        ("different words in all", f"{findings.distinct_words:,}", "", "", ""),
        ("sentences with a digit", f"{findings.with_digit:.0%}", "53%", "65%", "45%"),
        ("exact copies", str(findings.exact_duplicates), "", "", ""),
        (f"near pairs (cosine {NEAR} or more)", str(findings.near_duplicates), "", "", ""),
        ("near pairs across the split", str(findings.near_leaks), "", "", ""),
        ("uses of the most frequent frame", str(findings.most_used_frame[0]), "", "", ""),
        ("always say the majority", f"{findings.majority_accuracy:.3f}", "", "", ""),
        (f"best one-word rule (“{findings.one_word[0][0]}”)", f"{findings.one_word[0][2]:.3f}", "", "", ""),
        ("TF-IDF + logistic regression, accuracy", f"{findings.linear_accuracy:.3f}", "", "", ""),
        ("TF-IDF + logistic regression, macro-F1", f"{findings.linear_f1:.3f}", "", "", ""),
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
        if tag in findings.tags:
            counts = ", ".join(f"{name} {count}" for name, count in findings.tags[tag].items())
            lines.append(f"- {tag.capitalize()}: {counts}.")
    return "\n".join(lines)


def write_card(findings: Audit, card: Path = CARD) -> None:
    """Put the table into the data card, between its marks."""
    text = card.read_text(encoding="utf-8")
    before, _, rest = text.partition(CARD_MARKS[0])
    _, _, after = rest.partition(CARD_MARKS[1])
    new = f"{before}{CARD_MARKS[0]}\n{card_table(findings)}\n{CARD_MARKS[1]}{after}"
    card.write_text(new, encoding="utf-8", newline="\n")


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py audit --card``."""
    parser = argparse.ArgumentParser(prog="workshop.py audit", description=__doc__.splitlines()[0])
    parser.add_argument("--card", action="store_true", help="write the table of the data card (bundled sentences)")
    parser.parse_args(argv)
    findings = audit(load("bundled"))
    print(findings.text())
    write_card(findings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
