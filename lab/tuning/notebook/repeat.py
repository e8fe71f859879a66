"""Repeat a recorded run with the same dials and say whether the numbers match."""

import dataclasses

import numpy as np
import pandas as pd

from tuning.dials import SgdDials
from tuning.errors import RunError
from tuning.runs.record import Run
from tuning.runs.store import last_run

NUMBERS = {
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "val_accuracy": "accuracy",
    "val_f1_macro": "macro-F1",
    "gap_accuracy": "gap",
}
# The worksheet shows three places; an adopted run keeps four.
SAME = 0.0005


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A run and its repetition."""

    answer: str  # ``exactly``, ``to three places`` or ``no``.
    numbers: pd.DataFrame  # Recorded and repeated value of each score, and their difference.
    differs: list[str]  # What else was not the same: versions, threads, precision, data, encoder.
    run: Run  # The repetition, recorded like every other run.

    def __str__(self) -> str:
        also = f" Not the same: {'; '.join(self.differs)}." if self.differs else " Everything else was the same."
        return f"Do the numbers match? {self.answer.capitalize()}.{also}\n{self.numbers.to_string()}"


def reproduce(run_id: str | None = None) -> Repeat:
    """Train a recorded run again, own or adopted, by default the last of the main lab, and compare.

    A `RunError` where it used a file of someone else's, which is not here.
    """
    recorded = last_run(run_id)
    missing = [name for name in ("DATA", "MODEL") if recorded.dials.get(name) == "own"]
    if missing:
        raise RunError(f"{recorded.run_id}: {' and '.join(missing)} was a file of the group's own, which is not here.")
    again = _train(recorded)
    return Repeat(_answer(recorded, again), _numbers(recorded, again), _differences(recorded, again), again)


def _train(recorded: Run) -> Run:
    if recorded.is_backup:
        from tuning.sgd import classifier

        return classifier.fit(SgdDials.from_settings(recorded.dials))
    from tuning.further.variations import dials_from
    from tuning.training import fit

    return fit.fit(dials_from(recorded.dials))


def _values(run: Run) -> dict[str, float | None]:
    return {title: run.final.get(key) for key, title in NUMBERS.items()}


def _numbers(recorded: Run, again: Run) -> pd.DataFrame:
    frame = pd.DataFrame({"recorded": _values(recorded), "repeated": _values(again)}, dtype=float)
    # Plus nothing: -0.0 is no difference.
    return frame.assign(difference=frame["repeated"] - frame["recorded"]).round(4) + 0.0


def _answer(recorded: Run, again: Run) -> str:
    same_losses = np.array_equal(recorded.step_losses(), again.step_losses(), equal_nan=True)
    if same_losses and _values(recorded) == _values(again):
        return "exactly"
    pairs = zip(_values(recorded).values(), _values(again).values(), strict=True)
    close = all(was == now if None in (was, now) else abs(was - now) < SAME for was, now in pairs)
    return "to three places" if close and recorded.outcome == again.outcome else "no"


def _differences(recorded: Run, again: Run) -> list[str]:
    pairs = {
        "data": (recorded.data["sha256"][:8], again.data["sha256"][:8]),
        "encoder": (recorded.encoder["revision"], again.encoder["revision"]),
        "precision": (recorded.machine["precision"], again.machine["precision"]),
        "threads": (recorded.machine["threads"], again.machine["threads"]),
        "device": (recorded.machine["device"], again.machine["device"]),
    }
    pairs |= {name: (version, again.versions.get(name)) for name, version in recorded.versions.items()}
    changed = [f"{name} {was}, now {now}" for name, (was, now) in pairs.items() if was != now]
    return [*changed, *recorded.departures]
