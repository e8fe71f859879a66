"""Rows of the embedding table that no sentence uses are left out of training, and nothing else changes."""

import pytest
import torch
from datasets import Dataset

from tuning.dials import TRAINED_PARTS
from tuning.encoder import finding as encoders
from tuning.encoder import freezing
from tuning.training.speed import embedding_rows

PADDING = 0
PART = Dataset.from_dict({"input_ids": [[101, 2054, 102], [101, 7, 7, 102]]})
USED = [PADDING, 7, 101, 102, 2054]
BATCH = {
    "input_ids": torch.tensor([[101, 2054, 102, PADDING], [101, 7, 7, 102]]),
    "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]),
    "labels": torch.tensor([0, 2]),
}


@pytest.fixture
def build(tiny_distilbert):
    encoder = encoders.find(str(tiny_distilbert))
    return lambda: encoders.build(encoder, 1)[0]


def train(model, decay: float) -> list[float]:
    """Losses of a few steps without dropout."""
    model.eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=decay, fused=True)
    losses = []
    for _ in range(5):
        loss = model(**BATCH).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses


def table(model) -> torch.Tensor:
    return model.get_input_embeddings().weight.detach().clone()


def test_the_used_tokens_are_those_of_all_parts_and_the_padding(build):
    assert embedding_rows.used_tokens(build(), [PART]).tolist() == USED
    assert embedding_rows.unused_weights(build(), [PART]) == table(build())[len(USED) :].numel()


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_a_run_has_the_same_losses_and_the_same_used_rows(build, decay):
    usual, ours = build(), build()
    before = table(ours)
    expected = train(usual, decay)
    with embedding_rows.only_used_rows(ours, [PART]):
        assert table(ours).shape[0] == len(USED)
        assert train(ours, decay) == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < expected[0] - 0.1
    torch.testing.assert_close(table(ours)[USED], table(usual)[USED], rtol=0, atol=1e-4)
    assert not torch.equal(table(ours)[USED], before[USED])
    others = torch.ones(len(before), dtype=torch.bool)
    others[USED] = False
    assert torch.equal(table(ours)[others], before[others])
    assert torch.equal(table(usual)[others], before[others]) == (decay == 0)


def test_a_sentence_gets_the_same_bits(build):
    model = build().eval()
    before = model(**BATCH).logits
    with embedding_rows.only_used_rows(model, [PART]):
        assert torch.equal(model(**BATCH).logits, before)
    assert torch.equal(model(**BATCH).logits, before)


def test_a_token_that_was_left_out_is_an_error_and_no_wrong_vector(build):
    model = build()
    with embedding_rows.only_used_rows(model, [PART]), pytest.raises(IndexError):
        model(input_ids=torch.tensor([[101, 8, 102]]))


def test_the_padding_does_not_learn(build):
    model = build()
    before = table(model)[PADDING]
    with embedding_rows.only_used_rows(model, [PART]):
        train(model, 0.0)
    assert torch.equal(table(model)[PADDING], before)


def test_the_table_is_whole_again_after_a_stop(build):
    model = build()
    names, before = list(model.state_dict()), table(model)
    with pytest.raises(KeyboardInterrupt), embedding_rows.only_used_rows(model, [PART]):
        train(model, 0.0)
        raise KeyboardInterrupt
    assert list(model.state_dict()) == names
    assert table(model).shape == before.shape
    assert not torch.equal(table(model), before)


def test_a_table_that_does_not_learn_is_left_alone(build, tiny_distilbert):
    model = build()
    freezing.freeze(model, encoders.find(str(tiny_distilbert)), TRAINED_PARTS[0])
    whole = model.get_input_embeddings()
    assert embedding_rows.unused_weights(model, [PART]) == 0
    with embedding_rows.only_used_rows(model, [PART]):
        assert model.get_input_embeddings() is whole
