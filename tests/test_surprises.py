"""Known surprises of outside libraries: our code is right about each, and `findings/README.md` names the test."""

import ast
import re
import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from scaling import sweep
from tuning import paths
from tuning.data import loading as sentences
from tuning.dials import Dials, SgdDials
from tuning.encoder import finding as encoders
from tuning.encoder import freezing
from tuning.encoder.tokens import tokenise
from tuning.encoder.weight_movement import weight_movement
from tuning.further.export import quantisation
from tuning.sgd import classifier
from tuning.training.speed.batching import SimilarLengths
from tuning.training.speed.fast_trainer import FastTrainer


def rows_of_the_table() -> list[str]:
    text = (paths.ROOT / "findings" / "README.md").read_text(encoding="utf-8").partition("## Known before")[2]
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((paths.ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_known_surprise_names_its_source_and_tests_that_are_there():
    rows = rows_of_the_table()
    assert len(rows) >= 15
    for row in rows:
        surprise, library, source, who, tested = (cell.strip() for cell in row.strip("|").split(" | "))
        assert surprise and source and who, row
        assert re.search(r"\d", library), f"no version: {row}"
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tested)
        assert named, row
        assert not [name for file, name in named if name not in functions_of(file)], row


@pytest.fixture(scope="module")
def frame():
    return sentences.split(sentences.load()).train


@pytest.fixture
def built(tiny_distilbert, frame):
    """A tiny encoder of the standard kind without dropout, and eight sentences for it."""
    encoder = encoders.find(str(tiny_distilbert))
    model, tokenizer = encoders.build(encoder, 1)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return encoder, model, tokenise(frame.head(8), tokenizer, 16, by_length=False), tokenizer


def arguments(folder, **changes) -> TrainingArguments:
    usual = {"output_dir": str(folder), "use_cpu": True, "report_to": "none", "disable_tqdm": True, "logging_steps": 1}
    return TrainingArguments(**usual | {"max_steps": 1, "save_strategy": "no", "max_grad_norm": 0.0} | changes)


def test_micro_batches_multiply_the_loss_of_the_models_for_which_they_are_refused(built, tmp_path):
    _, model, tokens, tokenizer = built
    tokens = tokens.select_columns(["input_ids", "attention_mask", "labels"])
    losses = []
    for micro in (1, 4):
        args = arguments(
            *(tmp_path,),
            per_device_train_batch_size=8 // micro,
            gradient_accumulation_steps=micro,
            learning_rate=1e-12,
        )
        trainer = Trainer(
            model=model, args=args, train_dataset=tokens, data_collator=DataCollatorWithPadding(tokenizer)
        )
        trainer.train()
        losses.append(trainer.state.log_history[0]["loss"])
        # What the guard asks, see tuning.training.departures.
        assert trainer.model_accepts_loss_kwargs
        assert trainer.loss_is_scaled_for_ga is not False
    assert losses[1] == pytest.approx(4 * losses[0], rel=0.01)


def test_an_evaluation_in_bf16_leaves_weights_that_no_record_takes_for_a_fresh_start(built, tmp_path):
    encoder, model, tokens, tokenizer = built
    args = arguments(tmp_path, bf16_full_eval=True)
    trainer = Trainer(model=model, args=args, eval_dataset=tokens, data_collator=DataCollatorWithPadding(tokenizer))
    assert weight_movement(model, encoder)["all"] == 0
    trainer.evaluate()
    assert next(trainer.model.parameters()).dtype == torch.bfloat16
    # "The model has been trained already, so this would be no fresh start."
    assert weight_movement(trainer.model, encoder)["all"] > 0


def test_the_order_of_the_batches_is_that_of_our_sampler_whatever_the_trainer_seeds(built, frame, tmp_path):
    _, model, _, tokenizer = built
    tokens = tokenise(frame.head(40), tokenizer, 16, by_length=False)
    lengths = [len(row) for row in tokens["input_ids"]]
    expected = list(SimilarLengths(lengths, 8, seed=5))
    for torch_seed in (0, 1):
        torch.manual_seed(torch_seed)
        args = arguments(tmp_path, seed=5, per_device_train_batch_size=8)
        trainer = FastTrainer(
            model=model, args=args, train_dataset=tokens, data_collator=DataCollatorWithPadding(tokenizer)
        )
        labels = torch.cat([batch["labels"] for batch in trainer.get_train_dataloader()]).tolist()
        assert labels == [tokens["labels"][row] for row in expected]


def test_a_search_asks_for_the_highest_macro_f1(tiny_distilbert, monkeypatch):
    asked = {}

    class Searching:
        def hyperparameter_search(self, **settings):
            asked.update(settings)
            return type("Best", (), {"hyperparameters": {}})

    monkeypatch.setattr(sweep.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(sweep, "_space", lambda *rest: (None, {}))
    monkeypatch.setattr(sweep, "_search_trainer", lambda *rest: Searching())
    sweep.search(Dials(MODEL=str(tiny_distilbert)), 1, "optuna")
    assert asked["direction"] == "maximize"
    # Left to itself, the objective is the sum of all scores, the lower the better.
    assert asked["compute_objective"]({"eval_validation_f1_macro": 0.7, "eval_validation_accuracy": 0.8}) == 0.7


def test_the_backup_lab_learns_from_sparse_vectors_alone():
    data = sentences.load()
    made = classifier.features(sentences.split(data), SgdDials(TRAIN_SUBSET=60))
    assert all(sparse.issparse(part) for part in (made.train, made.check, made.validation))
    moved = []
    for vectors in (made.train, made.train.toarray()):
        model = classifier.classifier(SgdDials())
        moved.append(model.partial_fit(vectors[:1], made.train_labels[:1], classes=[0, 1, 2]).intercept_)
    assert moved[0] == pytest.approx(moved[1] / 100)


def test_where_rate_times_alpha_is_one_each_step_forgets_all_before_it():
    data = sentences.load()
    made = classifier.features(sentences.split(data), SgdDials(TRAIN_SUBSET=60))

    def coefficients(alpha: float) -> np.ndarray:
        model = classifier.classifier(SgdDials(LR_PRESET="JUST_RIGHT", ALPHA=alpha))
        return model.fit(made.train, made.train_labels).coef_

    # So it is with JUST_RIGHT for anybody who turns ALPHA up to 0.1: TROUBLESHOOTING says so.
    from_here = 1 / classifier.RATES["JUST_RIGHT"]
    last = coefficients(from_here)
    words_of_a_sentence = np.diff(made.train.indptr)
    assert set(np.count_nonzero(last, axis=1)) <= set(words_of_a_sentence)
    assert np.array_equal(coefficients(3 * from_here), last)
    assert np.count_nonzero(coefficients(SgdDials().ALPHA)) > 20 * np.count_nonzero(last)
    text = (paths.ROOT / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
    assert "the rate times `ALPHA` is 1 or more" in text


def test_a_frozen_encoder_still_learns_with_its_pooler(tiny_bert):
    encoder = encoders.find(str(tiny_bert))
    model, _ = encoders.build(encoder, 1)
    freezing.freeze(model, encoder, "head only")
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    # What freezing `model.base_model` would have left: the classifier alone.
    pooler = {name for name, _ in model.base_model.named_parameters(prefix="bert") if "pooler" in name}
    assert pooler
    assert learning == pooler | {"classifier.weight", "classifier.bias"}


def test_eight_bits_have_a_scale_for_each_output_and_their_full_range(tmp_path, monkeypatch):
    asked = {}
    stand_in = SimpleNamespace(
        QuantType=SimpleNamespace(QInt8="signed", QUInt8="unsigned"),
        quantize_dynamic=lambda *files, **settings: asked.update(settings),
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(quantization=stand_in))
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", stand_in)
    quantisation.quantise(tmp_path, tmp_path, quantisation.RECIPES[quantisation.CHOSEN])
    assert asked["per_channel"] is True
    assert not asked.get("reduce_range", False)
