"""What a checked data set is, whichever file it came from."""

import dataclasses
from pathlib import Path

import pandas as pd


@dataclasses.dataclass(frozen=True)
class Data:
    """A checked data set."""

    # One row per sentence: ``id``, ``sentence``, ``label``, ``split`` (None where the file has none), and the bundled
    # file's ``topic``, ``style`` and ``phenomenon`` where present.
    frame: pd.DataFrame
    path: Path  # The file.
    sha256: str  # Hash of the file's bytes.
    notices: tuple[str, ...] = ()  # What a person should know about the reading, such as an old text encoding.
    # What the dial ``DATA`` says for these sentences; not what was asked for where they stand in for it.
    source: str = "bundled"
    # Where each sentence stands in its file, as a spreadsheet counts rows; empty where nobody needs it.
    rows: tuple[int, ...] = ()
