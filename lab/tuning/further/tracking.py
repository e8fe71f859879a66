"""Experiment tracking: hand a recorded run to a tracker, local first.

What goes out is numbers and dials: losses, scores, learning rates, seconds, versions. No sentence, no prediction of a
single sentence, no path, no name of a machine or a user.

* *TensorBoard* writes files under ``lab/runs/tracking/`` and shows them in a page on this machine, without an account.
* *Weights & Biases* in offline mode writes a file in the same place. Only ``wandb sync``, typed by you, would send it.

Both are optional; ``requirements/tracking.txt`` names the versions.
"""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from tuning import paths
from tuning.dials import FrozenDials
from tuning.errors import RunError
from tuning.files import write_whole
from tuning.runs.record import Run

NAMES = {"tensorboard": "TensorBoard", "wandb": "Weights & Biases"}
PROJECT = "workshop-6w"
STEP_VALUES = {"loss": "step/loss", "learning_rate": "step/learning_rate", "grad_norm": "step/grad_norm"}
EPOCH_VALUES = {
    "train_loss": "epoch/train_loss",
    "val_loss": "epoch/val_loss",
    "val_accuracy": "epoch/val_accuracy",
    "val_f1_macro": "epoch/val_f1_macro",
}
FINAL_VALUES = ("val_f1_macro", "val_accuracy", "val_loss", "gap_accuracy")
# Dials that may hold a path of this machine.
_MAY_BE_PATHS = {"DATA": ("bundled", "phrasebank"), "MODEL": ("distilbert", "embedded")}


def folder() -> Path:
    """Where the trackers' files are kept: ``lab/runs/tracking``."""
    return paths.runs() / "tracking"


def is_here(tracker: str) -> bool:
    """Whether a tracker, ``tensorboard`` or ``wandb``, is installed."""
    return importlib.util.find_spec(tracker) is not None


def how_to_get(tracker: str) -> str:
    """One line that says what is missing and how to get it."""
    # pip reads it in the notebook's folder, whichever that is.
    requirements = Path(os.path.relpath(paths.ROOT / "requirements" / "tracking.txt")).as_posix()
    return (
        f"{NAMES[tracker]} is not installed, so this step is left out. To get it, run in a cell of its own:"
        f" %pip install -r {requirements}"
    )


def config(run: Run) -> dict[str, Any]:
    """What a tracker is told about a run beside its curves: dials, data, encoder, versions; no path."""
    dials = {name: run.dials[name] for name in FrozenDials.names() if name in run.dials}
    for name, known in _MAY_BE_PATHS.items():
        if name in dials and dials[name] not in known:
            dials[name] = "own"
    return dials | {
        "learning_rate": run.learning_rate,
        "seed": run.seed,
        "train_used": run.data.get("train_used"),
        "data_sha256": run.data["sha256"],
        "encoder_revision": run.encoder["revision"],
        "precision": run.machine["precision"],
        "departures": "; ".join(run.departures),
        "torch": run.versions.get("torch", ""),
        "transformers": run.versions.get("transformers", ""),
    }


def final(run: Run) -> dict[str, float]:
    """The scores at the end and the seconds, as far as the record has them."""
    scores = {name: run.final.get(name) for name in FINAL_VALUES} | {"seconds": run.timing.get("train_seconds")}
    return {name: float(value) for name, value in scores.items() if value is not None}


def rows(run: Run) -> list[tuple[int, str, float]]:
    """Every number of a run's curves: step, name, value; what was not finite is left out."""
    numbers = [
        (step["step"], title, step[key])
        for step in run.steps
        for key, title in STEP_VALUES.items()
        if step.get(key) is not None
    ]
    per_epoch = run.steps[-1]["step"] / run.steps[-1]["epoch"] if run.steps else 1
    numbers += [
        (round(row["epoch"] * per_epoch), title, row[key])
        for row in run.epochs
        for key, title in EPOCH_VALUES.items()
        if row.get(key) is not None
    ]
    return sorted(numbers)


def hand_over(tracker: str, *runs: Run) -> str:
    """Write runs for ``tensorboard`` or ``wandb`` and say where they are, or how to get what is not installed."""
    if not is_here(tracker):
        return how_to_get(tracker)
    write = {"tensorboard": to_tensorboard, "wandb": to_wandb}[tracker]
    written = [f"{NAMES[tracker]} has {run.run_id}: {paths.short(write(run))}" for run in runs]
    return "\n".join([*written, *([how_to_look()] if tracker == "tensorboard" else [])])


def how_to_look() -> str:
    """The command that shows TensorBoard's page, with this Python: a terminal may know another one."""
    program, where = (f'"{path}"' if " " in str(path) else path for path in (sys.executable, folder() / "tensorboard"))
    return f"{program} -m tensorboard.main --logdir {where}"


def _needed(tracker: str) -> None:
    if not is_here(tracker):
        raise RunError(how_to_get(tracker))


def to_tensorboard(run: Run) -> Path:
    """Write a run as TensorBoard reads it, in place of an earlier copy of the same run."""
    _needed("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    target = folder() / "tensorboard" / run.run_id
    shutil.rmtree(target, ignore_errors=True)
    with SummaryWriter(str(target)) as writer:
        for step, title, value in rows(run):
            writer.add_scalar(title, value, step)
        simple = {name: value if value is not None else "" for name, value in config(run).items()}
        writer.add_hparams(simple, {f"final/{name}": value for name, value in final(run).items()}, run_name=".")
    for number, file in enumerate(sorted(target.glob("events.out.tfevents.*"))):
        # TensorBoard puts the machine's name into the file's name, and needs none.
        file.rename(file.with_name(f"events.out.tfevents.{number}"))
    return target


def in_tensorboard(run: Run) -> dict[str, list[float]]:
    """Read a run back from TensorBoard's own files: the values of each curve, in order."""
    _needed("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    reader = EventAccumulator(str(folder() / "tensorboard" / run.run_id), size_guidance={SCALARS: 0})
    reader.Reload()
    return {title: [event.value for event in reader.Scalars(title)] for title in reader.Tags()["scalars"]}


def to_wandb(run: Run) -> Path:
    """Write a run as Weights & Biases keeps it, in offline mode: nothing is sent unless you type ``wandb sync``."""
    _needed("wandb")
    # Before the import: it is read then. Nothing about errors is sent either.
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    where = folder()
    where.mkdir(parents=True, exist_ok=True)
    for older in where.glob(f"wandb/offline-run-*-{run.run_id}"):
        shutil.rmtree(older, ignore_errors=True)
    # Each of these would add something about the machine, the code or the person.
    private = wandb.Settings(
        mode="offline",
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        save_code=False,
        host="",
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    tracked = wandb.init(
        project=PROJECT, id=run.run_id, name=run.run_id, dir=str(where), config=config(run), settings=private
    )
    sent: dict[str, list[float]] = {}
    by_step: dict[int, dict[str, float]] = {}
    for step, title, value in rows(run):
        by_step.setdefault(step, {})[title] = value
    for step, values in by_step.items():
        tracked.log(values, step=step)
        for title, value in values.items():
            sent.setdefault(title, []).append(value)
    for name, value in final(run).items():
        tracked.summary[f"final/{name}"] = value
        sent[f"final/{name}"] = [value]
    tracked.finish()
    write_whole(_sent_file(run), json.dumps(sent))
    kept = _wandb_folder(run)
    # W&B's own log names folders of this machine.
    shutil.rmtree(kept / "logs", ignore_errors=True)
    return kept


def _wandb_folder(run: Run) -> Path:
    return next(folder().glob(f"wandb/offline-run-*-{run.run_id}"))


def _sent_file(run: Run) -> Path:
    return folder() / "wandb" / f"sent-{run.run_id}.json"


def sent_to_wandb(run: Run) -> dict[str, list[float]]:
    """What W&B was handed of a run: the values of each curve, in order, and the final scores; empty if nothing was.

    Its own file is private to W&B, and is whole only some time after the run's end.
    """
    try:
        return json.loads(_sent_file(run).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def side_by_side(run: Run) -> pd.DataFrame:
    """The same run in the log and in each tracker: last value of each curve, and the final scores.

    TensorBoard's files are read back; for W&B it is what was handed over.
    """
    record = {title: value for _, title, value in rows(run)}
    record |= {f"final/{name}": value for name, value in final(run).items()}
    columns = {"log": record}
    for tracker, read in {"tensorboard": in_tensorboard, "wandb": sent_to_wandb}.items():
        if is_here(tracker):
            columns[NAMES[tracker]] = {title: values[-1] for title, values in read(run).items()}
    return pd.DataFrame(columns, index=list(record)).astype(float)
