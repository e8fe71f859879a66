"""Batches of sentences of similar length, in shuffled order.

Similar lengths need little padding, which is most of the speed of this lab. The Trainer's own length grouping hands
out the batches from long to short, over and over; since short headlines are harder than long sentences, its loss
curve shows waves that are no learning. Shuffling the batches removes the waves and keeps the speed.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer

BATCHES_SORTED_TOGETHER = 50


class SimilarLengths(Sampler[int]):
    """Order of the sentences for one epoch, such that neighbours within a batch have similar lengths.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each sentence.
    batch_size : int
    seed : int
        With the epoch's number it decides the order, so that a resumed run sees the same batches.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        shuffled = rng.permutation(len(self.lengths))
        together = self.batch_size * BATCHES_SORTED_TOGETHER
        batches: list[np.ndarray] = []
        for start in range(0, len(shuffled), together):
            chunk = shuffled[start : start + together]
            chunk = chunk[np.argsort(self.lengths[chunk], kind="stable")]
            batches += [chunk[at : at + self.batch_size] for at in range(0, len(chunk), self.batch_size)]
        # Only whole batches change places: the loader cuts the order into batches again, from its start.
        whole = len(batches) - (len(batches[-1]) < self.batch_size)
        order = [*rng.permutation(whole), *range(whole, len(batches))]
        for at in order:
            yield from batches[at].tolist()


class LengthGroupedTrainer(Trainer):
    """Hugging Face's `Trainer` with one change: its training batches come from :class:`SimilarLengths`."""

    def get_train_dataloader(self) -> DataLoader:
        """Loader of the training batches, prepared for one or several processes.

        Several processes take the batches in turn: the sentences are grouped for all of them together, so that their
        shares of one step are similarly long, and are the batch that one process with a batch so large would take.
        """
        dataset = self.train_dataset.select_columns(["input_ids", "attention_mask", "labels"])
        lengths = [len(row) for row in dataset["input_ids"]]
        loader = DataLoader(
            dataset,
            batch_size=self.args.train_batch_size,
            sampler=SimilarLengths(lengths, self.args.train_batch_size * self.args.world_size, self.args.seed),
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)
