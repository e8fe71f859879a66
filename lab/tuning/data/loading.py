"""Read and check a CSV of labelled sentences, and split it into train, validation and test.

``DATA = "bundled"`` reads ``lab/data/financial_sentiment.csv``; anything else is the path of a CSV with a sentence and
a label column. Whatever is wrong with a file is said in one line, with the row, before anything is computed.
"""

import dataclasses
import hashlib
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tuning import paths
from tuning.data import duplicates
from tuning.data.csv.checks import LONGEST_SENTENCE, check
from tuning.data.csv.decoding import decode
from tuning.data.csv.file_kinds import refuse_other_kinds
from tuning.data.csv.table import Table, read_table
from tuning.data.dataset import Data
from tuning.data.labels import LABELS, label_counts
from tuning.data.splits import (
    FEWEST_PER_LABEL,
    PARTS,
    SPLIT_SEED,
    Splits,
    check_parts,
    flip_labels,
    split,
    subset,
    training_part,
)
from tuning.errors import DataError, nearest

if TYPE_CHECKING:
    from tuning.data import download

__all__ = [
    "FEWEST_PER_LABEL",
    "LABELS",
    "LONGEST_SENTENCE",
    "PARTS",
    "SPLIT_SEED",
    "Data",
    "Splits",
    "check_parts",
    "flip_labels",
    "label_counts",
    "load",
    "phrasebank",
    "split",
    "subset",
    "training_part",
]

BUNDLED = paths.DATA / "financial_sentiment.csv"
PHRASEBANK_FOLDER = "financial_phrasebank"
PHRASEBANK_MEMBERS = {"50": "50Agree", "66": "66Agree", "75": "75Agree", "all": "AllAgree"}
# A small file: whoever would wait longer for it is better served by the bundled sentences.
PHRASEBANK_SECONDS = 60.0
PHRASEBANK_LICENCE = (
    "Financial PhraseBank (Malo, Sinha, Takala, Korhonen and Wallenius, 2014) has the licence CC BY-NC-SA 3.0:"
    " not for commercial use, and what you make from it must be shared under the same terms."
)


def load(source: str = "bundled", agreement: str = "all") -> Data:
    """Read the bundled sentences, PhraseBank or a CSV of your own.

    Parameters
    ----------
    source : str
        ``"bundled"``, ``"phrasebank"`` (brought from the Hub and checked; where that fails, the bundled sentences stand
        in, and a notice says so), or the path of a CSV (comma, semicolon, tab or bar; UTF-8 preferred) with the columns
        ``sentence`` and ``label`` or one of their usual other names. A relative path is looked up from the current
        folder, from ``lab/``, from the workshop's folder and from the folder that this lies in.
    agreement : str
        PhraseBank only: ``"50"``, ``"66"``, ``"75"`` or ``"all"``, the share of annotators that had to agree.

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
    refuse_other_kinds(raw, name)
    text, notices = decode(raw, name)
    frame, rows, more = check(read_table(text, name), name)
    notices += [*more, *duplicates.notice(frame, rows, name, paths.short(path))]
    return Data(frame, path, hashlib.sha256(raw).hexdigest(), tuple(notices), source, rows)


def _phrasebank(agreement: str) -> Data:
    from tuning.data import download

    folder = paths.models() / PHRASEBANK_FOLDER
    repository = phrasebank()
    try:
        with download.progress_bar(repository.name) as show:
            download.fetch(repository, folder, deadline=PHRASEBANK_SECONDS, on_progress=show)
    except download.HubError as unreachable:
        banner = (
            f"PhraseBank could not be brought here: {unreachable} This run uses the bundled sentences instead. What"
            " changes: AGREEMENT has no effect, and scores are not comparable with a group that uses PhraseBank. The"
            " activities stay the same."
        )
        return dataclasses.replace(load(), notices=(banner,))
    path = folder / repository.files[0].name
    member = f"FinancialPhraseBank-v1.0/Sentences_{PHRASEBANK_MEMBERS[agreement]}.txt"
    with zipfile.ZipFile(path) as archive:
        raw = archive.read(member)
    # Not splitlines: it takes some characters of latin-1 for the end of a line.
    lines = [line.strip() for line in raw.decode("latin-1").split("\n")]
    cells = {number: line.rsplit("@", 1) for number, line in enumerate(lines, start=1) if line}
    table = Table(["sentence", "label"], list(cells.values()), list(cells))
    frame, rows, notices = check(table, member)
    notices += duplicates.notice(frame, rows, member, "phrasebank")
    sha256 = hashlib.sha256(raw).hexdigest()
    return Data(frame, path, sha256, (PHRASEBANK_LICENCE, *notices), "phrasebank", rows)


def phrasebank() -> "download.Repository":
    """Financial PhraseBank on the Hub: one archive, pinned by revision, size and SHA-256."""
    from tuning.data import download

    archive = download.File(
        "data/FinancialPhraseBank-v1.0.zip", 681_890, "0e1a06c4900fdae46091d031068601e3773ba067c7cecb5b0da1dcba5ce989a6"
    )
    return download.Repository(
        "takala/financial_phrasebank", "598b6aad98f7c8d67be161b12a4b5f2497e07edd", (archive,), kind="datasets/"
    )


# What Python makes of a backslash and the letter after it.
_ESCAPES = str.maketrans(
    {"\a": "/a", "\b": "/b", "\f": "/f", "\n": "/n", "\r": "/r", "\t": "/t", "\v": "/v", "\\": "/"}
)
_QUOTES = "\"'\u201c\u201d\u201e\u2018\u2019"


def _find(source: str) -> Path:
    typed = source.strip().strip(_QUOTES)
    if re.match(r"[a-z][a-z0-9+.-]+://|www\.", typed, re.IGNORECASE):
        raise DataError(
            f"{typed}: this is an address, and nothing is fetched from it: download it first."
            " Then set DATA to the path of the file."
        )
    places = [Path(), paths.LAB, paths.ROOT, paths.ROOT.parent]
    for given in dict.fromkeys((source, typed, typed.translate(_ESCAPES))):
        try:
            for place in places:
                path = place / Path(given).expanduser()
                if path.is_file():
                    return path.resolve()
        except (OSError, RuntimeError, ValueError):
            # A name that no file can have, or the home folder of a person who does not exist.
            continue
    shown = typed if typed.isprintable() else repr(typed)
    raise DataError(
        f'{shown}: there is no such file.{_hint(typed, places)} Set DATA to "bundled" or to the path of a CSV file.'
    )


def _hint(typed: str, places: list[Path]) -> str:
    """What may be meant: another way to write the path, or a file of a similar name."""
    if typed.translate(_ESCAPES) != typed:
        return " Write the path with / in place of each backslash."
    try:
        folder = next((place / typed for place in places if (place / typed).is_dir()), None)
        looked = [folder] if folder else [*places, *((place / typed).parent for place in places)]
        there = [file.name for place in looked for file in place.glob("*.[ct]sv")]
    except (OSError, ValueError):
        return ""
    if folder:
        return " It is a folder" + (f", and holds {', '.join(sorted(set(there))[:3])}." if there else ".")
    return nearest(Path(typed).name, there)
