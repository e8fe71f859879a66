"""What a run writes down while the Trainer trains: every step and every epoch."""

import math
import time
from pathlib import Path

import numpy as np
from transformers import TrainerCallback

from tuning.runs.record import Run, finite
from tuning.training import processes, resume

EXPLODED = 100.0


class Recorder(TrainerCallback):
    """Write down every step and epoch of a run, stop it when it diverges, and mark whole checkpoints.

    Parameters
    ----------
    fingerprint : str
        What must be equal for a checkpoint of this run to be continued.

    Attributes
    ----------
    evaluation_seconds : list of float
        How long each evaluation took.
    saves : bool
        Whether checkpoints are written; off where the disk has no room for them.
    """

    def __init__(self, run: Run, fingerprint: str) -> None:
        self.run = run
        self.fingerprint = fingerprint
        self.saves = True
        self._scored: dict[str, float] = {}
        self.evaluation_seconds: list[float] = []
        self._epoch_began = time.perf_counter()

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        """Start the epoch's clock."""
        self._epoch_began = time.perf_counter()

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Keep one step's loss, gradient norm and learning rate; stop where the loss is lost."""
        if not logs or "loss" not in logs:
            return
        loss = logs["loss"]
        self.run.steps.append(
            {
                "step": state.global_step,
                "epoch": state.epoch,
                "loss": loss if math.isfinite(loss) else None,
                "grad_norm": finite(logs.get("grad_norm")),
                "learning_rate": logs.get("learning_rate"),
            }
        )
        if not math.isfinite(loss) or loss > EXPLODED:
            self.run.outcome = "diverged"
            control.should_training_stop = True

    def on_evaluate(self, args, state, control, metrics=None, **kwargs) -> None:
        """Collect the scores of both parts; when both are there, the epoch's row is complete."""
        self._scored |= metrics or {}
        if "eval_validation_loss" not in self._scored or "eval_train_loss" not in self._scored:
            return
        both, self._scored = self._scored, {}
        self.evaluation_seconds.append(both["eval_validation_runtime"] + both["eval_train_runtime"])
        begun = round(state.epoch) - 1
        losses = [step["loss"] for step in self.run.steps if step["epoch"] > begun and step["loss"] is not None]
        self.run.epochs.append(
            {
                "epoch": round(state.epoch, 4),
                "train_loss_running": float(np.mean(losses)) if losses else None,
                "train_loss": finite(both["eval_train_loss"]),
                "train_accuracy": both["eval_train_accuracy"],
                "val_loss": finite(both["eval_validation_loss"]),
                "val_accuracy": both["eval_validation_accuracy"],
                "val_f1_macro": both["eval_validation_f1_macro"],
                "val_mistake_confidence": both["eval_validation_mistake_confidence"],
                "seconds": time.perf_counter() - self._epoch_began,
            }
        )

    def on_epoch_end(self, args, state, control, model=None, **kwargs) -> None:
        """Skip the checkpoint after the last epoch, for the finished run saves its weights itself, or for want of room.

        Something else may have filled the disk since the run began.
        """
        if state.global_step >= state.max_steps or control.should_training_stop:
            control.should_save = False
        elif self.saves and not processes.agree(resume.room_for(model.num_parameters())):
            self.saves = False
            print("The disk is full by now, so no more checkpoints are written. Training goes on.")
        control.should_save &= self.saves

    def on_save(self, args, state, control, **kwargs) -> None:
        """Mark the checkpoint as whole, last of all, and only then let the one before go."""
        # Every process adds the state of its own random numbers to the checkpoint.
        processes.agree(None)
        if processes.is_first():
            newest = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            run = self.run
            resume.mark_whole(newest, self.fingerprint, run.steps, run.epochs, run.departures)
