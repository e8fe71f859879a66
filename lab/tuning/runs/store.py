"""The runs on disk: their folders, the order in which they finished, and whose run each is.

A run lies in a folder of its own under ``lab/runs/``: ``run.json`` (its record), ``predictions.csv`` (the logits on
the validation part) and, for the newest runs, the trained weights in ``model/``.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tuning import paths
from tuning.data.labels import LABELS
from tuning.errors import RunError, nearest
from tuning.files import append_line, clear_parts, write_whole
from tuning.runs.record import FURTHER_NOTEBOOK, RUN_ID, Run
from tuning.runs.spreadsheets import as_typed, harmless

WEIGHTS_KEPT = 3
COMPARISON_FILE = "comparison.md"
ADOPTED_FILE = "adopted.json"
# Folder of a LoRA adapter inside a run, beside the one of the whole model.
ADAPTER = "adapter"
# Folder of the states in the middle of a training inside a run, and the file that says that one of them is whole.
CHECKPOINTS, MARK = "checkpoints", "whole.json"
_results_here: list[Path] = []


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
    """All finished runs, oldest first, and folder and reason of each that is damaged and must not stand in the way."""
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
        The Run ID, or as much of it as fits only one finished run (see `matching_ids` and `likely_meant`).
    backup : bool
        The last run of the backup lab (notebook 02) instead of the main lab.

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

    What is typed may be ``just-right`` or ``JUST_RIGHT``; words behind it are passed over.
    """
    words = typed.casefold().replace("_", "-").split()
    if not words:
        return []
    ways = (str.__eq__, str.endswith, str.__contains__)
    fitting = ([run_id for run_id in run_ids if fits(run_id.casefold(), words[0])] for fits in ways)
    return next(filter(None, fitting), [])


def likely_meant(runs: Sequence[Run]) -> list[Run]:
    """Of the runs that an ending fits, those that a learner may mean.

    A run of the labs counts before the variations that notebook 04 made of it, and one of the main lab before those of
    the backup lab.
    """
    own = [run for run in runs if run.notebook != FURTHER_NOTEBOOK] or list(runs)
    main_lab = [run for run in own if not run.is_backup]
    return main_lab if len(main_lab) == 1 else own


def _named(typed: Any) -> Run:
    """The run of that ID; a wrong one gets the nearest, and an ending that is not enough gets the candidates."""
    text, there = str(typed), [folder.name for folder in finished_runs()]
    if Path(text).name == text and (paths.runs() / text).is_dir():
        there.append(text)
    fitting = list(dict.fromkeys(matching_ids(text, there))) if isinstance(typed, str) else []
    if len(fitting) > 1:
        likely = likely_meant([run for run in readable_runs()[0] if run.run_id in fitting])
        if len(likely) == 1:
            return likely[0]
        raise RunError(f"Run ID {text[:80]!r} fits several runs: {', '.join(fitting)}. Write the whole of it.")
    if not fitting:
        raise RunError(
            f"No run here has the Run ID {text[:80]!r}.{nearest(text, there)} Copy it from the experiment log."
        )
    return Run.load(paths.runs() / fitting[0])


def _newest(oldest_first: list[Path], backup: bool) -> Run | None:
    for folder in reversed(oldest_first):
        run = Run.load(folder)
        if run.is_backup == backup and run.notebook != FURTHER_NOTEBOOK:
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
    """Read a run's ``predictions.csv``: ``id``, ``label`` and three logits for each validation sentence.

    A missing logit of a diverged run comes back as NaN, an infinite one as it is.
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
    """Make a folder if it is not there, and see that files can be written in it: before the work, not after it."""
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
