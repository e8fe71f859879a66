"""Sentences as token numbers: what a model reads of each part of the data."""

import dataclasses
from collections.abc import Sequence

import pandas as pd
from datasets import Dataset
from transformers import BatchEncoding, DataCollatorWithPadding, PreTrainedTokenizerBase

from tuning.data.labels import LABELS
from tuning.data.loading import Splits, subset, training_part
from tuning.data.splits import MOST_AFTER_EPOCH, scored
from tuning.dials import Dials
from tuning.errors import DialError
from tuning.runs.metrics import CHECK_SIZE

INPUTS = ["input_ids", "attention_mask"]


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The parts of the data as token numbers, ready for the Trainer."""

    train: Dataset  # The training sentences in use (``TRAIN_SUBSET``).
    # The fixed training subset on which training accuracy and loss are measured, in evaluation mode.
    train_check: Dataset
    validation: Dataset  # What is scored before and after training.
    # The fixed part of it that is scored after each epoch; all of it, unless there are very many.
    validation_check: Dataset
    dials: Dials  # The dials that these were made with.
    cut: int = 0  # Sentences of `train` and `validation` that are longer than ``MAX_LENGTH``.

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
    """Turn sentences (``id``, ``sentence``, ``label``) into token numbers, at most `max_length` of each.

    A row has ``id``, ``labels``, ``input_ids`` and ``attention_mask``. Sorted by length, a batch in evaluation needs
    little padding. A `DialError` where the model cannot read so many tokens at once.
    """
    if max_length > (most := tokenizer.model_max_length):
        raise DialError(f"MAX_LENGTH = {max_length} is more than this encoder can read. Set it to {most} or less.")
    encoded = tokenizer(frame["sentence"].tolist(), truncation=True, max_length=max_length, return_token_type_ids=False)
    columns = {
        "id": frame["id"].astype(str).tolist(),
        "labels": [LABELS.index(label) for label in frame["label"]],
        **{name: encoded[name] for name in INPUTS},
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
    validation, after_epoch = scored(splits), scored(splits, MOST_AFTER_EPOCH)

    def part(frame: pd.DataFrame, by_length: bool = True) -> Dataset:
        return tokenise(frame, tokenizer, dials.MAX_LENGTH, by_length=by_length)

    train_tokens, validation_tokens = part(train, by_length=False), part(validation)
    return Tokens(
        train=train_tokens,
        train_check=part(subset(train, CHECK_SIZE)),
        validation=validation_tokens,
        validation_check=validation_tokens if len(after_epoch) == len(validation) else part(after_epoch),
        dials=dials,
        cut=_cut(train_tokens, train, tokenizer, dials) + _cut(validation_tokens, validation, tokenizer, dials),
    )


def _cut(tokens: Dataset, frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, dials: Dials) -> int:
    """How many sentences have more tokens than are kept; only those that fill the length are looked at again."""
    full = {row for row, ids in zip(tokens["id"], tokens["input_ids"], strict=True) if len(ids) == dials.MAX_LENGTH}
    sentences = frame["sentence"][frame["id"].astype(str).isin(full)].tolist()
    whole = tokenizer(sentences, verbose=False)["input_ids"] if sentences else []
    return sum(len(ids) > dials.MAX_LENGTH for ids in whole)


def batch_of(
    tokens: Dataset, tokenizer: PreTrainedTokenizerBase, rows: slice | Sequence[int] = slice(None)
) -> BatchEncoding:
    """Some sentences, all by default, with labels, as one batch for a model, padded to the longest of them."""
    columns = tokens.select_columns([*INPUTS, "labels"])
    return DataCollatorWithPadding(tokenizer)(columns[rows])
