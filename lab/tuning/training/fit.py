"""Fine-tune an encoder with the Hugging Face Trainer and record every step.

The notebook shows the story (`TrainingArguments`, `Trainer`, `trainer.train()`); this module holds what stands around
it: tokenising, the settings that are the same in every run, the recorder, resuming, and the same loop as a script
(``python -m tuning.training.fit``).
"""

import argparse
import copy
import dataclasses
import errno
import hashlib
import json
import math
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from filelock import Timeout
from safetensors import safe_open
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from tuning import paths
from tuning.command import one_line_errors
from tuning.data.labels import LABELS
from tuning.data.loading import Data, Splits, check_parts, label_counts, load, split, subset, training_part
from tuning.data.splits import MOST_AFTER_EPOCH, scored, scored_sizes
from tuning.dials import Dials, parse_settings
from tuning.encoder import finding as encoders
from tuning.encoder import freezing
from tuning.errors import DialError, EncoderError, RunError
from tuning.evidence import experiment_log, run_tables
from tuning.evidence.predictions import note_start
from tuning.runs import metrics
from tuning.runs.diagnosis import diagnose
from tuning.runs.energy import Meter
from tuning.runs.metrics import CHECK_SIZE
from tuning.runs.record import Run, finite
from tuning.runs.store import (
    adopted_from,
    copy_results,
    forget_old_weights,
    last_run,
    make_room_in,
    new_folder,
    save_predictions,
    without_weights,
)
from tuning.training import departures, machine, processes, resume
from tuning.training.evaluation import compute_metrics
from tuning.training.live import ProgressLine
from tuning.training.speed import tricks

if TYPE_CHECKING:
    from tuning.encoder.finding import Encoder

EVAL_BATCH = 64
NUMBER_FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}
EXPLODED = 100.0
NUMBERS_KEPT = 17
OUT_OF_DISK = ("No space left", "PytorchStreamWriter failed", "unexpected pos", "iostream error")
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")
SMALLER = (
    'Close other notebooks, turn BATCH_SIZE or MAX_LENGTH down, set MODEL = "embedded", or take the backup lab'
    " (notebook 02)."
)


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The parts of the data as token numbers, ready for the Trainer.

    Attributes
    ----------
    train : datasets.Dataset
        The training sentences in use (``TRAIN_SUBSET``).
    train_check : datasets.Dataset
        The fixed training subset on which training accuracy and loss are measured, in evaluation mode.
    validation : datasets.Dataset
        What is scored before and after training.
    validation_check : datasets.Dataset
        The fixed part of it that is scored after each epoch; all of it, unless there are very many.
    dials : Dials
        The dials that these were made with.
    cut : int
        Sentences of `train` and `validation` that are longer than ``MAX_LENGTH``.
    """

    train: Dataset
    train_check: Dataset
    validation: Dataset
    validation_check: Dataset
    dials: Dials
    cut: int = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know about the tokens: how many sentences lose their end."""
        if not self.cut:
            return ()
        total = len(self.train) + len(self.validation)
        return (f"{self.cut} of {total} are cut at {self.dials.MAX_LENGTH} tokens (MAX_LENGTH); the rest is not read.",)

    def evaluation(self) -> dict[str, Dataset]:
        """The two parts that are scored after every epoch, by name."""
        return {"validation": self.validation_check, "train": self.train_check}

    def at_ends(self) -> dict[str, Dataset]:
        """The two parts that are scored before and after training, by name."""
        return {"validation": self.validation, "train": self.train_check}

    def seen(self) -> tuple[Dataset, Dataset]:
        """All sentences that the model sees while it trains; those for checking are some of the training sentences."""
        return self.train, self.validation


def tokenise(frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int, *, by_length: bool) -> Dataset:
    """Turn sentences into token numbers.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``id``, ``sentence`` and ``label``.
    tokenizer : transformers.PreTrainedTokenizerBase
    max_length : int
        Tokens kept of each sentence.
    by_length : bool
        Sort by length, so that a batch in evaluation needs little padding.

    Returns
    -------
    datasets.Dataset
        ``id``, ``labels``, ``input_ids`` and ``attention_mask``, one row per sentence.

    Raises
    ------
    DialError
        If the model cannot read so many tokens at once.
    """
    if max_length > (most := tokenizer.model_max_length):
        raise DialError(f"MAX_LENGTH = {max_length} is more than this encoder can read. Set it to {most} or less.")
    encoded = tokenizer(frame["sentence"].tolist(), truncation=True, max_length=max_length, return_token_type_ids=False)
    columns = {
        "id": frame["id"].astype(str).tolist(),
        "labels": [LABELS.index(label) for label in frame["label"]],
        "input_ids": encoded["input_ids"],
        "attention_mask": encoded["attention_mask"],
    }
    if by_length:
        order = sorted(range(len(frame)), key=lambda row: len(columns["input_ids"][row]))
        columns = {name: [values[row] for row in order] for name, values in columns.items()}
    return Dataset.from_dict(columns)


def tokenise_splits(splits: Splits, tokenizer: PreTrainedTokenizerBase, dials: Dials) -> Tokens:
    """Tokenise what one run uses: the training subset, its fixed part for checking, and validation.

    Label noise is in the training labels alone; the part for checking keeps the labels that the model is trained on.
    """
    train = training_part(splits, dials.TRAIN_SUBSET, dials.LABEL_NOISE)
    check = subset(train, CHECK_SIZE)
    validation, few = scored(splits), scored(splits, MOST_AFTER_EPOCH)
    parts = [
        tokenise(train, tokenizer, dials.MAX_LENGTH, by_length=False),
        tokenise(check, tokenizer, dials.MAX_LENGTH, by_length=True),
        tokenise(validation, tokenizer, dials.MAX_LENGTH, by_length=True),
    ]
    all_of_it = len(few) == len(validation)
    parts.append(parts[2] if all_of_it else tokenise(few, tokenizer, dials.MAX_LENGTH, by_length=True))
    cut = sum(_cut(part, frame, tokenizer, dials) for part, frame in ((parts[0], train), (parts[2], validation)))
    return Tokens(*parts, dials, cut)


def _cut(tokens: Dataset, frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, dials: Dials) -> int:
    """How many sentences have more tokens than are kept; only those that fill the length are looked at again."""
    full = {row for row, ids in zip(tokens["id"], tokens["input_ids"], strict=True) if len(ids) == dials.MAX_LENGTH}
    sentences = frame["sentence"][frame["id"].astype(str).isin(full)].tolist()
    whole = tokenizer(sentences, verbose=False)["input_ids"] if sentences else []
    return sum(len(ids) > dials.MAX_LENGTH for ids in whole)


def plumbing(dials: Dials, precision: str, folder: Path | None = None) -> dict[str, Any]:
    """The training arguments that are the same in every run and carry no lesson.

    Parameters
    ----------
    dials : Dials
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.
    folder : pathlib.Path, optional
        Where checkpoints go.
    """
    return {
        "output_dir": str((folder or paths.runs()) / resume.CHECKPOINTS),
        "seed": dials.seed,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        # Scoring needs no gradients, so larger batches fit.
        "per_device_eval_batch_size": EVAL_BATCH,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "logging_steps": 1,
        # The default would write a loss that is not a number as 0.0, the one thing a learner must not see.
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        # Several processes: the loss is their mean. The default multiplies it by their number, for models that divide
        # by the tokens of all of them; a classifier's loss is a mean already.
        "average_tokens_across_devices": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def settings(dials: Dials, learning_rate: float) -> dict[str, Any]:
    """The training arguments that the dials decide, as the notebook writes them out."""
    return {
        "learning_rate": learning_rate,
        "lr_scheduler_type": dials.SCHEDULER,
        "warmup_steps": dials.warmup,
        "num_train_epochs": dials.EPOCHS,
        "per_device_train_batch_size": dials.BATCH_SIZE,
        "weight_decay": dials.WEIGHT_DECAY,
    }


def arguments(dials: Dials, learning_rate: float, precision: str, folder: Path | None = None) -> TrainingArguments:
    """The training arguments of the notebook's loop, for the script and for tests."""
    return TrainingArguments(**settings(dials, learning_rate), **plumbing(dials, precision, folder))


@torch.inference_mode()
def predict(model: PreTrainedModel, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, precision: str) -> np.ndarray:
    """Logits of every sentence, in evaluation mode.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokens : datasets.Dataset
        As :func:`tokenise` gives it.
    tokenizer : transformers.PreTrainedTokenizerBase
    precision : str
        Number format, as in training.

    Returns
    -------
    numpy.ndarray of shape (sentences, labels), float32
    """
    model.eval()
    collate = DataCollatorWithPadding(tokenizer)
    kept = tokens.select_columns(["input_ids", "attention_mask"])
    dtype = NUMBER_FORMATS.get(precision, torch.float32)
    logits = []
    for start in range(0, len(kept), EVAL_BATCH):
        batch = collate(kept[start : start + EVAL_BATCH]).to(model.device)
        with torch.autocast(model.device.type, dtype=dtype, enabled=precision != "fp32"):
            logits.append(model(**batch).logits.float().cpu().numpy())
    return np.concatenate(logits)


def read(model: PreTrainedModel, sentences: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> pd.DataFrame:
    """Probabilities that a model gives to sentences of your own.

    Returns
    -------
    pandas.DataFrame
        One row per sentence, one column per label, each row summing to 1; NaN from a diverged model.
    """
    frame = pd.DataFrame({"id": range(len(sentences)), "sentence": list(sentences), "label": LABELS[0]})
    tokens = tokenise(frame, tokenizer, tokenizer.model_max_length, by_length=False)
    logits = predict(model, tokens, tokenizer, "fp32")
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(np.exp(metrics.log_softmax(logits)), columns=LABELS, index=list(sentences))


def measure(
    model: PreTrainedModel,
    tokens: Tokens,
    tokenizer: PreTrainedTokenizerBase,
    precision: str,
    logits: dict[str, np.ndarray] | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """Score a model on validation and on the fixed training subset, with intervals and the gap.

    The same model with the same weights is not asked a second time: the notebook shows the baseline, and the record
    wants it again.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokens : Tokens
    tokenizer : transformers.PreTrainedTokenizerBase
    precision : str
        Number format, as in training.
    logits : dict of str to numpy.ndarray, optional
        Those of each part of ``tokens.at_ends()``, where they are known already.

    Returns
    -------
    scores : dict
        The keys of ``final`` in ``run.schema.json``, weight movement apart.
    logits : numpy.ndarray of shape (validation sentences, labels)
        In the order of ``tokens.validation``.
    """
    asked = None
    if logits is None:
        asked = precision, _checksum(model)
        known = getattr(model, "measured", None)
        if known is not None and known[0] is tokens and known[1] == asked:
            return copy.deepcopy(known[2])
        logits = {name: predict(model, part, tokenizer, precision) for name, part in tokens.at_ends().items()}
    validation, truth = logits["validation"], np.asarray(tokens.validation["labels"])
    train = metrics.score(logits["train"], np.asarray(tokens.train_check["labels"]))
    scores = metrics.summary(train, metrics.score(validation, truth), validation, truth), validation
    if asked is not None:
        model.measured = (tokens, asked, copy.deepcopy(scores))
    return scores


def _checksum(model: PreTrainedModel) -> int:
    """A number that changes when any weight does."""
    total = 0
    for weight in model.parameters():
        total = zlib.crc32(weight.detach().cpu().contiguous().numpy().data, total)
    return total


def movement(model: PreTrainedModel, encoder: "Encoder") -> dict[str, float]:
    """How far training moved the pretrained weights: the norm of their change over their norm at the start.

    The start is read from the encoder's file, one tensor at a time, so that the weights are never held twice. The head
    is left out: it started at random and knew nothing to forget.

    Returns
    -------
    dict of str to float
        ``all``, then ``embeddings`` and each ``layer 1``, ``layer 2`` ...; NaN after a diverged run.
    """
    prefix = model.base_model_prefix + "."
    change: dict[str, float] = {}
    size: dict[str, float] = {}
    with safe_open(encoder.folder / "model.safetensors", framework="pt") as file:
        stored = {name.removeprefix(prefix): name for name in file.keys()}  # noqa: SIM118 - not a dictionary
        for name, weight in model.base_model.named_parameters():
            if name not in stored or name.startswith("pooler"):
                continue
            start = file.get_tensor(stored[name]).float()
            moved = weight.detach().cpu().float() - start
            for part in ("all", _part(name)):
                change[part] = change.get(part, 0.0) + float(moved.square().sum())
                size[part] = size.get(part, 0.0) + float(start.square().sum())
    return {part: math.sqrt(change[part] / size[part]) for part in change}


def _part(name: str) -> str:
    pieces = name.split(".")
    number = next((piece for piece in pieces if piece.isdigit()), None)
    return "embeddings" if number is None else f"layer {int(number) + 1}"


class Recorder(TrainerCallback):
    """Write down every step and epoch of a run, stop it when it diverges, and mark whole checkpoints.

    Parameters
    ----------
    run : Run
        The record to fill.
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
                "grad_norm": _finite_or_none(logs.get("grad_norm")),
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
                "train_loss": _finite_or_none(both["eval_train_loss"]),
                "train_accuracy": both["eval_train_accuracy"],
                "val_loss": _finite_or_none(both["eval_validation_loss"]),
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


def _ids_and_labels(frame: pd.DataFrame) -> list[tuple[str, int]]:
    return sorted(zip(frame["id"].astype(str), map(LABELS.index, frame["label"]), strict=True))


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def start_run(
    dials: Dials, data: Data, splits: Splits, encoder: "Encoder", precision: str, notebook: str = "01"
) -> tuple[Run, str]:
    """Begin a record: everything that is known before the first step.

    Returns
    -------
    run : Run
    fingerprint : str
        Hash of all that decides the numbers: dials, data, encoder, versions, precision, threads and processes.
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
        self, dials: Dials, data: Data, splits: Splits, encoder: "Encoder", precision: str, notebook: str = "01"
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
    def keep(self, trainer: Trainer, tokens: Tokens) -> Iterator[Run]:
        """Record what happens inside: ``with recording.keep(trainer, tokens) as run: trainer.train(...)``.

        Afterwards the run is on disk, whole: record, predictions, weights and a row in the log. The stop button ends
        the run as ``interrupted`` and the notebook goes on.

        Parameters
        ----------
        trainer : transformers.Trainer
            With ``recording.recorder`` among its callbacks.
        tokens : Tokens

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
        unused = tricks.left_out(trainer.model, tokens.seen(), self.dials.SPEED)
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
            if not (told := what_ran_out(problem)):
                raise
            raise RunError(told) from None
        resume.tidy(self.folder)
        forget_old_weights()

    def _help(self, trainer: Trainer, tokens: Tokens) -> Iterator[Run]:
        """What a process does that is not the first: train its share, and write nothing."""
        _quiet(trainer)
        self.recorder.saves = not processes.agree(None)
        with tricks.tricks(trainer.model, tokens.seen(), self.dials.SPEED, self.precision):
            set_seed(self.run.seed)
            yield self.run

    def _keep(self, trainer: Trainer, tokens: Tokens) -> Iterator[Run]:
        run, model, tokenizer = self.run, trainer.model, trainer.processing_class
        _quiet(trainer)
        run.encoder["parameters"] = model.num_parameters()
        meter = Meter()
        began = time.perf_counter()
        if not run.baseline:
            run.baseline, _ = measure(model, tokens, tokenizer, self.precision)
        machine.give_memory_back()
        with tricks.tricks(model, tokens.seen(), self.dials.SPEED, self.precision):
            if told := room_in_memory(model, tokens):
                print(told)
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
        self._finish(trainer.model, tokenizer, tokens, train_seconds, tricks.last_logits(trainer, tokens.at_ends()))
        run.timing["total_seconds"] = time.perf_counter() - began
        if (watt_hours := meter.stop()) is not None:
            run.timing["energy_wh"] = watt_hours
        # In this order a kill between the two does no harm: the run is continued, and the log replaces its row.
        try:
            experiment_log.append(run)
        finally:
            run.save(self.folder)

    def _refuse_what_the_log_would_not_show(self, trainer: Trainer, tokens: Tokens) -> None:
        again = 'Run the notebook again from the section "Dials" (menu: Run, then Run Selected Cell and All Below).'
        if self.run.outcome != "interrupted" or self.run.final:
            raise RunError(f"This run is finished and recorded as {self.run.run_id}. {again}")
        start = (self.encoder.revision, self.run.seed)
        format_chosen = self.dials.PRECISION == "auto" or precision_for(self.dials, trainer.model) == self.precision
        if getattr(trainer.model, "start", start) != start or not format_chosen:
            raise RunError(f"The model was built for other dials than these. {again}")
        if movement(trainer.model, self.encoder)["all"] > 0:
            raise RunError(f"The model has been trained already, so this would be no fresh start. {again}")
        if tokens.dials != self.dials:
            raise RunError(f"The dials were changed after the sentences were tokenised. {again}")
        if self.encoder.asked not in ("", self.dials.MODEL):
            raise RunError(f"The dial MODEL was changed after the encoder was found. {again}")
        for part, frame in ((tokens.train, self._train), (tokens.validation, self._validation)):
            if sorted(zip(part["id"], part["labels"], strict=True)) != _ids_and_labels(frame):
                raise RunError(f"The tokens were made from other sentences than those of the split. {again}")
        scored, wanted = trainer.eval_dataset, tokens.evaluation()
        same = isinstance(scored, dict) and scored.keys() == wanted.keys()
        same = same and all(scored[name] is wanted[name] for name in wanted)
        if not same or trainer.train_dataset is not tokens.train:
            raise RunError(f"The Trainer was made for another run than this one. {again}")
        if self.recorder not in trainer.callback_handler.callbacks:
            raise RunError(f"The Trainer was made for another run than this one. {again}")

    def _note_departures(self, trainer: Trainer) -> None:
        """Write down what the dials do not say about this run, and say it."""
        promised = settings(self.dials, self.run.learning_rate)
        expected = departures.Promised(**promised, **plumbing(self.dials, self.precision, self.folder))
        dialled = (*promised, "seed", "bf16", "fp16")
        found = departures.of_trainer(trainer, expected, dialled, self.dials)
        if self._half and self._half.departures != found:
            begun = "; ".join(self._half.departures) or "those of the dials"
            raise RunError(
                f"{self.run.run_id} was begun with other arguments ({begun}) and cut off. To start anew with these, set"
                ' FRESH = True and run the notebook again from the section "Dials".'
            )
        # The recorder holds the same record.
        self.run.departures = found
        if found and processes.is_first():
            print(f"This run differs from the dials: {'; '.join(found)}. The log and the board set it apart.")

    def _finish(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        tokens: Tokens,
        seconds: float,
        known: dict[str, np.ndarray] | None,
    ) -> None:
        run = self.run
        run.final, logits = measure(model, tokens, tokenizer, self.precision, known)
        moved = movement(model, self.encoder)
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
            setattr(model.config, encoders.OWN_RUN, run.run_id)
            model.save_pretrained(self.folder / "model")
            tokenizer.save_pretrained(self.folder / "model")
        else:
            print("The disk is full by now: this run's record is kept, its weights are not.")
        labels = [LABELS[index] for index in tokens.validation["labels"]]
        save_predictions(self.folder, tokens.validation["id"], labels, logits)


def what_ran_out(problem: BaseException) -> str:
    """Say it in a line where training failed because memory or disk was full; empty where it failed otherwise."""
    text = str(problem)
    if isinstance(problem, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return f"The memory of this machine is full, so training stopped. {SMALLER}"
    if getattr(problem, "errno", None) == errno.ENOSPC or any(words in text for words in OUT_OF_DISK):
        return (
            "The disk became full while this run was written. Free some space, then run the notebook again from the"
            ' section "Dials": it goes on after the last whole epoch.'
        )
    return ""


def room_in_memory(model: PreTrainedModel, tokens: Tokens) -> str:
    """Look, before the first step, whether training will fit into the memory that is free.

    Counted are the gradients, AdamW's two moving averages, and what a batch of the longest sentences keeps for the
    backward pass: some 17 numbers per token, layer and unit of width (Korthikanti et al. 2022, Reducing Activation
    Recomputation in Large Transformer Models, section 4.1).

    Returns
    -------
    str
        What to tell the learner if it will not; empty otherwise.
    """
    if model.device.type != "cpu":
        return ""
    longest = max(map(len, tokens.train["input_ids"]))
    config = model.config
    kept = NUMBERS_KEPT * longest * tokens.dials.BATCH_SIZE * config.hidden_size * config.num_hidden_layers
    needed = 4 * (3 * model.num_parameters() + kept)
    free = machine.free_memory()
    if free >= needed:
        return ""
    return (
        f"There may be too little memory: training needs about {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB is free."
        f" If the kernel dies, that is why. {SMALLER}"
    )


def _quiet(trainer: Trainer) -> None:
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)


def _let_the_optimiser_go(trainer: Trainer) -> None:
    """Give AdamW's two numbers for every weight back to the system: after training nobody asks for them."""
    trainer.optimizer = trainer.lr_scheduler = None
    trainer.callback_handler.optimizer = trainer.callback_handler.lr_scheduler = None
    trainer.accelerator.free_memory()
    machine.give_memory_back()


def trained(run: Run) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Bring back the trained weights of a run from disk.

    Raises
    ------
    RunError
        If they are no longer kept.
    """
    folder = run.folder / "model"
    if (group := adopted_from(run)) is not None:
        raise RunError(without_weights(run, group))
    if not (folder / "model.safetensors").is_file():
        raise RunError(
            f"{run.run_id}: its weights are no longer on disk (only the newest runs keep them). Train it again."
        )
    kept = encoders.Encoder(run.encoder["name"], "folder", folder, run.encoder["revision"], {}, keeps_head=True)
    return encoders.build(kept, run.seed)


def untrained(run: Run) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Build the model as it was before the run: the same encoder, the same random head."""
    return encoders.build(encoder_of(run), run.seed)


def encoder_of(run: Run) -> "Encoder":
    """Find the encoder that a run started from.

    Raises
    ------
    EncoderError
        If it is not here any more.
    """
    model = "embedded" if run.encoder["source"] == "embedded" else run.dials["MODEL"]
    found = encoders.find(model)
    if found.revision != run.encoder["revision"]:
        raise EncoderError(f"{run.run_id}: its encoder, {run.encoder['name']}, is not here any more. Train again.")
    return dataclasses.replace(found, asked=run.dials["MODEL"])


def open_test(run: Run) -> pd.DataFrame:
    """Score a run on the test part and write into its record when that was done.

    Opening it again shows the same numbers and the time of the first opening.

    Returns
    -------
    pandas.DataFrame
        Validation and test side by side.

    Raises
    ------
    RunError
        If the data file has changed since the run, or the weights are gone.
    """
    data = load(run.dials["DATA"], run.dials.get("AGREEMENT", "all"))
    if data.sha256 != run.data["sha256"]:
        raise RunError(
            f"{run.run_id}: {run.data['path']} has changed since this run. Train again, then open the test part."
        )
    if run.test is None:
        model, tokenizer = trained(run)
        tokens = tokenise(split(data).test, tokenizer, run.dials["MAX_LENGTH"], by_length=True)
        logits = predict(model, tokens, tokenizer, run.machine["precision"])
        truth = np.asarray(tokens["labels"])
        scores = metrics.score(logits, truth)
        run.test = {
            "opened": datetime.now().astimezone().isoformat(timespec="seconds"),
            "accuracy": scores.accuracy,
            "f1_macro": scores.f1_macro,
            "loss": scores.loss,
            "accuracy_interval": list(metrics.accuracy_interval(scores.correct, scores.size)),
            "f1_macro_interval": list(metrics.f1_interval(logits, truth)),
            "size": scores.size,
        }
        run.save()
        # Its row in the log shows the scores too.
        experiment_log.append(run)
    return run_tables.validation_and_test(run)


def closed_test() -> str:
    """What the cell says that opens the test part while it names no run."""
    try:
        run_id = last_run().run_id
    except RunError as problem:
        return f"The test part stays closed. {problem}"
    return (
        f'The test part stays closed. To open it for your last run, once, write OPEN_TEST = "{run_id}".\n'
        "For another run write that one's Run ID, from the experiment log, or an ending that only it has."
    )


def fit(
    dials: Dials,
    notebook: str = "script",
    quiet: bool = False,
    watch: Callable[[Run], TrainerCallback] = ProgressLine,
    encoder: "Encoder | None" = None,
) -> Run:
    """The notebook's loop in one call: data, encoder, tokens, training and the record.

    Parameters
    ----------
    dials : Dials
    notebook : str
        What the record says it came from.
    quiet : bool
        Without a progress bar.
    watch : callable
        Gives what shows the progress of a run: a progress bar by default.
    encoder : Encoder, optional
        One that was found already, and told about; by default the dial ``MODEL`` says which.

    Returns
    -------
    Run
        Recorded under ``lab/runs/``.
    """
    data = load(dials.DATA, dials.AGREEMENT)
    splits = split(data)
    if encoder is None:
        encoder = encoders.find(dials.MODEL)
        for notice in (*data.notices, encoder.banner):
            if notice and not quiet:
                print(notice, file=sys.stderr)
    model, tokenizer = encoders.build(encoder, dials.seed)
    encoder = freezing.freeze(model, encoder, dials.trained)
    tokens = tokenise_splits(splits, tokenizer, dials)
    for notice in () if quiet else tokens.notices:
        print(notice, file=sys.stderr)
    precision = precision_for(dials, model)
    recording = Recording(dials, data, splits, encoder, precision, notebook)
    trainer = tricks.TRAINERS[dials.SPEED](
        model=model,
        args=arguments(dials, recording.run.learning_rate, precision, recording.folder),
        train_dataset=tokens.train,
        eval_dataset=tokens.evaluation(),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
        callbacks=[recording.recorder] if quiet else [recording.recorder, watch(recording.run)],
    )
    with recording.keep(trainer, tokens) as run:
        trainer.train(resume_from_checkpoint=recording.checkpoint)
    return run


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """The loop of notebook 01 as a script; see ``python -m tuning.training.fit --help``."""
    parser = argparse.ArgumentParser(prog="python -m tuning.training.fit", description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="CSV", help="a CSV of your own instead of the bundled sentences")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial, such as EPOCHS=3")
    parser.add_argument("--fresh", action="store_true", help="throw away a half-finished run of the same dials")
    parser.add_argument("--out", type=Path, metavar="DIR", help="copy run.json and predictions.csv to this folder")
    parser.add_argument("--save-model", type=Path, metavar="DIR", help="write the trained model to this folder")
    options = parser.parse_args(argv)
    chosen = parse_settings(options.set) | ({"DATA": options.data} if options.data else {})
    for folder in filter(None, (options.out, options.save_model)):
        make_room_in(folder)
    run = fit(Dials.from_settings(chosen | ({"FRESH": True} if options.fresh else {})))
    processes.leave()
    if not processes.is_first():
        return 0
    print(run_tables.before_after(run).to_string())
    print(run_tables.verdict_text(run))
    if options.out:
        copy_results(run.folder, options.out)
    if options.save_model:
        shutil.copytree(run.folder / "model", options.save_model, dirs_exist_ok=True)
    return 0


def precision_for(dials: Dials, model: PreTrainedModel) -> str:
    """Number format for this model on this machine, by the dial ``PRECISION``."""
    config = model.config
    wide = getattr(config, "intermediate_size", None) or getattr(config, "hidden_dim", 4 * config.hidden_size)
    return machine.choose_precision(dials.PRECISION, config.hidden_size, wide)


if __name__ == "__main__":
    sys.exit(main())
