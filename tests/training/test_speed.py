"""All that departs from the plain Trainer: the losses stay the same, and what was changed is put back."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    Trainer,
)

from tuning.data.loading import load, split
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.encoder.tokens import tokenise_splits
from tuning.training.speed import tricks
from tuning.training.speed.blocks import BertLayer, TransformerBlock
from tuning.training.speed.dropout import keep_mask, scale_of
from tuning.training.speed.fast_trainer import clip_in
from tuning.training.speed.tricks import speed_up
from tuning.training.trainer import TRAINERS

DIALS = Dials(MODEL="embedded", TRAIN_SUBSET=24, MAX_LENGTH=32)
SMALL = {"vocab_size": 120, "num_labels": 3}
KINDS = {
    "bert": lambda: BertForSequenceClassification(
        BertConfig(**SMALL, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96)
    ),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(**SMALL, dim=48, hidden_dim=96, n_layers=2, n_heads=4)
    ),
}


@pytest.fixture(scope="module")
def embedded():
    """The embedded encoder's tokens and a batch with padding."""
    model, tokenizer = encoders.build(encoders.find("embedded"), 1)
    tokens = tokenise_splits(split(load()), tokenizer, DIALS)
    columns = tokens.train.select_columns(["input_ids", "attention_mask", "labels"])
    return model, tokens, DataCollatorWithPadding(tokenizer)(columns[:8])


def small(kind: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = KINDS[kind]()
    mask = torch.ones(6, 11, dtype=torch.long)
    mask[0, 7:] = mask[1, 4:] = 0
    ids = torch.randint(1, 120, (6, 11)) * mask
    return model, {"input_ids": ids, "attention_mask": mask, "labels": torch.arange(6) % 3}


def without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def loss_and_gradients(model: nn.Module, batch, precision: str = "fp32") -> tuple[float, dict[str, torch.Tensor]]:
    model.train()
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = model(**batch).loss
    loss.backward()
    return loss.item(), {name: weight.grad.clone() for name, weight in model.named_parameters()}


def distance(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of all gradients over the norm of the first."""
    apart = sum((left[name] - right[name]).square().sum() for name in left)
    return float((apart / sum(grad.square().sum() for grad in left.values())).sqrt())


@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-5), ("bf16", 0.05)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_block_as_one_function_gives_the_same_loss_and_gradients(kind, precision, near):
    model, batch = small(kind)
    without_dropout(model)
    usual, gradients = loss_and_gradients(model, batch, precision)
    changed = tricks._patch(model, precision)
    assert sum(isinstance(module, BertLayer | TransformerBlock) for module in changed) == 2
    ours, same = loss_and_gradients(model, batch, precision)
    assert ours == pytest.approx(usual, rel=near)
    assert distance(gradients, same) < near


def test_the_embedded_encoder_gives_the_same_loss_and_gradients(embedded):
    model, tokens, batch = embedded
    kept = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    without_dropout(model)
    usual, gradients = loss_and_gradients(model, batch)
    table = model.get_input_embeddings()
    with speed_up(model, tokens.seen(), "fast", "fp32"):
        ours, same = loss_and_gradients(model, batch)
    assert ours == pytest.approx(usual, rel=1e-5)
    word = next(name for name in gradients if name.endswith("word_embeddings.weight"))
    gradients.pop(word), same.pop(word)
    assert distance(gradients, same) < 1e-5
    assert model.get_input_embeddings() is table
    for module, probability in kept.items():
        module.p = probability


@pytest.mark.parametrize("kind", KINDS)
def test_losses_with_dropout_are_the_same_in_distribution(kind):
    model, batch = small(kind)
    model.train()

    def losses(seeds: range) -> np.ndarray:
        found = []
        for seed in seeds:
            torch.manual_seed(seed)
            found.append(model(**batch).loss.item())
        return np.array(found)

    usual = losses(range(300))
    tricks._patch(model, "fp32")
    ours = losses(range(1000, 1300))
    error = np.sqrt(usual.var() / 300 + ours.var() / 300)
    assert abs(usual.mean() - ours.mean()) < 4 * error
    # The standard deviation of 300 draws is known to about 4%.
    assert ours.std() == pytest.approx(usual.std(), rel=0.2)


def test_masks_keep_the_right_share_and_the_same_seed_the_same_elements():
    torch.manual_seed(3)
    mask = keep_mask((1000, 1001), 0.1)
    assert mask.shape == (1000, 1001)
    # Five standard errors of a share of 0.9 among a million.
    assert mask.float().mean().item() == pytest.approx(0.9, abs=5 * 0.0003)
    # Each of the four masks that come from one draw, and neighbours with each other.
    quarter = mask.flatten()[:1_000_000].view(-1, 4).float()
    assert quarter.mean(0).numpy() == pytest.approx(np.full(4, 0.9), abs=5 * 0.0006)
    assert np.abs(np.corrcoef(quarter.numpy().T) - np.eye(4)).max() < 5 * 0.002
    torch.manual_seed(3)
    assert torch.equal(mask, keep_mask((1000, 1001), 0.1))
    assert scale_of(0.1) == pytest.approx(1 / 0.9, rel=1e-5)


@pytest.mark.parametrize("size", [1e-3, 1e3, float("nan")])
def test_clipping_inside_the_optimiser_moves_weights_as_clipping_before_it(size):
    def moved(inside: bool) -> tuple[torch.Tensor, float]:
        torch.manual_seed(0)
        weights = [nn.Parameter(torch.randn(30, 7)), nn.Parameter(torch.randn(7))]
        optimiser = torch.optim.AdamW(weights, lr=0.1, fused=True)
        for _ in range(3):
            for weight in weights:
                weight.grad = size * torch.randn_like(weight)
            clip = torch.nn.utils.clip_grad_norm_
            norm = clip_in(optimiser, weights, 1.0) if inside else clip(weights, 1.0)
            optimiser.step()
        return torch.cat([weight.detach().flatten() for weight in weights]), norm.item()

    (before, norm), (inside, same) = moved(False), moved(True)
    torch.testing.assert_close(inside, before, equal_nan=True)
    assert same == pytest.approx(norm, nan_ok=True)


def test_plain_changes_nothing():
    model, _ = small("bert")
    with speed_up(model, [], "plain", "fp32"):
        assert all("forward" not in vars(module) for module in model.modules())
    assert TRAINERS["plain"] is Trainer
    assert tricks.left_out(model, [], "plain") == 0


def test_what_was_changed_is_put_back_even_after_the_stop_button(embedded):
    model, tokens, _ = embedded
    with pytest.raises(KeyboardInterrupt), speed_up(model, tokens.seen(), "fast", "bf16"):
        assert any("forward" in vars(module) for module in model.modules())
        raise KeyboardInterrupt
    assert all("forward" not in vars(module) for module in model.modules())


def test_a_block_that_stands_still_or_is_unusual_is_left_alone():
    model, batch = small("bert")
    first, second = model.bert.encoder.layer
    first.output.dense.weight.requires_grad_(False)
    second.intermediate.intermediate_act_fn = nn.ReLU()
    tricks._patch(model, "fp32")
    assert "forward" not in vars(first)
    assert "forward" not in vars(second)
    model.train()
    model(**batch).loss.backward()
    assert first.output.dense.weight.grad is None


def test_every_trick_names_something_that_is_there():
    import importlib

    for trick in tricks.TRICKS:
        for place in trick.where.split(", "):
            module, _, name = place.rpartition(".")
            full = module if module.startswith("tuning.") else f"tuning.training.speed.{module}"
            assert hasattr(importlib.import_module(full), name), place
