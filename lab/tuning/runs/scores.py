"""The scores of a run by name and type, as ``scores`` in ``run.schema.json`` has them."""

from typing import TypedDict


class RecordedScores(TypedDict, total=False):
    """Scores of train and validation as a record keeps them; a key may be absent, and None where not finite."""

    train_accuracy: float | None
    train_loss: float | None
    val_accuracy: float | None
    val_f1_macro: float | None
    val_loss: float | None
    val_f1: dict[str, float | None]
    val_predicted: dict[str, float | None]
    val_mistake_confidence: float | None
    val_accuracy_interval: list[float] | None
    val_f1_macro_interval: list[float] | None
    gap_accuracy: float | None
    gap_accuracy_interval: list[float] | None
    gap_loss: float | None
    train_size: int | None
    val_size: int | None
    weight_movement: float | None
    layer_movement: dict[str, float | None]
