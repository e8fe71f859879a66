"""The training loop with the real embedded encoder, on few sentences."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import TrainerCallback

from tuning.data import loading as sentences
from tuning.dials import Dials, SgdDials
from tuning.encoder import finding as encoders
from tuning.encoder.run_models import trained
from tuning.encoder.tokens import tokenise_splits
from tuning.encoder.weight_movement import weight_movement
from tuning.errors import RunError
from tuning.evidence.experiment_log import read_log
from tuning.lessons.held_out_test import closed_test, open_test
from tuning.runs.record import Run
from tuning.runs.store import last_run, load_predictions
from tuning.sgd import classifier
from tuning.training import fit, scoring
from tuning.training import trainer as trainers
from tuning.training.arguments import training_arguments
from tuning.training.recording import Recording, start_run
from tuning.training.scoring import label_probabilities, predict, score_model
from tuning.training.speed.batching import SimilarLengths

LAB = Path(fit.__file__).parents[2]
FEW = {"MODEL": "embedded", "TRAIN_SUBSET": 48, "PRECISION": "fp32"}


@pytest.fixture(scope="module")
def splits() -> sentences.Splits:
    return sentences.split(sentences.load())


def small(splits: sentences.Splits) -> sentences.Splits:
    """The same parts with a short validation part, for speed."""
    return sentences.Splits(splits.train, sentences.subset(splits.validation, 60), splits.test)


def prepare(splits, *more: TrainerCallback, **dials):
    """Everything of the notebook up to the train cell; `more` are further callbacks."""
    dials = Dials(**(FEW | dials))
    data, splits = sentences.load(), small(splits)
    setup = trainers.prepare(dials, splits=splits)
    recording = Recording(dials, data, splits, setup.encoder, dials.PRECISION)
    args = training_arguments(dials, recording.run.learning_rate, dials.PRECISION, recording.folder)
    trainer = trainers.build_trainer(setup, args, callbacks=[recording.recorder, *more])
    return recording, trainer, setup.tokens


def train(splits, *more: TrainerCallback, **dials) -> Run:
    recording, trainer, tokens = prepare(splits, *more, **dials)
    with recording.record_training(trainer, tokens) as run:
        trainer.train(resume_from_checkpoint=recording.checkpoint)
    return run


@pytest.fixture(scope="module")
def trained_once(splits, tmp_path_factory) -> tuple:
    """A folder of runs that holds one, then that run and what `prepare` made for it."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_RUNS", str(folder))
        recording, trainer, tokens = prepare(splits)
        with recording.record_training(trainer, tokens) as run:
            trainer.train()
    return folder, run, recording, trainer, tokens


@pytest.fixture
def once(trained_once, monkeypatch) -> list:
    """The run and what `prepare` made for it; its folder of runs is this test's."""
    folder, *parts = trained_once
    monkeypatch.setenv("WORKSHOP_RUNS", str(folder))
    return parts


def weights_of(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def test_wrong_labels_are_those_of_the_backup_lab_and_stay_out_of_validation(splits):
    tokenizer = encoders.tokenizer(encoders.find("embedded"))
    clean, noisy = (
        tokenise_splits(small(splits), tokenizer, Dials(**FEW | {"LABEL_NOISE": share})) for share in (0, 0.25)
    )
    backup = classifier.features(splits, SgdDials(TRAIN_SUBSET=48, LABEL_NOISE=0.25))
    assert noisy.train["labels"] == backup.train_labels.tolist()
    assert np.mean(np.asarray(noisy.train["labels"]) != clean.train["labels"]) == 0.25
    assert noisy.validation["labels"] == clean.validation["labels"]
    trained_on = dict(zip(noisy.train["id"], noisy.train["labels"], strict=True))
    checked = dict(zip(noisy.train_check["id"], noisy.train_check["labels"], strict=True))
    assert checked.items() <= trained_on.items()


def test_wrong_labels_are_recorded_and_make_another_run(splits):
    data, encoder = sentences.load(), encoders.find("embedded")
    begun = [start_run(Dials(**FEW | {"LABEL_NOISE": share}), data, splits, encoder, "fp32") for share in (0, 0.3)]
    assert [run.dials["LABEL_NOISE"] for run, _ in begun] == [0, 0.3]
    assert [run.apart for run, _ in begun] == [[], ["30% of training labels wrong"]]
    assert begun[0][1] != begun[1][1]


@pytest.mark.slow
def test_a_run_leaves_a_whole_record(once):
    run, *_ = once
    kept = last_run()
    assert kept.run_id == run.run_id
    assert kept.outcome == "completed"
    assert [step["step"] for step in kept.steps] == list(range(1, 13))
    assert [row["epoch"] for row in kept.epochs] == [1, 2]
    assert all(step["learning_rate"] == kept.learning_rate == 7e-5 for step in kept.steps)
    assert all(step["grad_norm"] > 0 for step in kept.steps)
    assert kept.final["val_accuracy"] == pytest.approx(kept.epochs[-1]["val_accuracy"])
    assert kept.final["val_loss"] == pytest.approx(kept.epochs[-1]["val_loss"], abs=1e-5)
    assert kept.final["gap_accuracy"] == pytest.approx(kept.final["train_accuracy"] - kept.final["val_accuracy"])
    assert 0 < kept.final["weight_movement"] < 0.1
    assert kept.timing["tokens"] > 0
    assert not (kept.folder / "checkpoints").exists()


@pytest.mark.slow
def test_predictions_carry_the_recorded_scores(once):
    run, *_, tokens = once
    frame = load_predictions(run)
    assert len(frame) == 60
    truth = frame["label"].map(sentences.LABELS.index).to_numpy()
    logits = frame[list(sentences.LABELS)].to_numpy()
    assert np.mean(logits.argmax(axis=1) == truth) == pytest.approx(run.final["val_accuracy"])
    reread = score_model(*trained(run)[:1], tokens, trained(run)[1], "fp32")[0]
    assert reread["val_loss"] == pytest.approx(run.final["val_loss"], abs=1e-6)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(once, splits, monkeypatch, tmp_path):
    first, *_ = once
    expected = weights_of(first.folder)
    # Apart, so that the second is no continuation or repetition of the first.
    monkeypatch.setenv("WORKSHOP_RUNS", str(tmp_path))
    second, other = train(splits), train(splits, GROUP=4, EPOCHS=1)
    assert weights_of(second.folder) == expected
    assert first.steps == second.steps
    assert first.steps[: len(other.steps)] != other.steps
    assert weights_of(other.folder) != expected


@pytest.mark.slow
def test_a_rate_far_too_high_diverges_or_collapses_and_keeps_its_record(splits):
    run = train(splits, LR_PRESET=10.0)
    assert run.outcome in ("diverged", "completed")
    assert run.diagnosis["verdict"] in ("diverged", "collapsed", "too high")
    text = (run.folder / "run.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text


class Poison(TrainerCallback):
    """Turn a weight into NaN, as a crashed run does."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step == 4:
            with torch.no_grad():
                next(model.parameters())[:] = float("nan")


@pytest.mark.slow
def test_nan_stops_the_run_at_once_and_later_cells_still_work(splits):
    run = train(splits, Poison())
    assert run.outcome == "diverged"
    assert run.steps[-1] == {**run.steps[-1], "step": 5, "loss": None}
    assert run.diagnosis["verdict"] == "diverged"
    assert run.final["val_loss"] is None
    probabilities = label_probabilities(*trained(run)[:1], ["Profit rose."], trained(run)[1])
    assert probabilities.isna().all(axis=None)


class StopButton(TrainerCallback):
    """Press the stop button after the eighth step."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 8:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_the_stop_button_keeps_what_was_recorded(splits, capsys):
    run = train(splits, StopButton())
    assert run.outcome == "interrupted"
    assert len(last_run().epochs) == 1
    assert last_run().final["val_f1_macro"] is not None
    assert "Stopped by hand" in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_training_on_a_used_model_is_refused(once, splits):
    _, recording, trainer, tokens = once
    assert trainer.optimizer is None  # its memory is given back
    with pytest.raises(RunError, match="finished and recorded"), recording.record_training(trainer, tokens):
        pass
    fresh, _, _ = prepare(splits)
    with pytest.raises(RunError, match="trained already"), fresh.record_training(trainer, tokens):
        pass


def test_dials_changed_after_tokenising_are_refused(splits):
    recording, trainer, _ = prepare(splits)
    _, _, other = prepare(splits, MAX_LENGTH=32)
    with (
        pytest.raises(RunError, match="changed after the sentences were tokenised"),
        recording.record_training(trainer, other),
    ):
        pass


def test_arguments_changed_by_hand_are_refused(splits):
    recording, trainer, tokens = prepare(splits)
    trainer.args.weight_decay = 0.5
    with (
        pytest.raises(RunError, match=r"weight_decay = 0.5 \(dials: 0.01\)"),
        recording.record_training(trainer, tokens),
    ):
        pass


def test_batches_have_similar_lengths_every_sentence_once_and_another_order_each_epoch():
    lengths = np.random.default_rng(0).integers(5, 60, 403)
    sampler = SimilarLengths(lengths, 8, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(403))
    spreads = [np.ptp(lengths[first[at : at + 8]]) for at in range(0, 400, 8)]
    assert np.median(spreads) <= 3
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    means = [lengths[first[at : at + 8]].mean() for at in range(0, 400, 8)]
    assert abs(np.corrcoef(range(50), means)[0, 1]) < 0.4


def test_the_microscope_gradient_agrees_with_nudging(splits):
    from tuning.lessons.microscope import Microscope

    _, trainer, tokens = prepare(splits)
    before = {name: weight.clone() for name, weight in trainer.model.named_parameters()}
    lens = Microscope(trainer.model, tokens.train, trainer.processing_class)
    slope = (lens.loss(nudge=0.01) - lens.loss(nudge=-0.01)) / 0.02
    assert slope == pytest.approx(lens.gradient(), rel=0.01)
    assert lens.step(1e-4) < lens.loss()
    assert lens.loss() == lens.loss(nudge=0.0)
    assert all(torch.equal(before[name], weight) for name, weight in trainer.model.named_parameters())


def test_forgetting_is_none_for_an_untouched_encoder_and_large_for_a_scrambled_one(splits):
    from tuning.lessons import forgetting

    model, tokenizer = encoders.build(encoders.find("embedded"), 1)
    pairs = forgetting.everyday_pairs()
    assert len(pairs) == 60
    before = forgetting.similarities(model, tokenizer, pairs)
    assert forgetting.rank_correlation(before, before) == pytest.approx(1)
    assert before[:10].mean() > before[-10:].mean() + 0.3
    assert weight_movement(model, encoders.find("embedded"))["all"] == 0
    with torch.no_grad():
        for weight in model.base_model.parameters():
            weight += 1.0 * weight.std() * torch.randn_like(weight)
    assert forgetting.rank_correlation(before, forgetting.similarities(model, tokenizer, pairs)) < 0.9
    assert weight_movement(model, encoders.find("embedded"))["all"] > 0.1


def script(*options: str, out: Path, runs: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tuning.training.fit", *options, "--out", str(out)]
    environment = os.environ | {"WORKSHOP_RUNS": str(runs), "PYTHONPATH": str(LAB)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")


@pytest.fixture(scope="module")
def csv_of_tens(tmp_path_factory, splits) -> Path:
    """A small CSV of one's own: 30 sentences of each label."""
    path = tmp_path_factory.mktemp("own") / "mine.csv"
    rows = pd.concat([splits.train[splits.train["label"] == label].head(30) for label in sentences.LABELS])
    rows[["sentence", "label"]].to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_the_script_trains_on_a_csv_of_ones_own_and_saves_a_model(tmp_path, csv_of_tens):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "README.md").write_text("written by a person", encoding="utf-8")
    done = script(
        "--data",
        str(csv_of_tens),
        "--set",
        "MODEL=embedded",
        "--set",
        "EPOCHS=1",
        "--save-model",
        str(tmp_path / "m"),
        out=tmp_path / "out",
        runs=tmp_path / "runs",
    )
    assert done.returncode == 0, done.stderr
    assert "Verdict:" in done.stdout
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["data"]["rows"] == 90
    assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == record["data"]["split_sizes"]["validation"]
    from transformers import AutoModelForSequenceClassification

    from tuning.encoder import pooling_head  # noqa: F401

    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "m").config.num_labels == 3
    assert (tmp_path / "m" / "README.md").read_text(encoding="utf-8") == "written by a person"
    for card in (tmp_path / "m" / "README-2.md", tmp_path / "runs" / record["run_id"] / "model" / "README.md"):
        assert ModelCard.load(card).data.eval_results[0].metric_value == round(record["final"]["val_accuracy"], 4)
        assert csv_of_tens.stem not in card.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_wrong_dial_ends_the_script_with_one_line(tmp_path):
    done = script("--set", "EPOCHS=0", out=tmp_path, runs=tmp_path)
    assert done.returncode == 2
    assert "EPOCHS" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "told"), [("LR_PRESET=JUST_RIHGT", "Did you mean JUST_RIGHT"), ("EPOCH=2", "Did you mean EPOCHS")]
)
def test_a_dial_that_is_misspelt_is_refused_with_the_right_name(capsys, option, told):
    assert fit.main(["--set", option]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.slow
def test_nothing_is_evaluated_twice_and_the_scores_are_those_of_asking_again(splits, monkeypatch):
    recording, trainer, tokens = prepare(splits, EPOCHS=1)
    before, _ = score_model(trainer.model, tokens, trainer.processing_class, "fp32")
    asked = []
    monkeypatch.setattr(scoring, "predict", lambda *given: asked.append(given) or predict(*given))
    with recording.record_training(trainer, tokens) as run:
        trainer.train()
    assert asked == []
    assert run.baseline == before
    after, logits = score_model(trainer.model, tokens, trainer.processing_class, "fp32")
    assert len(asked) == 2
    assert {name: run.final[name] for name in after} == after
    assert load_predictions(run)[list(sentences.LABELS)].to_numpy() == pytest.approx(logits, abs=1e-5)


@pytest.mark.slow
def test_plain_trains_with_the_unchanged_trainer(splits):
    run = train(splits, EPOCHS=1, SPEED="plain")
    assert run.dials["SPEED"] == "plain"
    assert run.final["val_loss"] == pytest.approx(run.epochs[-1]["val_loss"], abs=1e-5)


@pytest.mark.parametrize(("words", "cut"), [(94, 0), (95, 6)])
def test_sentences_longer_than_the_limit_are_counted(words, cut):
    """A word is a token here, and two more mark the beginning and the end."""
    frame = pd.DataFrame({"sentence": [f"profit rose {number}" for number in range(30)], "label": "neutral"})
    frame["id"] = range(30)
    frame.loc[:5, "sentence"] = " ".join(["profit"] * words)
    parts = sentences.Splits(frame[:24], frame[24:], frame[:0])
    tokens = tokenise_splits(parts, encoders.tokenizer(encoders.find("embedded")), Dials(**FEW))
    assert tokens.cut == cut
    assert [notice.startswith("6 of 30 are cut at 96 tokens") for notice in tokens.notices] == [True] * bool(cut)


def test_the_test_part_of_the_named_run_is_opened_once_and_reaches_the_log(tiny_distilbert, few, capsys):
    few_dials = {"MODEL": str(tiny_distilbert), "DATA": str(few), "TRAIN_SUBSET": 24, "EPOCHS": 1, "PRECISION": "fp32"}
    first, last = (fit.fit(Dials(**few_dials, GROUP=group), quiet=True) for group in (1, 2))
    assert f'OPEN_TEST = "{last.run_id}"' in closed_test()
    shown = open_test(last_run(first.run_id))
    opened = Run.load(first.folder).test
    assert open_test(last_run(first.run_id)).equals(shown)
    assert Run.load(first.folder).test == opened
    assert last_run().test is None
    rows = read_log().set_index("Run ID")
    assert rows.loc[first.run_id, "Test F1-macro"] == f"{opened['f1_macro']:.3f}"
    assert (rows.loc[first.run_id, "Test opened"], rows.loc[last.run_id, "Test opened"]) == (opened["opened"], "")
