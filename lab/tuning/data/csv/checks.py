"""Whether every row of a table can be used: rows that are none are left out, and any other is named."""

import re
from collections.abc import Callable

import pandas as pd

from tuning.data.csv.columns import columns, refuse_other_separator, undecided
from tuning.data.csv.table import LABEL_HEADERS, SENTENCE_HEADERS, SPLIT_HEADERS, Table, listed
from tuning.data.labels import LABEL_WORDS, LABELS, bare, folded, holds_nothing, label_counts, shown, way_out
from tuning.data.splits import FEWEST_PER_LABEL, PARTS
from tuning.errors import DataError

LONGEST_SENTENCE = 5_000
# Totals, sources and dates below a table; more rows than these are data.
FOOTER_ROWS = 5

_SPLIT_WORDS = {"val": "validation", "valid": "validation", "dev": "validation"} | {part: part for part in PARTS}
_NUMBER = r"[\d.,%\s]*"
_THINGS = r"(?:sentences?|rows?|records?|labels?|items?|entries|headlines?|tweets?)"
_SUMS = r"(?:(?:grand |sub)?totals?|sums?|counts?|average|mean|number|n|gesamt|summe|anzahl)"
_FOOTER = re.compile(
    rf"{_SUMS}(?:(?: of)?(?: the)? {_THINGS})?\W*{_NUMBER}|{_NUMBER}{_THINGS}?|{_THINGS}\W*{_NUMBER}"
    r"|(?:sources?|notes?):.*|[=*].*|(?:end of|exported|generated)\b.*",
    re.IGNORECASE | re.DOTALL,
)


def check(table: Table, name: str) -> tuple[pd.DataFrame, tuple[int, ...], list[str]]:
    """Check a table and take from it what the workshop uses.

    The frame is that of :class:`tuning.data.dataset.Data`, the numbers say where each of its rows stands in the file,
    and the notices what was left out, and which columns were taken where their names do not say it. A `DataError` names
    what cannot be used.
    """
    for number, cells in zip(table.numbers, table.rows, strict=True):
        if cells[0].startswith("<<<<<<< "):
            raise DataError(
                f"{name}: row {number} holds a mark of a Git conflict. Choose one side, then delete the marks."
            )
    refuse_other_separator(table, name)
    sentence, label = columns(table, name)
    notices = list(table.notices)
    if table.place_of(SENTENCE_HEADERS) is None:
        notices.append(f"{name}: the sentences come from the column {table.header[sentence]}.")
    if label != table.place_of(LABEL_HEADERS):
        notices.append(f"{name}: the labels come from the column {table.header[label] or label + 1}.")
    _refuse_swallowed_rows(table, label, name)
    if table.torn:
        raise DataError(
            f"{name}: row {table.torn} has a quotation mark inside a cell that is in quotation marks itself."
            ' Write it twice (""), or delete it.'
        )
    for find, which in _LEFT_OUT:
        places = find(table, sentence, label)
        if places:
            rows = listed([table.numbers[place] for place in places]).rsplit(" ", 1)[0]
            text = " ".join(cell for cell in table.rows[places[0]] if cell.strip())[:40]
            notices.append(f'{name}: {rows} left out: {which} ("{text}").')
            table = table.without(set(places))
    sentences = [cell.strip() for cell in table.column(sentence)]
    _check_sentences(sentences, table.numbers, name)
    labels = _words(table.column(label), LABEL_WORDS, table.numbers, name, "label")
    frame = pd.DataFrame({"sentence": sentences, "label": labels})
    _check_label_counts(frame, name)
    split_column = table.place_of(SPLIT_HEADERS)
    frame["split"] = None if split_column is None else _check_split(table, split_column, labels, name)
    ids = table.place_of(("id",))
    own = [] if ids is None else table.column(ids)
    frame.insert(0, "id", own if own and len(set(own)) == len(own) else range(1, len(frame) + 1))
    for extra in ("topic", "style", "phenomenon"):
        place = table.place_of((extra,))
        if place is not None:
            frame[extra] = table.column(place)
    return frame, tuple(table.numbers), notices


def _refuse_swallowed_rows(table: Table, label: int, name: str) -> None:
    """A quotation mark that only a later row closes makes one cell of all rows between: their labels would be lost."""
    wide = len(table.header)

    def holds_a_row(cell: str, place: int) -> bool:
        first, *whole, last = (line.split(table.separator) for line in cell.splitlines())
        # The first line lacks the cells before this one, and the last those after it.
        pieces = [(first, place, wide - place), *((cells, 0, wide) for cells in whole), (last, 0, place + 1)]
        return any(
            len(cells) == length > label - lacking >= 0 and folded(cells[label - lacking]) in LABEL_WORDS
            for cells, lacking, length in pieces
        )

    for number, cells in zip(table.numbers, table.rows, strict=True):
        for place, cell in enumerate(cells):
            if ("\n" in cell or "\r" in cell) and len(cell.splitlines()) > 1 and holds_a_row(cell, place):
                raise DataError(
                    f"{name}: row {number} has other rows inside one of its cells. Look for a quotation mark that is"
                    f" never closed, or closed too late: the cell has {len(cell.splitlines())} lines."
                )


def _repeated_headers(table: Table, sentence: int, label: int) -> list[int]:
    header = list(map(folded, table.header))
    return [
        place
        for place, cells in enumerate(table.rows)
        if folded(cells[label]) == header[label] and list(map(folded, cells)) == header
    ]


def _footer(table: Table, sentence: int, label: int) -> list[int]:
    """The rows at the end that are no data: they have no label, and read like a total or stand below a gap."""
    start = len(table.rows)
    while start and (holds_nothing(last := table.rows[start - 1][label]) or _FOOTER.fullmatch(bare(last))):
        start -= 1
    end = range(start, len(table.rows))
    if not 0 < len(end) <= FOOTER_ROWS or not start:
        return []
    gap = table.numbers[start] - table.numbers[start - 1] > 1
    return list(end) if gap or all(_FOOTER.fullmatch(bare(table.rows[place][sentence])) for place in end) else []


def _without_sentence(table: Table, sentence: int, label: int) -> list[int]:
    return [place for place, cell in enumerate(table.column(sentence)) if holds_nothing(cell) and bare(cell)]


def _rules(table: Table, sentence: int, label: int) -> list[int]:
    """Lines of dashes, as Markdown and databases draw them below a header."""
    return [
        place
        for place, cells in enumerate(table.rows)
        if all(re.fullmatch(r":?-{2,}:?", bare(cell)) for cell in cells if bare(cell))
    ]


_LEFT_OUT: tuple[tuple[Callable[[Table, int, int], list[int]], str], ...] = (
    (_repeated_headers, "the header again"),
    (_rules, "a line of dashes"),
    (_footer, "below the table, without a label"),
    (_without_sentence, "a word for nothing where the sentence should be"),
)


def _check_sentences(sentences: list[str], numbers: list[int], name: str) -> None:
    if not sentences:
        raise DataError(f"{name}: there is a header but no sentence. Add rows.")
    empty = [number for number, sentence in zip(numbers, sentences, strict=True) if not sentence]
    if empty:
        it = "it" if len(empty) == 1 else "them"
        raise DataError(f"{name}: {listed(empty)} an empty sentence. Fill or delete {it}.")
    long = [number for number, sentence in zip(numbers, sentences, strict=True) if len(sentence) > LONGEST_SENTENCE]
    if long:
        raise DataError(
            f"{name}: {listed(long)} a sentence of {max(map(len, sentences)):,} characters"
            f" (limit {LONGEST_SENTENCE:,})."
            " Look for a quotation mark that is never closed, or cut the text."
        )


def _check_label_counts(frame: pd.DataFrame, name: str) -> None:
    counts = label_counts(frame)
    listing = ", ".join(f"{label} {count}" for label, count in counts.items())
    missing = [label for label, count in counts.items() if count == 0]
    if missing:
        raise DataError(
            f"{name}: no sentence is labelled {' or '.join(missing)} ({listing}). All three labels are needed."
        )
    few = [label for label, count in counts.items() if count < FEWEST_PER_LABEL]
    if few:
        raise DataError(
            f"{name}: too few sentences are labelled {' or '.join(few)} ({listing})."
            f" At least {FEWEST_PER_LABEL} of each label are needed for the three parts."
        )


def _check_split(table: Table, place: int, labels: list[str], name: str) -> list[str]:
    parts = _words(table.column(place), _SPLIT_WORDS, table.numbers, name, "split")
    for part in PARTS:
        absent = set(LABELS) - {label for label, own in zip(labels, parts, strict=True) if own == part}
        if absent:
            raise DataError(
                f"{name}: the {part} part of its split column has no {' and no '.join(sorted(absent))} sentence."
                " Give every part all three labels, or remove the column."
            )
    return parts


def _words(cells: list[str], accepted: dict[str, str], numbers: list[int], name: str, what: str) -> list[str]:
    words = [accepted.get(folded(cell)) for cell in cells]
    if None not in words:
        return words
    allowed = ", ".join(dict.fromkeys(accepted.values()))
    wrong = {number: cell for number, cell, word in zip(numbers, cells, words, strict=True) if word is None}
    unknown = {number: cell for number, cell in wrong.items() if not undecided(cell)}
    if unknown:
        values = shown(map(bare, unknown.values()), accepted)
        raise DataError(
            f"{name}: {listed(list(unknown))} the {what} {values}. Allowed: {allowed}.{way_out(unknown.values())}"
        )
    it = "it" if len(wrong) == 1 else "them"
    instead = [cell for cell in wrong.values() if bare(cell)]
    what += f" ({shown(instead, accepted)})" if instead else ""
    counted = f" ({len(wrong):,} of {len(cells):,} rows)" if len(wrong) > 1 else ""
    raise DataError(f"{name}: {listed(list(wrong))} no {what}{counted}. Fill or delete {it}. Allowed: {allowed}.")
