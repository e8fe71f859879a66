"""The record of one training run, the one thing that everything after training reads, and its check.

Its keys and their units are in ``run.schema.json``; where it lies on disk is in `tuning.runs.store`.
"""

import dataclasses
import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np

from tuning import paths
from tuning.dials import Dials
from tuning.errors import RunError
from tuning.files import write_whole
from tuning.runs.scores import RecordedScores

SCHEMA_VERSION = 2
SCHEMA_FILE = Path(__file__).with_name("run.schema.json")
OUTCOMES = ("completed", "diverged", "interrupted")
BACKUP_NOTEBOOK = "02"
FURTHER_NOTEBOOK = "04"
# A run's name is its folder's: a full stop stands between two digits only, as in a rate, and never before an ending.
RUN_ID = re.compile(r"(?=.{1,81}\Z)[A-Za-z0-9][A-Za-z0-9_-]*(?:(?<=[0-9])\.[0-9][A-Za-z0-9_-]*)?")
# What the main lab's runs were made with before there was a dial for it.
FIRST_DIALS = {"LABEL_NOISE": 0.0, "SPEED": "fast"}


@dataclasses.dataclass
class Run:
    """One training run; see ``run.schema.json`` for every key, its unit and whether it may be null.

    Numbers that are not finite (a diverged loss) are kept as None: NaN never reaches the file.
    """

    run_id: str
    started: str
    notebook: str
    dials: dict[str, Any]
    learning_rate: float
    seed: int
    encoder: dict[str, Any]
    data: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, Any]
    steps: list[dict[str, float | None]] = dataclasses.field(default_factory=list)
    epochs: list[dict[str, float | None]] = dataclasses.field(default_factory=list)
    majority: dict[str, Any] = dataclasses.field(default_factory=dict)
    baseline: RecordedScores = dataclasses.field(default_factory=RecordedScores)
    final: RecordedScores = dataclasses.field(default_factory=RecordedScores)
    outcome: str = "interrupted"
    diagnosis: dict[str, Any] = dataclasses.field(default_factory=dict)
    timing: dict[str, float | None] = dataclasses.field(default_factory=dict)
    test: dict[str, Any] | None = None
    departures: list[str] = dataclasses.field(default_factory=list)
    adapter: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION
    # Fields of a later version: they are kept in the file, and nothing here reads them.
    unknown: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder of this run under the folder of runs."""
        return paths.runs() / self.run_id

    @property
    def is_backup(self) -> bool:
        """Whether the backup lab (notebook 02) made it: another model, other rates, another loop."""
        return self.notebook == BACKUP_NOTEBOOK

    @property
    def preset(self) -> str:
        """The preset's name, or ``own`` where the rate was typed as a number."""
        chosen = self.dials["LR_PRESET"]
        return chosen if isinstance(chosen, str) else "own"

    @property
    def apart(self) -> list[str]:
        """What sets this run apart from the runs of the room's experiment; a plain run has nothing of it."""
        noise = self.dials.get("LABEL_NOISE")
        wrong = [f"{noise:.0%} of training labels wrong"] if noise else []
        return [*wrong, *(["an adapter was trained"] if self.adapter else []), *self.departures]

    def step_losses(self) -> np.ndarray:
        """Loss of every step in order, shape (steps,); NaN where it was not finite."""
        return np.array([np.nan if step["loss"] is None else step["loss"] for step in self.steps], dtype=float)

    def as_record(self) -> dict[str, Any]:
        """The content of ``run.json``: plain values, all numbers finite."""
        record = dataclasses.asdict(self)
        return finite(record | record.pop("unknown"))

    def save(self, folder: Path | None = None) -> Path:
        """Check the record and write ``run.json`` in one piece."""
        record = self.as_record()
        check(record, self.run_id)
        path = (folder or self.folder) / "run.json"
        write_whole(path, json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return path

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a ``run.json`` (or the folder that holds it) and check it.

        Raises
        ------
        RunError
            If the file is missing, damaged or does not fit the schema.
        """
        path = path / "run.json" if path.is_dir() else path
        try:
            record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        except OSError as problem:
            raise RunError(f"{paths.short(path)}: this run cannot be opened ({problem.strerror}).") from None
        except (ValueError, RecursionError):
            raise RunError(f"{paths.short(path)}: this run is damaged (not JSON). Train again.") from None
        record = _current(record)
        check(record, paths.short(path))
        known = {field.name for field in dataclasses.fields(cls)} - {"unknown"}
        later = {name: value for name, value in record.items() if name not in known}
        return cls(**{name: record[name] for name in known}, unknown=later)


def _current(record: Any) -> Any:
    """A record of the first version as this one would have written it; any other record as it is."""
    if not isinstance(record, dict) or record.get("schema_version") != 1:
        return record
    dials = record.get("dials")
    if isinstance(dials, dict) and record.get("notebook") != BACKUP_NOTEBOOK:
        dials = with_first_dials(dials)
    return {"departures": [], "adapter": None} | record | {"dials": dials, "schema_version": SCHEMA_VERSION}


def with_first_dials(dials: dict[str, Any]) -> dict[str, Any]:
    """Dials of the main lab, those included that did not exist yet when they were written down."""
    return dials | {name: value for name, value in FIRST_DIALS.items() if name in Dials.names() and name not in dials}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def finite(value: Any) -> Any:
    """Copy a nested value with every number that is not finite replaced by None, and numpy numbers by plain ones."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cache
def _validator() -> Callable[[Any], Any]:
    """The schema compiled: a board of a thousand runs is not kept waiting."""
    return fastjsonschema.compile(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def check(record: Any, name: str) -> None:
    """Check a record against the schema; a `RunError` names the first thing that does not fit."""
    try:
        _validator()(record)
        if not _is_moment(record["started"]):
            raise RunError(
                f"{name}: this is not a run of this workshop (started: {record['started']!r} is not a time with its"
                " offset, such as 2026-01-05T09:00:00+00:00)."
            )
    except fastjsonschema.JsonSchemaException as problem:
        where = "/".join(problem.path[1:]) or "the record"
        reason = f"{problem.value!r:.60}{problem.message.removeprefix(problem.name):.120}"
        raise RunError(f"{name}: this is not a run of this workshop ({where}: {reason}).") from None


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
