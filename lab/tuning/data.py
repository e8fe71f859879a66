"""Read and check a CSV of labelled sentences, and split it into train, validation and test.

``DATA = "bundled"`` reads ``lab/data/financial_sentiment.csv``; anything else is the path of a CSV with a sentence and
a label column. Whatever is wrong with a file is said in one line, with the row, before anything is computed.
"""

import csv
import dataclasses
import hashlib
import io
import re
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tuning import folders
from tuning.errors import DataError

if TYPE_CHECKING:
    from tuning import hub

LABELS = ("negative", "neutral", "positive")
PARTS = ("train", "validation", "test")
BUNDLED = folders.DATA / "financial_sentiment.csv"
SPLIT_SEED = 42
PHRASEBANK_FOLDER = "financial_phrasebank"
PHRASEBANK_MEMBERS = {"50": "50Agree", "66": "66Agree", "75": "75Agree", "all": "AllAgree"}
# A small file: whoever would wait longer for it is better served by the bundled sentences.
PHRASEBANK_SECONDS = 60.0
PHRASEBANK_LICENCE = (
    "Financial PhraseBank (Malo, Sinha, Takala, Korhonen and Wallenius, 2014) has the licence CC BY-NC-SA 3.0:"
    " not for commercial use, and what you make from it must be shared under the same terms."
)
LONGEST_SENTENCE = 5_000
FEWEST_PER_LABEL = 10

_SENTENCE_HEADERS = ("sentence", "text", "headline", "tweet", "content")
_LABEL_HEADERS = ("label", "sentiment", "class", "polarity")
_SPLIT_HEADERS = ("split", "part", "fold")
_BLANK_LINE = re.compile(r"(?:\A|[\r\n])[ \t]*(?:\r\n|\r|\n)")
_LABEL_WORDS = {"neg": "negative", "neu": "neutral", "pos": "positive"} | {label: label for label in LABELS}
_SPLIT_WORDS = {"val": "validation", "valid": "validation", "dev": "validation"} | {part: part for part in PARTS}


@dataclasses.dataclass(frozen=True)
class Data:
    """A checked data set.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per sentence: ``id``, ``sentence``, ``label``, ``split`` (None where the file has none), and the
        bundled file's ``topic``, ``style`` and ``phenomenon`` where present.
    path : pathlib.Path
        The file.
    sha256 : str
        Hash of the file's bytes.
    notices : tuple of str
        What a person should know about the reading, such as an old text encoding.
    source : str
        What the dial ``DATA`` says for these sentences; not what was asked for where they stand in for it.
    """

    frame: pd.DataFrame
    path: Path
    sha256: str
    notices: tuple[str, ...] = ()
    source: str = "bundled"


@dataclasses.dataclass(frozen=True)
class Splits:
    """The three parts of a data set, each a data frame; the test part stays closed until the end."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame

    def sizes(self) -> dict[str, int]:
        """Sentences per part."""
        return {part: len(getattr(self, part)) for part in PARTS}


def load(source: str = "bundled", agreement: str = "all") -> Data:
    """Read the bundled sentences, PhraseBank or a CSV of your own.

    Parameters
    ----------
    source : str
        ``"bundled"``, ``"phrasebank"`` (brought from the Hub and checked; where that fails, the bundled sentences stand
        in, and a notice says so), or the path of a CSV (comma, semicolon or tab; UTF-8 preferred) with the columns
        ``sentence`` and ``label`` or one of their usual other names. A relative path is looked up from the current
        folder, then from ``lab/``.
    agreement : str
        PhraseBank only: ``"50"``, ``"66"``, ``"75"`` or ``"all"``, the share of annotators that had to agree.

    Returns
    -------
    Data

    Raises
    ------
    DataError
        If the file is missing or cannot be used; the text names the file, the row and what to do.
    """
    if source == "phrasebank":
        return _phrasebank(agreement)
    path = BUNDLED if source == "bundled" else _find(source)
    name = path.name
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise DataError(f"{name}: the file cannot be opened ({problem.strerror}). Check DATA and the file.") from None
    text, notices = _decode(raw, name)
    frame = _check(_parse(text, name), name)
    return Data(frame, path, hashlib.sha256(raw).hexdigest(), tuple(notices), source)


def split(data: Data, seed: int = SPLIT_SEED) -> Splits:
    """Cut a data set into train (70%), validation (15%) and test (15%).

    The file's own ``split`` column decides where there is one. Otherwise the cut is stratified by label, with all
    copies of a sentence on one side, and depends on `seed` alone: every group gets the same parts.

    Parameters
    ----------
    data : Data
        A checked data set.
    seed : int
        Seed of the cut.

    Returns
    -------
    Splits
    """
    frame = data.frame
    if frame["split"].isna().all():
        frame = frame.assign(split=_stratified(frame, seed, data.path.name))
    return Splits(*(frame[frame["split"] == part].reset_index(drop=True) for part in PARTS))


def check_parts(splits: Splits, data: Data) -> None:
    """Make sure that the parts were cut from these sentences, for cells can be run in any order.

    Raises
    ------
    DataError
        If a sentence with its label is not among the data.
    """
    there = data.frame["sentence"] + "\t" + data.frame["label"]
    for part in (splits.train, splits.validation):
        if not (part["sentence"] + "\t" + part["label"]).isin(there).all():
            raise DataError(
                f"{data.path.name} was loaded after the parts were cut, from other sentences."
                ' Run the notebook again from the section "Data".'
            )


def subset(frame: pd.DataFrame, size: int, seed: int = SPLIT_SEED) -> pd.DataFrame:
    """Take `size` sentences, stratified by label; smaller subsets lie inside larger ones.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows with a ``label``.
    size : int
        How many; 0, or more than there are, means all.
    seed : int
        Seed of the draw.

    Returns
    -------
    pandas.DataFrame
        The rows, in the drawn order.
    """
    shuffled = frame.sample(frac=1, random_state=seed)
    # Each sentence's place within its label, as a share: taking the lowest shares first keeps every
    # prefix of the order stratified, so that growing the subset only adds sentences.
    place = (shuffled.groupby("label").cumcount() + 0.5) / shuffled.groupby("label")["label"].transform("size")
    ordered = shuffled.loc[place.sort_values(kind="stable").index]
    return (ordered if size == 0 else ordered.head(size)).reset_index(drop=True)


def flip_labels(frame: pd.DataFrame, share: float, seed: int = SPLIT_SEED) -> pd.DataFrame:
    """Add label noise: give a share of the rows a different label, drawn at random from the other two.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows with a ``label``; it stays as it is.
    share : float
        Between 0 and 1; exactly this share, rounded to whole rows, is flipped.
    seed : int
        Seed of the draw.

    Returns
    -------
    pandas.DataFrame
        A copy with the noisy labels.
    """
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(frame), size=round(share * len(frame)), replace=False)
    codes = np.array([LABELS.index(label) for label in frame["label"]])
    codes[rows] = (codes[rows] + rng.integers(1, len(LABELS), size=len(rows))) % len(LABELS)
    return frame.assign(label=[LABELS[code] for code in codes])


def training_part(splits: Splits, size: int, noise: float = 0.0) -> pd.DataFrame:
    """The sentences that a run trains on, with the labels that it is given.

    Parameters
    ----------
    splits : Splits
    size : int
        How many sentences; 0 for all.
    noise : float
        Share of their labels that are wrong; other parts keep theirs.

    Returns
    -------
    pandas.DataFrame
    """
    return flip_labels(subset(splits.train, size), noise)


def label_counts(frame: pd.DataFrame) -> dict[str, int]:
    """Sentences per label, all three labels always present."""
    counts = frame["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in LABELS}


def _phrasebank(agreement: str) -> Data:
    from tuning import hub

    folder = folders.models() / PHRASEBANK_FOLDER
    repository = phrasebank()
    try:
        with hub.progress_bar(repository.name) as show:
            hub.fetch(repository, folder, deadline=PHRASEBANK_SECONDS, on_progress=show)
    except hub.HubError as unreachable:
        return dataclasses.replace(load(), notices=(_phrasebank_banner(str(unreachable)),))
    path = folder / repository.files[0].name
    member = f"FinancialPhraseBank-v1.0/Sentences_{PHRASEBANK_MEMBERS[agreement]}.txt"
    with zipfile.ZipFile(path) as archive:
        raw = archive.read(member)
    # Not splitlines: it takes some characters of latin-1 for the end of a line.
    lines = (line.strip() for line in raw.decode("latin-1").split("\n"))
    table = pd.DataFrame([line.rsplit("@", 1) for line in lines if line], columns=["sentence", "label"])
    table.index += 1
    return Data(_check(table, member), path, hashlib.sha256(raw).hexdigest(), (PHRASEBANK_LICENCE,), "phrasebank")


def _phrasebank_banner(reason: str) -> str:
    return (
        f"PhraseBank could not be brought here: {reason} This run uses the bundled sentences instead. What changes:"
        " AGREEMENT has no effect, and scores are not comparable with a group that uses PhraseBank. The activities stay"
        " the same."
    )


def phrasebank() -> "hub.Repository":
    """Financial PhraseBank on the Hub: one archive, pinned by revision, size and SHA-256."""
    from tuning import hub

    archive = hub.File(
        "data/FinancialPhraseBank-v1.0.zip",
        681_890,
        "0e1a06c4900fdae46091d031068601e3773ba067c7cecb5b0da1dcba5ce989a6",
    )
    return hub.Repository(
        "takala/financial_phrasebank", "598b6aad98f7c8d67be161b12a4b5f2497e07edd", (archive,), kind="datasets/"
    )


def _find(source: str) -> Path:
    try:
        given = Path(source).expanduser()
        for path in (given, folders.LAB / given, folders.ROOT / given):
            if path.is_file():
                return path.resolve()
    except (OSError, RuntimeError):
        # A name that no file can have, or the home folder of a person who does not exist.
        pass
    raise DataError(f'{source}: there is no such file. Set DATA to "bundled" or to the path of a CSV file.')


def _decode(raw: bytes, name: str) -> tuple[str, list[str]]:
    if not raw.strip():
        raise DataError(f"{name}: the file is empty. It needs a header line and sentences.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise DataError(f'{name}: this is not plain text. Save it again as "CSV UTF-8".')
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        notice = (
            f"{name}: line {line} is not UTF-8, so the file was read as latin-1."
            ' Look at its accents and currency signs; save it as "CSV UTF-8" if they look wrong.'
        )
        return raw.decode("latin-1"), [notice]


def _parse(text: str, name: str) -> pd.DataFrame:
    header = text.lstrip("\r\n").partition("\n")[0]
    separator = max(",;\t", key=header.count)
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as problem:
        reason = str(problem).strip().splitlines()[-1].removeprefix("Error tokenizing data. C error: ")
        raise DataError(
            f"{name}: the table cannot be read ({reason}). Put sentences that hold a separator in double quotes."
        ) from None
    if not isinstance(table.index, pd.RangeIndex):
        # pandas took the first cells for row names: every cell after them would stand in the wrong column.
        raise DataError(
            f"{name}: its rows have more cells than its header. Put sentences that hold a separator in double quotes."
        )
    table.index = _row_numbers(text, separator, len(table))
    _refuse_swallowed_rows(table, separator, name)
    return table


def _row_numbers(text: str, separator: str, rows: int) -> list[int]:
    """Where each row stands in the file as a spreadsheet shows it: blank lines have numbers too, the header is 1."""
    if _BLANK_LINE.search(text):
        try:
            records = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            numbers = [number for number, cells in enumerate(records, start=1) if "".join(cells).strip() or cells[1:]]
        except csv.Error:
            numbers = []
        if len(numbers) == rows + 1:
            return numbers[1:]
    return list(range(2, rows + 2))


def _refuse_swallowed_rows(table: pd.DataFrame, separator: str, name: str) -> None:
    """A quotation mark that only a later row closes makes one cell of all rows between: their labels would be lost."""
    label = _column(table, _LABEL_HEADERS)
    if label is None:
        return
    at, wide = table.columns.get_loc(label), len(table.columns)

    def holds_a_row(cell: str, place: int) -> bool:
        first, *whole, last = (line.split(separator) for line in cell.splitlines())
        # The first line lacks the cells before this one, and the last those after it.
        pieces = [(first, place, wide - place), *((cells, 0, wide) for cells in whole), (last, 0, place + 1)]
        return any(
            len(cells) == length > at - lacking >= 0 and cells[at - lacking].strip().casefold() in _LABEL_WORDS
            for cells, lacking, length in pieces
        )

    for place, column in enumerate(table.columns):
        cells = table[column].fillna("")
        several = cells[cells.str.contains("[\r\n]", regex=True)]
        for row, cell in several.items():
            if len(cell.splitlines()) > 1 and holds_a_row(cell, place):
                raise DataError(
                    f"{name}: row {row} has other rows inside one of its cells."
                    " Look for a quotation mark that is never closed, or closed too late."
                )


def _column(frame: pd.DataFrame, accepted: tuple[str, ...]) -> str | None:
    headers = {str(column).strip().casefold(): column for column in reversed(frame.columns)}
    return next((headers[header] for header in accepted if header in headers), None)


def _check(table: pd.DataFrame, name: str) -> pd.DataFrame:
    # Until all is checked a row is called by its place in the file.
    frame = pd.DataFrame(index=table.index)
    for wanted, accepted in (("sentence", _SENTENCE_HEADERS), ("label", _LABEL_HEADERS)):
        column = _column(table, accepted)
        if column is None:
            found = ", ".join(" ".join(str(header).split())[:30] for header in table.columns[:8])
            raise DataError(
                f"{name}: there is no {wanted} column (found: {found})."
                f" Name one of the columns {' or '.join(accepted)}."
            )
        frame[wanted] = table[column].fillna("").astype(str).str.strip().to_numpy()
    _check_sentences(frame["sentence"], name)
    frame["label"] = _words(frame["label"], _LABEL_WORDS, name, "label")
    _check_labels(frame, name)
    split_column = _column(table, _SPLIT_HEADERS)
    frame["split"] = None if split_column is None else _check_split(table[split_column], frame, name)
    ids = _column(table, ("id",))
    frame.insert(0, "id", table[ids].to_numpy() if ids and table[ids].is_unique else range(1, len(frame) + 1))
    for extra in ("topic", "style", "phenomenon"):
        column = _column(table, (extra,))
        if column is not None:
            frame[extra] = table[column].to_numpy()
    return frame.reset_index(drop=True)


def _check_sentences(sentences: pd.Series, name: str) -> None:
    if sentences.empty:
        raise DataError(f"{name}: there is a header but no sentence. Add rows.")
    empty = sentences.eq("")
    if empty.any():
        rows = _rows(empty)
        raise DataError(f"{name}: {rows} an empty sentence. Fill or delete {'it' if empty.sum() == 1 else 'them'}.")
    long = sentences.str.len() > LONGEST_SENTENCE
    if long.any():
        raise DataError(
            f"{name}: {_rows(long)} a sentence of {sentences.str.len().max():,} characters"
            f" (limit {LONGEST_SENTENCE:,})."
            " Look for a quotation mark that is never closed, or cut the text."
        )


def _check_labels(frame: pd.DataFrame, name: str) -> None:
    counts = label_counts(frame)
    told = ", ".join(f"{label} {count}" for label, count in counts.items())
    missing = [label for label, count in counts.items() if count == 0]
    if missing:
        raise DataError(
            f"{name}: no sentence is labelled {' or '.join(missing)} ({told}). All three labels are needed."
        )
    few = [label for label, count in counts.items() if count < FEWEST_PER_LABEL]
    if few:
        raise DataError(
            f"{name}: too few sentences are labelled {' or '.join(few)} ({told})."
            f" At least {FEWEST_PER_LABEL} of each label are needed for the three parts."
        )


def _check_split(column: pd.Series, frame: pd.DataFrame, name: str) -> list[str]:
    parts = _words(column.fillna("").astype(str).str.strip(), _SPLIT_WORDS, name, "split")
    for part in PARTS:
        absent = set(LABELS) - set(frame["label"][[found == part for found in parts]])
        if absent:
            raise DataError(
                f"{name}: the {part} part of its split column has no {' and no '.join(sorted(absent))} sentence."
                " Give every part all three labels, or remove the column."
            )
    return parts


def _words(column: pd.Series, accepted: dict[str, str], name: str, what: str) -> list[str]:
    words = column.str.casefold().map(accepted)
    unknown = words.isna()
    if unknown.any():
        found = ", ".join(repr(str(value)[:30]) for value in column[unknown].unique()[:3])
        allowed = ", ".join(dict.fromkeys(accepted.values()))
        raise DataError(f"{name}: {_rows(unknown)} the {what} {found}. Allowed: {allowed}.")
    return words.tolist()


def _rows(flags: pd.Series) -> str:
    numbers = flags[flags].index[:3]
    many = int(flags.sum())
    told = ", ".join(map(str, numbers)) + (f" and {many - 3} more" if many > 3 else "")
    return f"row {told} has" if many == 1 else f"rows {told} have"


def _stratified(frame: pd.DataFrame, seed: int, name: str) -> list[str]:
    from sklearn.model_selection import train_test_split

    keys = frame["sentence"].str.casefold().str.split().str.join(" ")
    distinct = frame.assign(key=keys).drop_duplicates("key")[["key", "label"]]
    counts = label_counts(distinct)
    few = [label for label, count in counts.items() if count < FEWEST_PER_LABEL]
    if few:
        raise DataError(
            f"{name}: too few different sentences are labelled {' or '.join(few)} once copies are set aside."
            f" At least {FEWEST_PER_LABEL} of each label are needed for the three parts."
        )
    train, rest = train_test_split(distinct, test_size=0.3, stratify=distinct["label"], random_state=seed)
    validation, test = train_test_split(rest, test_size=0.5, stratify=rest["label"], random_state=seed)
    part_of = {key: part for part, rows in zip(PARTS, (train, validation, test), strict=True) for key in rows["key"]}
    return keys.map(part_of).tolist()


def main(argv: list[str] | None = None) -> int:
    """Command line ``python -m tuning.data audit [CSV]``."""
    from tuning import audit

    given = sys.argv[1:] if argv is None else argv
    if given[:1] != ["audit"]:
        print("error: write python -m tuning.data audit [CSV]", file=sys.stderr)
        return 2
    return audit.main(given[1:])


if __name__ == "__main__":
    sys.exit(main())
