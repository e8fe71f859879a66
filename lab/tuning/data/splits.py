"""Cut a data set into train, validation and test; draw subsets of it, and add label noise."""

import dataclasses

import numpy as np
import pandas as pd

from tuning.data.dataset import Data
from tuning.data.duplicates import folded_sentences
from tuning.data.labels import LABELS, label_counts
from tuning.errors import DataError

PARTS = ("train", "validation", "test")
SPLIT_SEED = 42
FEWEST_PER_LABEL = 10
# Validation sentences that are scored, at most. The 95% interval of an accuracy of 0.8 is then 0.035 and 0.016 wide.
MOST_AFTER_EPOCH, MOST_AT_END = 2_000, 10_000


@dataclasses.dataclass(frozen=True)
class Splits:
    """The three parts of a data set, each a data frame; the test part stays closed until the end."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame

    def sizes(self) -> dict[str, int]:
        """Sentences per part."""
        return {part: len(getattr(self, part)) for part in PARTS}


def split(data: Data, seed: int = SPLIT_SEED) -> Splits:
    """Cut a data set into train (70%), validation (15%) and test (15%).

    The file's own ``split`` column decides where there is one. Otherwise the cut is stratified by label, with all
    copies of a sentence on one side, and depends on `seed` alone: every group gets the same parts.
    """
    frame = data.frame.assign(split=part_of_each(data, seed))
    return Splits(*(frame[frame["split"] == part].reset_index(drop=True) for part in PARTS))


def part_of_each(data: Data, seed: int = SPLIT_SEED) -> list[str]:
    """The part that each sentence belongs to, in the order of the data; see :func:`split`."""
    frame = data.frame
    return _stratified(frame, seed, data.path.name) if frame["split"].isna().all() else frame["split"].tolist()


def scored(splits: Splits, most: int = MOST_AT_END) -> pd.DataFrame:
    """Give the validation sentences that are scored: all, or of very many a fixed part, stratified by label."""
    return splits.validation if len(splits.validation) <= most else subset(splits.validation, most)


def scored_sizes(splits: Splits) -> dict[str, int]:
    """Validation sentences that are scored after each ``epoch``, and before and after training (``end``)."""
    return {"epoch": len(scored(splits, MOST_AFTER_EPOCH)), "end": len(scored(splits))}


def check_parts(splits: Splits, data: Data) -> None:
    """Make sure that the parts were cut from these sentences, for cells can be run in any order."""
    there = data.frame["sentence"] + "\t" + data.frame["label"]
    for part in (splits.train, splits.validation):
        if not (part["sentence"] + "\t" + part["label"]).isin(there).all():
            raise DataError(
                f"{data.path.name} was loaded after the parts were cut, from other sentences."
                ' Run the notebook again from the section "Data".'
            )


def subset(frame: pd.DataFrame, size: int, seed: int = SPLIT_SEED) -> pd.DataFrame:
    """Take `size` sentences, stratified by label, in the drawn order; smaller subsets lie inside larger ones.

    0, or more than there are, means all.
    """
    shuffled = frame.sample(frac=1, random_state=seed)
    # Each sentence's place within its label, as a share: taking the lowest shares first keeps every
    # prefix of the order stratified, so that growing the subset only adds sentences.
    place = (shuffled.groupby("label").cumcount() + 0.5) / shuffled.groupby("label")["label"].transform("size")
    ordered = shuffled.loc[place.sort_values(kind="stable").index]
    return (ordered if size == 0 else ordered.head(size)).reset_index(drop=True)


def flip_labels(frame: pd.DataFrame, share: float, seed: int = SPLIT_SEED) -> pd.DataFrame:
    """Add label noise: give a share of the rows, rounded, another label, drawn at random from the other two."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(frame), size=round(share * len(frame)), replace=False)
    codes = np.array([LABELS.index(label) for label in frame["label"]])
    codes[rows] = (codes[rows] + rng.integers(1, len(LABELS), size=len(rows))) % len(LABELS)
    return frame.assign(label=[LABELS[code] for code in codes])


def training_part(splits: Splits, size: int, noise: float = 0.0) -> pd.DataFrame:
    """The sentences that a run trains on (`size` 0 for all), a share of whose labels, `noise`, are wrong."""
    return flip_labels(subset(splits.train, size), noise)


def _stratified(frame: pd.DataFrame, seed: int, name: str) -> list[str]:
    from sklearn.model_selection import train_test_split

    keys = folded_sentences(frame["sentence"])
    distinct = frame.assign(key=keys).drop_duplicates("key")[["key", "label"]]
    counts = label_counts(distinct)
    few = [label for label, count in counts.items() if count < FEWEST_PER_LABEL]
    if few:
        raise DataError(
            f"{name}: too few different sentences are labelled {' or '.join(few)} once copies are set aside."
            f" At least {FEWEST_PER_LABEL} of each label are needed for the three parts."
        )
    train, rest = train_test_split(distinct, test_size=0.3, stratify=distinct["label"], random_state=seed)
    validation, test = train_test_split(rest, test_size=0.5, stratify=rest["label"], random_state=seed)
    part_of = {key: part for part, rows in zip(PARTS, (train, validation, test), strict=True) for key in rows["key"]}
    return keys.map(part_of).tolist()
