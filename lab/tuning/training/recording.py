"""A run under way: its record from before the first step to the row in the log."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import Timeout
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, set_seed

from tuning import paths
from tuning.data.labels import LABELS
from tuning.data.loading import Data, Splits, check_parts, label_counts, subset, training_part
from tuning.data.splits import scored, scored_sizes
from tuning.dials import Dials
from tuning.encoder import adapters
from tuning.encoder.finding import OWN_RUN, Encoder
from tuning.encoder.tokens import Tokens
from tuning.encoder.weight_movement import weight_movement
from tuning.errors import RunError
from tuning.evidence import experiment_log
from tuning.evidence.handover.model_card import CARD, write_card
from tuning.evidence.predictions import note_start
from tuning.runs import metrics
from tuning.runs.diagnosis import diagnose
from tuning.runs.energy import Meter
from tuning.runs.record import Run, finite
from tuning.runs.store import ADAPTER, forget_old_weights, new_folder, save_predictions
from tuning.training import departures, machine, processes, resume
from tuning.training.arguments import dial_arguments, fixed_arguments, precision_for
from tuning.training.recorder import Recorder
from tuning.training.scoring import score_model
from tuning.training.speed.fast_trainer import last_logits
from tuning.training.speed.tricks import left_out, speed_up
from tuning.training.trainer import quieten


def start_run(
    dials: Dials, data: Data, splits: Splits, encoder: Encoder, precision: str, notebook: str = "01"
) -> tuple[Run, str]:
    """Begin a record with everything that is known before the first step, and its fingerprint.

    That is a hash of all that decides the numbers: dials, data, encoder, versions, precision, threads and processes.
    """
    check_parts(splits, data)
    here = machine.describe(precision)
    used = subset(splits.train, dials.TRAIN_SUBSET)
    run = Run(
        run_id="not-started",
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        notebook=notebook,
        dials=dials.as_dict() | {"DATA": data.source},
        learning_rate=encoder.rate(dials.LR_PRESET),
        seed=dials.seed,
        encoder={"name": encoder.name, "source": encoder.source, "revision": encoder.revision, "parameters": 0}
        | ({"keeps_head": True} if encoder.keeps_head else {}),
        data={
            "path": paths.short(data.path),
            "sha256": data.sha256,
            "rows": len(data.frame),
            "train_used": len(used),
            "split_sizes": splits.sizes(),
            "scored": scored_sizes(splits),
            "label_counts": label_counts(data.frame),
        },
        versions=machine.versions(),
        machine=here,
        majority=metrics.majority([LABELS.index(label) for label in scored(splits)["label"]]),
    )
    decisive = [run.dials, run.learning_rate, run.data["sha256"], encoder.revision, run.versions, precision]
    together = [processes.count()] if processes.count() > 1 else []
    text = json.dumps([resume.FORMAT, *decisive, here["threads"], here["device"], *together], sort_keys=True)
    return run, hashlib.sha256(text.encode()).hexdigest()


class Recording:
    """A run under way: its record, the recorder to give to the Trainer, and the checkpoint to go on from.

    A run with the same fingerprint that was cut off is continued, and a line says so; the dial ``FRESH`` throws it away
    instead.

    Attributes
    ----------
    run : Run
    recorder : Recorder
    folder : pathlib.Path
    checkpoint : str or None
        Folder of a whole checkpoint of the same run that was killed; None for a fresh start.
    """

    def __init__(
        self, dials: Dials, data: Data, splits: Splits, encoder: Encoder, precision: str, notebook: str = "01"
    ) -> None:
        self.dials, self.encoder, self.precision = dials, encoder, precision
        self.run, fingerprint = start_run(dials, data, splits, encoder, precision, notebook)
        self._train, self._validation = training_part(splits, dials.TRAIN_SUBSET, dials.LABEL_NOISE), splits.validation
        self._half, self.folder = processes.agree(self._start(fingerprint) if processes.is_first() else None)
        self.checkpoint = None
        if self._half:
            self.checkpoint = str(self._half.checkpoint)
            self.run.steps, self.run.epochs = self._half.steps, self._half.epochs
        self.run.run_id = self.folder.name
        if processes.is_first():
            note_start(self.run.run_id)
        self.recorder = Recorder(self.run, fingerprint)

    def _start(self, fingerprint: str) -> tuple[resume.HalfFinished | None, Path]:
        """The run to go on with, if there is one, and the folder of the run."""
        resume.clear_remains()
        half = self._going_on(resume.half_finished(fingerprint))
        label = self.dials.LR_PRESET if isinstance(self.dials.LR_PRESET, str) else f"{self.dials.LR_PRESET:g}"
        return half, half.folder if half else new_folder(label)

    def _going_on(self, cut_off: list[resume.HalfFinished]) -> resume.HalfFinished | None:
        """The run to go on with, of those with these dials that were cut off; FRESH throws them all away."""
        for half in cut_off:
            after = f"{half.folder.name} after epoch {len(half.epochs)} of {self.dials.EPOCHS}"
            if not self.dials.FRESH:
                print(f"Going on with run {after}, where it was cut off. FRESH = True would start anew.")
                return half
            half.discard()
            print(f"FRESH: the half-finished run {after} was thrown away. This one starts anew.")
        return None

    @contextmanager
    def record_training(self, trainer: Trainer, tokens: Tokens) -> Iterator[Run]:
        """Record what happens inside: ``with recording.record_training(trainer, tokens) as run: trainer.train()``.

        Afterwards the run is on disk, whole: record, predictions, weights and a row in the log. The stop button ends
        the run as ``interrupted`` and the notebook goes on.

        Parameters
        ----------
        trainer : transformers.Trainer
            With ``recording.recorder`` among its callbacks.

        Yields
        ------
        Run

        Raises
        ------
        RunError
            If what would be trained is not what a record can say (a used model, old tokens, arguments that a dial
            turns), if the disk has no room for the trained weights, or if another notebook trains this very run.
        """
        self._refuse_what_the_log_would_not_show(trainer, tokens)
        self._note_departures(trainer)
        if not processes.is_first():
            yield from self._help(trainer, tokens)
            return
        whole = trainer.model.num_parameters()
        unused = left_out(trainer.model, tokens.seen(), self.dials.SPEED)
        no_room = resume.check_room(whole, whole - unused, self.dials.EPOCHS, self._half)
        if processes.agree(no_room):
            self.recorder.saves = False
            print(no_room)
        try:
            with resume.lock(self.folder):
                yield from self._keep(trainer, tokens)
        except Timeout:
            raise RunError(f"{self.run.run_id} is being trained by another notebook at this moment.") from None
        # Every library has its own error for a full disk; that of tokenizers is no more than an Exception.
        except Exception as problem:
            if not (shortage := machine.what_ran_out(problem)):
                raise
            raise RunError(shortage) from None
        resume.tidy(self.folder)
        forget_old_weights()

    def _help(self, trainer: Trainer, tokens: Tokens) -> Iterator[Run]:
        """What a process does that is not the first: train its share, and write nothing."""
        quieten(trainer)
        self.recorder.saves = not processes.agree(None)
        with speed_up(trainer.model, tokens.seen(), self.dials.SPEED, self.precision):
            set_seed(self.run.seed)
            yield self.run

    def _keep(self, trainer: Trainer, tokens: Tokens) -> Iterator[Run]:
        run, model, tokenizer = self.run, trainer.model, trainer.processing_class
        quieten(trainer)
        run.encoder["parameters"] = model.num_parameters()
        run.adapter = adapters.facts(model)
        meter = Meter()
        began = time.perf_counter()
        if not run.baseline:
            run.baseline, _ = score_model(model, tokens, tokenizer, self.precision)
        machine.give_memory_back()
        with speed_up(model, tokens.seen(), self.dials.SPEED, self.precision):
            if shortage := machine.room_in_memory(model, tokens):
                print(shortage)
            set_seed(run.seed)
            train_began = time.perf_counter()
            try:
                yield run
            except KeyboardInterrupt:
                run.outcome = "interrupted"
                print("Stopped by hand. What was recorded so far is kept.")
            else:
                run.outcome = "diverged" if run.outcome == "diverged" else "completed"
            train_seconds = time.perf_counter() - train_began
            _let_the_optimiser_go(trainer)
        # A search over rates gives the Trainer a new model before it trains.
        self._finish(trainer.model, tokenizer, tokens, train_seconds, last_logits(trainer, tokens.at_ends()))
        run.timing["total_seconds"] = time.perf_counter() - began
        if (watt_hours := meter.stop()) is not None:
            run.timing["energy_wh"] = watt_hours
        # In this order a kill between the two does no harm: the run is continued, and the log replaces its row.
        try:
            experiment_log.append(run)
        finally:
            run.save(self.folder)
        self._write_card()

    def _write_card(self) -> None:
        """Say beside the weights what they are; a library's own card, with its empty places, gives way."""
        try:
            (self.folder / "model" / CARD).unlink(missing_ok=True)
            write_card(self.run)
            write_card(self.run, self.folder / ADAPTER)
        except OSError as problem:
            print(f"The model card was not written ({problem.strerror}); the run is kept.")

    def _refuse_what_the_log_would_not_show(self, trainer: Trainer, tokens: Tokens) -> None:
        again = 'Run the notebook again from the section "Dials" (menu: Run, then Run Selected Cell and All Below).'
        for problem in self._contradictions(trainer, tokens):
            raise RunError(f"{problem} {again}")

    def _contradictions(self, trainer: Trainer, tokens: Tokens) -> Iterator[str]:
        """What of a Trainer or of the tokens is not what this run began with."""
        if self.run.outcome != "interrupted" or self.run.final:
            yield f"This run is finished and recorded as {self.run.run_id}."
        start = (self.encoder.revision, self.run.seed)
        format_chosen = self.dials.PRECISION == "auto" or precision_for(self.dials, trainer.model) == self.precision
        if getattr(trainer.model, "start", start) != start or not format_chosen:
            yield "The model was built for other dials than these."
        if weight_movement(trainer.model, self.encoder)["all"] > 0:
            yield "The model has been trained already, so this would be no fresh start."
        if tokens.dials != self.dials:
            yield "The dials were changed after the sentences were tokenised."
        if self.encoder.asked not in ("", self.dials.MODEL):
            yield "The dial MODEL was changed after the encoder was found."
        for part, frame in ((tokens.train, self._train), (tokens.validation, self._validation)):
            if sorted(zip(part["id"], part["labels"], strict=True)) != _ids_and_labels(frame):
                yield "The tokens were made from other sentences than those of the split."
        evaluated, wanted = trainer.eval_dataset, tokens.evaluation()
        same_parts = isinstance(evaluated, dict) and evaluated.keys() == wanted.keys()
        if not (
            same_parts
            and all(evaluated[name] is wanted[name] for name in wanted)
            and trainer.train_dataset is tokens.train
            and self.recorder in trainer.callback_handler.callbacks
        ):
            yield "The Trainer was made for another run than this one."

    def _note_departures(self, trainer: Trainer) -> None:
        """Write down what the dials do not say about this run, and say it."""
        promised = dial_arguments(self.dials, self.run.learning_rate)
        expected = departures.Promised(**promised, **fixed_arguments(self.dials, self.precision, self.folder))
        dialled = (*promised, "seed", "bf16", "fp16")
        departed = departures.of_trainer(trainer, expected, dialled, self.dials)
        if self._half and self._half.departures != departed:
            begun = "; ".join(self._half.departures) or "those of the dials"
            raise RunError(
                f"{self.run.run_id} was begun with other arguments ({begun}) and cut off. To start anew with these, set"
                ' FRESH = True and run the notebook again from the section "Dials".'
            )
        # The recorder holds the same record.
        self.run.departures = departed
        if departed and processes.is_first():
            print(f"This run differs from the dials: {'; '.join(departed)}. The log and the board set it apart.")

    def _finish(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        tokens: Tokens,
        seconds: float,
        known: dict[str, np.ndarray] | None,
    ) -> None:
        run = self.run
        run.final, logits = score_model(model, tokens, tokenizer, self.precision, known)
        adapters.merge(model, self.folder / ADAPTER)
        moved = weight_movement(model, self.encoder)
        run.final = finite(run.final | {"weight_movement": moved.pop("all"), "layer_movement": moved})
        lengths = sum(map(len, tokens.train["input_ids"]))
        run.timing = {
            "train_seconds": seconds,
            "evaluation_seconds": float(np.mean(seen)) if (seen := self.recorder.evaluation_seconds) else None,
            "tokens": round(lengths * (run.steps[-1]["epoch"] if run.steps else 0)),
            "peak_memory_mb": machine.peak_memory_mb(),
        }
        run.diagnosis = diagnose(run).as_dict()
        if resume.room_for(model.num_parameters(), copies=1):
            setattr(model.config, OWN_RUN, run.run_id)
            model.save_pretrained(self.folder / "model")
            tokenizer.save_pretrained(self.folder / "model")
        else:
            print("The disk is full by now: this run's record is kept, its weights are not.")
        labels = [LABELS[index] for index in tokens.validation["labels"]]
        save_predictions(self.folder, tokens.validation["id"], labels, logits)


def _ids_and_labels(frame: pd.DataFrame) -> list[tuple[str, int]]:
    return sorted(zip(frame["id"].astype(str), map(LABELS.index, frame["label"]), strict=True))


def _let_the_optimiser_go(trainer: Trainer) -> None:
    """Give AdamW's two numbers for every weight back to the system: after training nobody asks for them."""
    trainer.optimizer = trainer.lr_scheduler = None
    trainer.callback_handler.optimizer = trainer.callback_handler.lr_scheduler = None
    trainer.accelerator.free_memory()
    machine.give_memory_back()
