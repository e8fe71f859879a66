"""Sentences and their labels: loaded, checked, split, and brought to this machine."""

from tuning.data.labels import LABELS
from tuning.data.loading import load
from tuning.data.splits import split

__all__ = ["LABELS", "load", "split"]
