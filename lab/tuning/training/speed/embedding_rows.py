"""Train the rows of the embedding table that the sentences use, and leave the others as they are.

The table has a row for each of some 30,000 pieces of words: a third of DistilBERT's weights, half of the embedded
encoder's. The sentences of a run use a few thousand. The gradient of every other row is zero in each step, yet the
usual loop writes these zeros, measures them, and has AdamW move three numbers for each. Left out they cost nothing,
and no loss changes, for what is never looked up has no part in it.

One thing differs: AdamW's weight decay also shrinks rows that nobody looks up, in each step by the learning rate times
the decay. Here they stay as they were pretrained.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from datasets import Dataset
from transformers import PreTrainedModel


class UsedRows(torch.nn.Embedding):
    """Some rows of an embedding table, looked up by the token numbers of the whole table.

    Parameters
    ----------
    whole : torch.nn.Embedding
    used : torch.Tensor of int64, shape (rows,)
        Token numbers whose rows are kept. Looking up another one raises an IndexError.
    """

    def __init__(self, whole: torch.nn.Embedding, used: torch.Tensor) -> None:
        used = used.to(whole.weight.device)
        place = torch.full((whole.num_embeddings,), -1, device=used.device)
        place[used] = torch.arange(len(used), device=used.device)
        padding = None if whole.padding_idx is None else int(place[whole.padding_idx])
        super().__init__(len(used), whole.embedding_dim, padding, _weight=whole.weight.detach()[used])
        self.register_buffer("used", used, persistent=False)
        self.register_buffer("place", place, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Vectors of some tokens, as the whole table gives them."""
        return super().forward(self.place[input])


def used_tokens(model: PreTrainedModel, parts: Iterable[Dataset]) -> torch.Tensor:
    """Token numbers that occur in these parts, and the one that fills up short sentences; sorted.

    Returns
    -------
    torch.Tensor of int64, shape (tokens,)
    """
    filling = {model.get_input_embeddings().padding_idx, model.config.pad_token_id} - {None}
    return torch.tensor(sorted(filling.union(*(row for part in parts for row in part["input_ids"]))))


def unused_weights(model: PreTrainedModel, parts: Iterable[Dataset]) -> int:
    """How many single weights of the embedding table no sentence of these parts looks up; 0 where they do not learn."""
    table = model.get_input_embeddings()
    if not table.weight.requires_grad:
        return 0
    return (table.num_embeddings - len(used_tokens(model, parts))) * table.embedding_dim


@contextmanager
def only_used_rows(model: PreTrainedModel, parts: Iterable[Dataset]) -> Iterator[None]:
    """Let only the rows that these parts use take part in training; afterwards the table is whole again.

    A table that does not learn is left alone.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Not yet in the hands of an optimiser.
    parts : iterable of datasets.Dataset
        All that the model will see meanwhile, with a column ``input_ids``.
    """
    whole = model.get_input_embeddings()
    if not whole.weight.requires_grad:
        yield
        return
    rows = UsedRows(whole, used_tokens(model, parts))
    model.base_model.set_input_embeddings(rows)
    try:
        yield
    finally:
        with torch.no_grad():
            whole.weight[rows.used.to(whole.weight.device)] = rows.weight.to(whole.weight.device)
        model.base_model.set_input_embeddings(whole)
