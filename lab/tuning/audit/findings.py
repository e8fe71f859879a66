"""What an audit found, as plain data and as lines for people."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from tuning.audit.near_copies import NEAR

# Sentences among which different words are counted, so that data sets of any size compare.
SAMPLE = 900


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


def _counts(counts: dict[str, int], total: int) -> str:
    return ", ".join(f"{name} {count} ({count / total:.0%})" for name, count in counts.items())


def _lines(audit: Audit) -> Iterator[str]:
    total = audit.sizes["all"]
    tokens = "" if audit.mean_tokens is None else f", {audit.mean_tokens:.1f} tokens"
    yield (
        f"{audit.name}: {total} sentences (train {audit.sizes['train']}, validation {audit.sizes['validation']},"
        f" test {audit.sizes['test']})"
    )
    yield f"Labels: {_counts(audit.labels, total)}"
    yield from (f"{tag.capitalize()}: {_counts(counts, total)}" for tag, counts in audit.tags.items())
    headings = {
        "leaks": f"Leaks: {audit.leaks} sentences appear in more than one part",
        "contradictions": f"Contradictions: {audit.contradictions} sentences have different labels",
        "copies": f"Copies: {audit.exact_duplicates} exact, with the same label, after folding case and blanks",
        "near pairs": f"Near pairs (cosine {NEAR} or more): {audit.near_duplicates}, {audit.near_leaks} of them across"
        " the split",
        **{f"{kind}": f"Damaged signs, {kind}: in {count} sentences" for kind, count in audit.damaged.items()},
    }
    for kind, heading in headings.items():
        yield heading
        yield from (f"  {line}" for line in audit.shown[kind])
    if not audit.damaged:
        yield "Damaged signs: none"
    yield f"Length: {audit.mean_words:.1f} words{tokens} on average; {audit.with_digit:.0%} hold a digit"
    yield f"Longest: {audit.longest}"
    yield f"Vocabulary: {audit.distinct_words} words, {audit.words_in_sample} in {min(SAMPLE, total)} sentences"
    yield f"Most used frame, names and numbers masked: {audit.most_used_frame[0]} times: {audit.most_used_frame[1]}"
    yield f"Lazy rules on all rows, against {max(audit.labels.values()) / total:.3f} for the majority:"
    yield from (f"  if {word!r} then {label}: {accuracy:.3f}" for word, label, accuracy in audit.one_word)
    yield (
        f"TF-IDF and logistic regression on validation: accuracy {audit.linear_accuracy:.3f}, macro-F1"
        f" {audit.linear_f1:.3f} (majority {audit.majority_accuracy:.3f})"
    )
    yield (
        f"Labels that such a model, trained on other rows, would change: {audit.doubtful}. Read these first; often the"
        " model is wrong:"
    )
    yield from (f"  {chance:.3f}, it says {other}: {row}" for chance, other, row in audit.suspicious)
