"""Parts of a record that nobody had to train."""

from collections.abc import Iterable, Sequence
from typing import Any


def step_rows(losses: Sequence[float], epochs: int, rate: float) -> list[dict[str, Any]]:
    per_epoch = max(len(losses) / max(epochs, 1), 1)
    return [
        {"step": step, "epoch": step / per_epoch, "loss": loss, "grad_norm": 1.0, "learning_rate": rate}
        for step, loss in enumerate(losses, start=1)
    ]


def epoch_rows(pairs: Iterable[tuple[float, float]]) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_loss_running": train_loss,
            "train_loss": train_loss,
            "train_accuracy": 0.8,
            "val_loss": val_loss,
            "val_accuracy": 0.78,
            "val_f1_macro": 0.76,
            "seconds": 12.0,
        }
        for epoch, (train_loss, val_loss) in enumerate(pairs, start=1)
    ]


def scores(**changed: Any) -> dict[str, Any]:
    """All scores of a part, as a model has them that learned something."""
    usual = {
        "train_accuracy": 0.82,
        "train_loss": 0.45,
        "val_accuracy": 0.78,
        "val_f1_macro": 0.76,
        "val_loss": 0.60,
        "val_f1": {"negative": 0.74, "neutral": 0.80, "positive": 0.74},
        "val_predicted": {"negative": 55, "neutral": 130, "positive": 65},
        "val_accuracy_interval": [0.72, 0.83],
        "val_f1_macro_interval": [0.70, 0.81],
        "gap_accuracy": 0.04,
        "gap_accuracy_interval": [-0.03, 0.11],
        "gap_loss": 0.15,
        "train_size": 300,
        "val_size": 250,
    }
    assert changed.keys() <= usual.keys() | {"weight_movement", "layer_movement"}
    return usual | changed


UNTRAINED = {
    "train_accuracy": 0.31,
    "train_loss": 1.10,
    "val_accuracy": 0.30,
    "val_f1_macro": 0.20,
    "val_loss": 1.10,
    "val_f1": {"negative": 0.40, "neutral": 0.10, "positive": 0.10},
    "val_predicted": {"negative": 200, "neutral": 25, "positive": 25},
    "val_accuracy_interval": [0.25, 0.36],
    "val_f1_macro_interval": [0.15, 0.25],
    "gap_accuracy": 0.01,
    "gap_accuracy_interval": [-0.06, 0.08],
    "gap_loss": 0.0,
}
MAJORITY = {"label": "neutral", "accuracy": 0.52, "f1_macro": 0.228}
