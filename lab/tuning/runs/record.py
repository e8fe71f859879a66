"""The record of one training run: the one thing that everything after training reads.

A run lives in a folder of its own under ``lab/runs/``: ``run.json`` (this record, checked against
``run.schema.json``), ``predictions.csv`` (the logits on the validation part) and, for the newest runs, the trained
weights in ``model/``.
"""

import dataclasses
import json
import math
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pandas as pd

from tuning import paths
from tuning.data.labels import LABELS
from tuning.dials import Dials
from tuning.errors import RunError, nearest
from tuning.files import append_line, clear_parts, write_whole
from tuning.runs.spreadsheets import as_typed, harmless

SCHEMA_VERSION = 2
SCHEMA_FILE = Path(__file__).with_name("run.schema.json")
OUTCOMES = ("completed", "diverged", "interrupted")
WEIGHTS_KEPT = 3
BACKUP_NOTEBOOK = "02"
FURTHER_NOTEBOOK = "04"
COMPARISON_FILE = "comparison.md"
ADOPTED_FILE = "adopted.json"
# A run's name is its folder's: a full stop stands between two digits only, as in a rate, and never before an ending.
RUN_ID = re.compile(r"(?=.{1,81}\Z)[A-Za-z0-9][A-Za-z0-9_-]*(?:(?<=[0-9])\.[0-9][A-Za-z0-9_-]*)?")
# Folder of the states in the middle of a training inside a run, and the file that says that one of them is whole.
CHECKPOINTS, MARK = "checkpoints", "whole.json"
# What the main lab's runs were made with before there was a dial for it.
FIRST_DIALS = {"LABEL_NOISE": 0.0, "SPEED": "fast"}

_results_here: list[Path] = []


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
    baseline: dict[str, Any] = dataclasses.field(default_factory=dict)
    final: dict[str, Any] = dataclasses.field(default_factory=dict)
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
        """Check the record and write ``run.json`` in one piece.

        Parameters
        ----------
        folder : pathlib.Path, optional
            Where to; the run's own folder by default.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        RunError
            If the record does not fit the schema.
        """
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
def _quick_validator() -> Callable[[Any], Any]:
    """The schema compiled: a board of a thousand runs is not kept waiting, but its reasons are hard to read."""
    return fastjsonschema.compile(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def check(record: Any, name: str) -> None:
    """Check a record against the schema.

    Raises
    ------
    RunError
        With the first thing that does not fit.
    """
    try:
        _quick_validator()(record)
        if not _is_moment(record["started"]):
            raise RunError(
                f"{name}: this is not a run of this workshop (started: {record['started']!r} is not a time with its"
                " offset, such as 2026-01-05T09:00:00+00:00)."
            )
        return
    except fastjsonschema.JsonSchemaException:
        # Only now: importing it takes longer than everything else in the first cell of a notebook.
        import jsonschema

        validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
        problem = jsonschema.exceptions.best_match(validator.iter_errors(record))
    if problem is not None:
        where = "/".join(map(str, problem.absolute_path)) or "the record"
        raise RunError(f"{name}: this is not a run of this workshop ({where}: {problem.message[:120]}).")


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def new_folder(label: str) -> Path:
    """Make the folder of a new run: ``<date>-<time>-<label>``, numbered where two start in one second."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{label.lower().replace('_', '-')}"
    make_room_in(paths.runs())
    clear_parts(paths.runs())
    clear_parts(paths.runs(), "*/*")
    number = 1
    while True:
        path = paths.runs() / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def finished_runs() -> list[Path]:
    """Folders of the runs on disk that reached their end or were adopted, oldest first.

    Their order is the one in which they were noted as finished: a clock that was set back changes nothing. Those that
    nobody noted, such as a folder that was copied here by hand, come first, by the times of their files.
    """
    marks = [*paths.runs().glob("*/predictions.csv"), *paths.runs().glob(f"*/{ADOPTED_FILE}")]
    whole = [path for path in marks if path.with_name("run.json").is_file() and RUN_ID.fullmatch(path.parent.name)]
    noted = {name: place for place, name in enumerate(finished_order())}
    times = {path.parent: path.stat().st_mtime for path in whole}
    return sorted(times, key=lambda folder: (noted.get(folder.name, -1), times[folder]))


def order_file() -> Path:
    """Where runs are noted as they finish: one name a line, the newest last."""
    return paths.runs() / "run_order.txt"


def finished_order() -> list[str]:
    """Names of the runs in the order in which they finished, as far as it was noted; each once, where it came last."""
    try:
        names = order_file().read_text(encoding="utf-8", errors="replace").split()
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(reversed(names)))[::-1]


def note_finished(folder: Path) -> None:
    """Note that a run is finished: from now on it is the newest."""
    if folder.parent == paths.runs():
        append_line(order_file(), folder.name)


def readable_runs() -> tuple[list[Run], list[tuple[str, str]]]:
    """All finished runs, oldest first; one that is damaged must not stand in the way of the others.

    Returns
    -------
    runs : list of Run
    damaged : list of tuple of str
        Folder and reason of each run that cannot be read.
    """
    runs, damaged = [], []
    for folder in finished_runs():
        try:
            runs.append(Run.load(folder))
        except RunError as problem:
            damaged.append((folder.name, str(problem)))
    return runs, damaged


def adoption(run: Run) -> dict[str, Any] | None:
    """How a run was adopted: the group's ``name``, its predicted ``word`` and ``f1``; None for a run made here."""
    try:
        mark = json.loads((run.folder / ADOPTED_FILE).read_text(encoding="utf-8"))
        return {"name": str(mark["name"]), "word": mark["word"], "f1": mark["f1"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def adopted_from(run: Run) -> str | None:
    """Name of the group that a run was adopted from; None for a run made here."""
    mark = adoption(run)
    return None if mark is None else mark["name"]


def marked_id(run: Run) -> str:
    """The run's ID with what nobody may overlook beside its numbers: whose run it is, and what sets it apart."""
    group = adopted_from(run)
    marks = [*([] if group is None else [f"group: {group}"]), *run.apart]
    return f"{run.run_id} ({'; '.join(marks)})" if marks else run.run_id


def last_run(run_id: str | None = None, *, backup: bool = False) -> Run:
    """Bring back a recorded run: the last of the main lab or of the backup lab, or the one named.

    Every cell after training starts here, so a restarted kernel costs nothing. In a kernel that has trained, the last
    run is the last that it trained or that was adopted: one that another notebook trains meanwhile does not push it
    aside. In any other kernel it is the newest. The variations that notebook 04 makes of a run never count.

    Parameters
    ----------
    run_id : str, optional
        The Run ID, or as much of it as only one finished run has (see `matching_ids`).
    backup : bool
        The last run of the backup lab (notebook 02) instead of the main lab.

    Returns
    -------
    Run

    Raises
    ------
    RunError
        If there is no such run, or several fit.
    """
    if run_id is not None:
        return _named(run_id)
    finished = finished_runs()
    own = _newest([folder for folder in finished if folder in _results_here], backup)
    if own is not None:
        finished = [folder for folder in finished if folder == own.folder or (folder / ADOPTED_FILE).is_file()]
    if (run := _newest(finished, backup)) is not None:
        return run
    section = "Train three presets" if backup else "Train"
    raise RunError(f'There is no recorded run yet. Run the section "{section}" first.')


def matching_ids(typed: str, run_ids: Sequence[str]) -> list[str]:
    """The runs that a learner may mean: the one of that ID, else those that end so, else those that contain it.

    Parameters
    ----------
    typed : str
        A Run ID or a part of it, such as ``just-right`` or ``JUST_RIGHT``; words behind it are passed over.
    run_ids : sequence of str

    Returns
    -------
    list of str
        In the order of `run_ids`; empty if nothing was typed or nothing fits.
    """
    words = typed.casefold().replace("_", "-").split()
    if not words:
        return []
    ways = (str.__eq__, str.endswith, str.__contains__)
    fitting = ([run_id for run_id in run_ids if fits(run_id.casefold(), words[0])] for fits in ways)
    return next(filter(None, fitting), [])


def _named(typed: Any) -> Run:
    """The run of that ID; a wrong one gets the nearest, and an ending that is not enough gets the candidates."""
    text, there = str(typed), [folder.name for folder in finished_runs()]
    if Path(text).name == text and (paths.runs() / text).is_dir():
        there.append(text)
    fitting = list(dict.fromkeys(matching_ids(text, there))) if isinstance(typed, str) else []
    if len(fitting) > 1:
        raise RunError(f"Run ID {text[:80]!r} fits several runs: {', '.join(fitting)}. Write the whole of it.")
    if not fitting:
        raise RunError(
            f"No run here has the Run ID {text[:80]!r}.{nearest(text, there)} Copy it from the experiment log."
        )
    return Run.load(paths.runs() / fitting[0])


def _newest(oldest_first: list[Path], backup: bool) -> Run | None:
    for folder in reversed(oldest_first):
        run = Run.load(folder)
        if (run.notebook == BACKUP_NOTEBOOK) == backup and run.notebook != FURTHER_NOTEBOOK:
            return run
    return None


def note_result(folder: Path) -> None:
    """Note that this process left a result in a folder: two notebooks may share a folder of runs at one time."""
    _results_here.append(folder)


def results_here() -> list[Path]:
    """Folders in which this process left a result, a run or a written comparison, in that order."""
    return list(_results_here)


def save_predictions(folder: Path, ids: list, labels: list[str], logits: np.ndarray) -> None:
    """Write ``predictions.csv``: ``id``, true ``label`` and three logits for each validation sentence.

    It is the mark of a run that reached its end, and here.
    """
    frame = pd.DataFrame(
        {"id": [harmless(str(name)) for name in ids], "label": labels}
        | {name: logits[:, i] for i, name in enumerate(LABELS)}
    )
    write_whole(folder / "predictions.csv", frame.to_csv(index=False, lineterminator="\n"))
    note_finished(folder)
    note_result(folder)


def load_predictions(run: Run) -> pd.DataFrame:
    """Read a run's ``predictions.csv``; a missing logit of a diverged run comes back as NaN, an infinite one as it is.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``label`` and one logit column per label, one row per validation sentence.
    """
    try:
        frame = pd.read_csv(
            run.folder / "predictions.csv",
            dtype={"id": str, "label": str} | dict.fromkeys(LABELS, float),
            keep_default_na=False,
            na_values={label: [""] for label in LABELS},
        )
        frame["id"] = frame["id"].map(as_typed)
        if not frame["label"].isin(LABELS).all():
            raise ValueError
        return frame[["id", "label", *LABELS]]
    except (OSError, ValueError, KeyError):
        if (group := adopted_from(run)) is not None:
            raise RunError(without_weights(run, group)) from None
        raise RunError(f"{run.run_id}: its predictions.csv is missing or damaged. Train again.") from None


def without_weights(run: Run, group: str) -> str:
    """Say why a cell that needs weights or single predictions cannot work on an adopted run."""
    return (
        f"{run.run_id} was adopted from {group}: its numbers travelled, its weights and single predictions did not."
        " Look at this section on the driver's screen, or train a run of your own."
    )


def forget_old_weights() -> None:
    """Keep the weights of the newest runs only; the records of all runs stay."""
    with_weights = [folder for folder in finished_runs() if (folder / "model").is_dir()]
    for folder in with_weights[:-WEIGHTS_KEPT]:
        shutil.rmtree(folder / "model", ignore_errors=True)


def make_room_in(folder: Path) -> None:
    """Make a folder if it is not there, and see that files can be written in it: before the work, not after it.

    Raises
    ------
    RunError
        If they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise RunError(
            f"{paths.short(folder)}: no results can be written there ({problem.strerror}). Make it writable, or"
            " choose another folder."
        ) from None


def copy_results(folder: Path, out: Path) -> None:
    """Copy ``run.json``, ``predictions.csv`` and, where there is one, the written comparison of a run to a folder."""
    out.mkdir(parents=True, exist_ok=True)
    compared = (folder / COMPARISON_FILE).is_file()
    for name in ("run.json", "predictions.csv", *([COMPARISON_FILE] if compared else [])):
        if (folder / name).resolve() != (out / name).resolve():
            shutil.copyfile(folder / name, out / name)
