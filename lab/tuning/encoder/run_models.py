"""The models of a recorded run: as it was before training, and as it was trained."""

import dataclasses
from typing import TYPE_CHECKING

from tuning.encoder import finding as encoders
from tuning.errors import EncoderError, RunError
from tuning.runs.record import Run
from tuning.runs.store import adopted_from, without_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def trained(run: Run) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Bring back the trained weights of a run from disk; a `RunError` where they are no longer kept."""
    folder = run.folder / "model"
    if (group := adopted_from(run)) is not None:
        raise RunError(without_weights(run, group))
    if not (folder / "model.safetensors").is_file():
        raise RunError(
            f"{run.run_id}: its weights are no longer on disk (only the newest runs keep them). Train it again."
        )
    kept = encoders.Encoder(run.encoder["name"], "folder", folder, run.encoder["revision"], {}, keeps_head=True)
    return encoders.build(kept, run.seed)


def untrained(run: Run) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Build the model as it was before the run: the same encoder, the same random head."""
    return encoders.build(encoder_of(run), run.seed)


def encoder_of(run: Run) -> encoders.Encoder:
    """Find the encoder that a run started from; an `EncoderError` where it is not here any more."""
    model = "embedded" if run.encoder["source"] == "embedded" else run.dials["MODEL"]
    encoder = encoders.find(model)
    if encoder.revision != run.encoder["revision"]:
        raise EncoderError(f"{run.run_id}: its encoder, {run.encoder['name']}, is not here any more. Train again.")
    return dataclasses.replace(encoder, asked=run.dials["MODEL"])
