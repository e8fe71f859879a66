"""A whole room of runs that nobody had to train, as share lines."""

from collections.abc import Callable

import numpy as np

from tuning.room import share
from tuning.runs.diagnosis import diagnose
from tuning.runs.record import Run

GROUPS = 10
STEPS = 200
ONE_CLASS = {"negative": 0, "neutral": 250, "positive": 0}
RATES = {"TOO_LOW": 1e-6, "JUST_RIGHT": 1e-4, "TOO_HIGH": 5e-3}
GUESSES = {"TOO_LOW": "stalled", "JUST_RIGHT": "moving", "TOO_HIGH": "crashed"}


def _losses(preset: str, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, 0.08, STEPS)
    if preset == "TOO_LOW":
        # The head starts near equal shares and stays there, so its batches differ little.
        return 1.10 + 0.15 * noise
    if preset == "JUST_RIGHT":
        return 0.40 + 0.70 * np.exp(-np.linspace(0, 4, STEPS)) + noise
    return np.concatenate([[1.1, 2.4, 3.5, 5.2, 2.2, 1.9], 1.2 + np.abs(noise[6:])])


def room_run(make_run: Callable[..., Run], group: int, preset: str, **changed) -> Run:
    """The run of one group with one preset, as the three presets behave."""
    rng = np.random.default_rng([group, list(RATES).index(preset)])
    f1 = {"TOO_LOW": 0.29, "JUST_RIGHT": 0.76, "TOO_HIGH": 0.228}[preset] + rng.normal(0, 0.02) * (preset != "TOO_HIGH")
    ends = {"TOO_LOW": (1.095, 1.09), "JUST_RIGHT": (0.60, 0.45), "TOO_HIGH": (1.02, 1.01)}[preset]
    gap = 0.1 if preset == "JUST_RIGHT" else 0.01
    final = {
        "train_loss": ends[1],
        "val_loss": ends[1] + gap,
        "val_f1_macro": float(f1),
        "val_f1_macro_interval": [float(f1) - 0.06, float(f1) + 0.06],
        "weight_movement": {"TOO_LOW": 0.0004, "JUST_RIGHT": 0.02, "TOO_HIGH": 0.35}[preset],
    }
    if preset != "JUST_RIGHT":
        final |= {"val_predicted": ONE_CLASS, "val_accuracy": 0.52}
    settings = {
        "losses": _losses(preset, rng),
        "epochs": [(loss, loss + gap) for loss in ends],
        "final": final,
        "rate": RATES[preset],
        "dials": {"LR_PRESET": preset, "GROUP": group} | changed.pop("dials", {}),
        "run_id": f"20260105-09{group:02d}00-{preset.lower().replace('_', '-')}",
    }
    run = make_run(**settings | changed)
    run.diagnosis = diagnose(run).as_dict()
    return run


def room_lines(make_run: Callable[..., Run]) -> list[str]:
    """Share lines of ten groups with three presets each, with their predictions."""
    return [
        share.line(room_run(make_run, group, preset), f"Group {group}", GUESSES[preset], 0.5)
        for group in range(1, GROUPS + 1)
        for preset in RATES
    ]
