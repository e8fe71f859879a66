"""The record of a run, and everything that reads and judges it. Nothing here trains."""

from tuning.runs.record import Run
from tuning.runs.store import last_run

__all__ = ["Run", "last_run"]
