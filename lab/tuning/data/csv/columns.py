"""Which column of a table holds the sentences and which the labels."""

import re

from tuning.data.csv.table import LABEL_HEADERS, SENTENCE_HEADERS, SEPARATORS, Table
from tuning.data.labels import LABEL_WORDS, LABELS, UNDECIDED, as_typed, bare, folded, holds_nothing
from tuning.errors import DataError

# A column is one of labels if at least this share of its cells are allowed words: what is wrong in the others is named.
FITS = 0.5
# A header cell of so many words is a sentence: the file begins without a header.
HEADER_WORDS = 5
# Words in the names of columns that have none of the usual names.
SENTENCE_WORDS = frozenset([*SENTENCE_HEADERS, "title", "news", "message", "comment", "post", "body", "review"])
LABEL_NAMES = frozenset(LABEL_HEADERS)


def refuse_other_separator(table: Table, name: str) -> None:
    """A header with one sign between its cells, above rows with another, which are one cell each."""
    width = len(table.header)
    if width < 2 or not table.rows or any(any(map(bare, cells[1:])) for cells in table.rows):
        return
    for sign in SEPARATORS.replace(table.separator, ""):
        if all(cells[0].count(sign) >= width - 1 for cells in table.rows):
            raise DataError(
                f"{name}: the header has {table.separator!r} between its cells, and row {table.numbers[0]} has"
                f" {sign!r}. Use one of them throughout."
            )


def columns(table: Table, name: str) -> tuple[int, int]:
    """Find the places of the columns of the sentences and of the labels; `name` is the file's, for messages."""
    named = [place for name in SENTENCE_HEADERS for place, header in enumerate(table.header) if folded(header) == name]
    # A column without any text is no choice, unless all of them are.
    sentence = next((place for place in named if any(map(bare, table.column(place)))), next(iter(named), None))
    if sentence is None:
        sentence = _only([place for place in _partly_named(table, SENTENCE_WORDS) if _holds_texts(table, place)])
    label = _label_column(table, sentence, name)
    if sentence is None or label is None:
        _refuse_missing_header(table, name)
        what, names = ("sentence", SENTENCE_HEADERS) if sentence is None else ("label", LABEL_HEADERS)
        headers = ", ".join(as_typed(" ".join(header.split()), names, quoted=False) for header in table.header[:8])
        raise DataError(
            f"{name}: there is no {what} column (found: {headers}). Name one of the columns {' or '.join(names)}."
            + (_longest_texts(table) if sentence is None else _labels_elsewhere(table))
        )
    return sentence, label


def _partly_named(table: Table, names: frozenset[str]) -> list[int]:
    """Columns whose name has one of these words in it, such as ``clean_text`` or ``OriginalTweet``."""
    parts = [re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", header) for header in table.header]
    words = [
        {form for part in map(str.casefold, of_one) for form in (part, part.removesuffix("s"))} for of_one in parts
    ]
    return [place for place, forms in enumerate(words) if not names.isdisjoint(forms)]


def _only(places: list[int]) -> int | None:
    return places[0] if len(places) == 1 else None


def _holds_texts(table: Table, place: int) -> bool:
    """Whether at least half of a column's cells have several words."""
    return 2 * sum(len(cell.split()) > 1 for cell in table.column(place)) >= len(table.rows) > 0


def _labels_elsewhere(table: Table) -> str:
    """What to say about labels in columns of their own, or in braces: one for each firm of the sentence."""
    if set(LABELS) <= set(map(folded, table.header)):
        return " The labels are spread over three columns: write the word of each row into one column."
    for place, header in enumerate(table.header):
        cells = [cell for cell in table.column(place) if bare(cell).startswith(("{", "["))]
        if 2 * len(cells) > len(table.rows) and any(label in cell.casefold() for cell in cells for label in LABELS):
            return f" The column {header[:30]} holds labels in braces: give each row one label of its own."
    return ""


def _longest_texts(table: Table) -> str:
    lengths = [sum(map(len, table.column(place))) for place in range(len(table.header))]
    longest = table.header[lengths.index(max(lengths))]
    return f" The longest texts stand in {longest[:30]!r}." if table.rows and longest and lengths[1:] else ""


def _label_column(table: Table, sentence: int | None, name: str) -> int | None:
    """The column of a known name if its cells fit, else the only one whose cells do, else the one of a known name."""
    cells = {place: _meanings(table, place) for place in range(len(table.header)) if place != sentence}
    fitting = [place for place in cells if _share_of_labels(cells[place]) >= FITS]
    known = [place for place in cells if folded(table.header[place]) in LABEL_HEADERS]
    known.sort(key=lambda place: LABEL_HEADERS.index(folded(table.header[place])))
    for candidates in ([place for place in known if place in fitting], fitting):
        for other in candidates[1:]:
            if cells[other] != cells[candidates[0]]:
                raise DataError(f"{name}: {_two_label_columns(table, candidates[0], other)}")
        if candidates:
            return candidates[0]
    return known[0] if known else _only([place for place in _partly_named(table, LABEL_NAMES) if place in cells])


def _meanings(table: Table, place: int) -> list[str]:
    """Cells of a column, each label in its full word."""
    return [LABEL_WORDS.get(word, word) for word in map(folded, table.column(place))]


def _two_label_columns(table: Table, first: int, other: int) -> str:
    pairs = zip(_meanings(table, first), _meanings(table, other), strict=True)
    row = next(row for row, (left, right) in enumerate(pairs) if left != right)
    both = " and ".join(
        f"{table.header[place] or f'column {place + 1}'} has {bare(table.rows[row][place])[:20] or 'nothing'}"
        for place in (first, other)
    )
    return (
        f"two columns hold labels, and they differ (row {table.numbers[row]}: {both}). Which one is meant?"
        " Name it label, and delete the other."
    )


def _share_of_labels(cells: list[str]) -> float:
    """Share of the cells with anything in them that are allowed words; 0 for one and the same word everywhere."""
    filled = [cell for cell in cells if not undecided(cell)]
    words = [cell for cell in filled if cell in LABEL_WORDS]
    return len(words) / len(filled) if len(set(words)) > 1 else 0.0


def _refuse_missing_header(table: Table, name: str) -> None:
    """A first line that looks like a row: one of its cells is a label, or a whole sentence."""
    labels = [place for place, cell in enumerate(table.header) if folded(cell) in LABEL_WORDS]
    texts = [place for place, cell in enumerate(table.header) if len(cell.split()) >= HEADER_WORDS]
    if not texts and not (labels and table.rows and _share_of_labels(list(map(folded, table.column(labels[0]))))):
        return
    if len(labels) == 1:
        longest = max(range(len(table.header)), key=lambda place: len(table.header[place]))
        roles = {labels[0]: "label", longest: "sentence"}
        names = [roles.get(place, f"column{place + 1}") for place in range(len(table.header))]
        raise DataError(
            f"{name}: the first line looks like a sentence and a label:"
            f" put {table.separator.join(names)} above it as a header."
        )
    raise DataError(
        f"{name}: the first line looks like a sentence and not like a header"
        f' ("{table.header[texts[0]][:30]}"): put a line with sentence and label above it, in the order of the columns.'
    )


def undecided(cell: str) -> bool:
    """Whether a cell has no label: nothing, or a word of an annotator who could not decide."""
    return holds_nothing(cell) or folded(cell) in UNDECIDED
