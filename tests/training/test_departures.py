"""The guard: a record says what was done, or the run is refused in one line."""

import dataclasses

import pytest
import torch
from transformers import (
    EarlyStoppingCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tuning.data import loading as sentences
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.encoder.tokens import tokenise_splits
from tuning.errors import RunError
from tuning.evidence import worksheet
from tuning.notebook.progress import Desk
from tuning.room import board, share
from tuning.room.run_codec import ANOTHER_DEPARTURE
from tuning.runs.record import Run
from tuning.runs.store import last_run
from tuning.training import departures
from tuning.training.arguments import dial_arguments, fixed_arguments
from tuning.training.recording import Recording
from tuning.training.speed.fast_trainer import FastTrainer
from tuning.training.trainer import fixed_parts


@pytest.fixture
def prepare(few, tiny_distilbert):
    """Everything of the notebook up to the train cell, with some arguments or parts of the Trainer changed."""
    data = sentences.load(str(few))
    splits = sentences.split(data)

    def make(arguments=None, kind=FastTrainer, **parts):
        dials = Dials(MODEL=str(tiny_distilbert), DATA=str(few), TRAIN_SUBSET=24, PRECISION="fp32")
        encoder = encoders.find(dials.MODEL)
        model, tokenizer = encoders.build(encoder, dials.seed)
        tokens = tokenise_splits(splits, tokenizer, dials)
        recording = Recording(dials, data, splits, encoder, "fp32")
        promised = dial_arguments(dials, recording.run.learning_rate)
        fixed = fixed_arguments(dials, "fp32", recording.folder)
        usual = {
            "model": model,
            "train_dataset": tokens.train,
            "eval_dataset": tokens.evaluation(),
        }
        callbacks = [recording.recorder, *parts.pop("callbacks", [])]
        args = TrainingArguments(**promised | fixed | (arguments or {}))
        return recording, kind(args=args, callbacks=callbacks, **usual | fixed_parts(tokenizer) | parts), tokens

    return make


def departures_of(recording, trainer, tokens) -> list[str]:
    recording._refuse_what_the_log_would_not_show(trainer, tokens)
    recording._note_departures(trainer)
    return recording.run.departures


class MyTrainer(FastTrainer):
    """What a learner may write."""


class MyCallback(TrainerCallback):
    """A callback can do anything."""


def my_loss(outputs, labels, num_items_in_batch=None):
    return torch.nn.functional.cross_entropy(outputs.logits, labels)


RECORDED = {
    "optim": ({"optim": "sgd"}, {}, ["optim: adamw_torch_fused, sgd"]),
    "clipping": ({"max_grad_norm": 0.1}, {}, ["max_grad_norm: 1.0, 0.1"]),
    "label smoothing": ({"label_smoothing_factor": 0.1}, {}, ["label_smoothing_factor: 0.0, 0.1"]),
    "moments": ({"adam_beta2": 0.9}, {}, ["adam_beta2: 0.999, 0.9"]),
    "noise": ({"neftune_noise_alpha": 5.0}, {}, ["neftune_noise_alpha: none, 5.0"]),
    "a loss": ({}, {"compute_loss_func": my_loss}, ["compute_loss_func: none, my_loss"]),
    "a trainer": ({}, {"kind": MyTrainer}, ["trainer: FastTrainer, MyTrainer"]),
    "the usual trainer": ({}, {"kind": Trainer}, ["trainer: FastTrainer, Trainer"]),
    "a callback": ({}, {"callbacks": [MyCallback()]}, ["callbacks: none, MyCallback"]),
    "early stopping": (
        {"metric_for_best_model": "eval_validation_loss"},
        {"callbacks": [EarlyStoppingCallback()]},
        ["callbacks: none, EarlyStoppingCallback"],
    ),
    "nothing": ({}, {"callbacks": [ProgressCallback()]}, []),
    "what changes no number": ({"save_strategy": "no", "run_name": "mine", "dataloader_num_workers": 1}, {}, []),
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_the_dials_do_not_say_is_recorded(prepare, name, capsys):
    arguments, parts, expected = RECORDED[name]
    assert departures_of(*prepare(arguments, **parts)) == expected
    assert ("This run differs from the dials: " in capsys.readouterr().out) == bool(expected)


REFUSED = {
    "gradient_accumulation_steps = 4": {"gradient_accumulation_steps": 4},
    "max_steps = 5": {"max_steps": 5},
    "logging_steps = 10": {"logging_steps": 10},
    "logging_nan_inf_filter = True": {"logging_nan_inf_filter": True},
    "load_best_model_at_end = True": {"load_best_model_at_end": True},
    "eval_strategy = no": {"eval_strategy": "no"},
    "eval_on_start = True": {"eval_on_start": True},
    "save_only_model = True": {"save_only_model": True},
    "auto_find_batch_size = True": {"auto_find_batch_size": True},
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_recorded_truthfully_is_refused_in_one_line(prepare, told):
    with pytest.raises(RunError, match=f"^{told} cannot be recorded: ") as caught:
        departures_of(*prepare(REFUSED[told]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [{"learning_rate": 0.3}, {"seed": 9}, {"bf16": True}, {"num_train_epochs": 9}])
def test_an_argument_that_a_dial_turns_is_refused(prepare, arguments):
    with pytest.raises(RunError, match=r"does not match the dials: .* Turn the dial, so that the log stays true"):
        departures_of(*prepare(arguments))


def test_micro_batches_are_accepted_where_their_loss_stays_a_mean(prepare):
    class Mean(FastTrainer):
        __module__ = "tuning.training.speed.fast_trainer"
        loss_is_scaled_for_ga = False

    found = departures_of(*prepare({"gradient_accumulation_steps": 4}, kind=Mean))
    assert found == ["gradient_accumulation_steps: 1, 4"]


def test_other_data_sets_than_those_of_the_split_are_refused(prepare):
    recording, trainer, tokens = prepare()
    trainer.eval_dataset = tokens.evaluation() | {"validation": tokens.train_check}
    with pytest.raises(RunError, match="made for another run"):
        departures_of(recording, trainer, tokens)
    recording, trainer, tokens = prepare()
    flipped = tokens.train.map(lambda row: {"labels": (row["labels"] + 1) % 3})
    trainer.train_dataset = flipped
    with pytest.raises(RunError, match="other sentences than those of the split"):
        departures_of(recording, trainer, dataclasses.replace(tokens, train=flipped))


def test_other_scores_than_ours_are_refused(prepare):
    with pytest.raises(RunError, match=r"^compute_metrics cannot be recorded"):
        departures_of(*prepare(compute_metrics=lambda prediction: {"accuracy": 1.0}))


def test_a_changed_model_is_recorded(prepare):
    recording, trainer, tokens = prepare()
    trainer.model.classifier = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(32, 3))
    trainer.model.config.problem_type = "multi_label_classification"
    for weight in trainer.model.base_model.parameters():
        weight.requires_grad_(False)
    found = departures_of(recording, trainer, tokens)
    assert found[:2] == [
        "model: as built by the workshop, changed",
        "problem_type: single_label_classification, multi_label_classification",
    ]
    assert found[2].startswith("weights that stand still: 0, ")


def test_optimizers_of_ones_own_are_recorded(prepare):
    weights = torch.nn.Linear(1, 1).parameters()
    found = departures_of(*prepare(optimizer_cls_and_kwargs=(torch.optim.SGD, {"lr": 0.1})))
    assert found == ["optimizer_cls_and_kwargs: none, SGD"]
    recording, trainer, tokens = prepare()
    trainer.optimizer = torch.optim.SGD(weights, lr=0.1)
    assert departures_of(recording, trainer, tokens) == ["optimizer: none, SGD"]


@pytest.mark.parametrize("value", ["<b>bold</b>", "C:/Users/amira", "a, b; c", "=1+1", "", "x" * 500, None, 1e-8])
def test_a_departure_survives_the_journey_to_the_board(make_run, value):
    told = departures.departure("optim_args", None, value)
    came = share.read(share.line(make_run(departures=[told]), "Blue 4")).run
    assert came.departures == [told] != [ANOTHER_DEPARTURE]


@pytest.mark.slow
def test_a_run_that_differs_stands_apart_everywhere(prepare, make_run, keep_run, capsys):
    recording, trainer, tokens = prepare({"optim": "sgd"})
    with recording.record_training(trainer, tokens):
        trainer.train(resume_from_checkpoint=recording.checkpoint)
    told = "optim: adamw_torch_fused, sgd"
    assert f"This run differs from the dials: {told}." in capsys.readouterr().out
    run = last_run()
    assert (run.departures, run.outcome) == ([told], "completed")
    plain = dataclasses.replace(Run.load(run.folder), run_id="plain", departures=[])
    keep_run(plain)
    keep_run(dataclasses.replace(plain, run_id="plain-too"))
    found = board.collect()
    assert [shared.run.run_id for shared, _ in found.apart] == [run.run_id]
    assert told in board.not_comparable(found)["Why apart"].item()
    assert f"{run.run_id} ({told})" in worksheet.worksheet_row(run)
    desk = Desk()
    assert run.run_id not in [other.run_id for other in desk.runs]
    assert any(told in warning for warning in desk.warnings)


def test_a_run_that_was_cut_off_is_not_continued_with_other_arguments(prepare):
    recording, trainer, tokens = prepare({"optim": "sgd"})
    assert departures_of(recording, trainer, tokens)
    checkpoint = recording.folder / "checkpoints" / "checkpoint-3"
    checkpoint.mkdir(parents=True)
    recording.recorder.on_save(trainer.args, type("State", (), {"global_step": 3}), None)
    with pytest.raises(RunError, match=r"begun with other arguments \(optim: adamw_torch_fused, sgd\) .* FRESH = True"):
        departures_of(*prepare())
    assert departures_of(*prepare({"optim": "sgd"})) == ["optim: adamw_torch_fused, sgd"]
