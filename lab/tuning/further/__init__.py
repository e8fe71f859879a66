"""The options of Going Further, one module each, and what all of them share."""

from tuning.further.comparison import compared, for_worksheet, summary
from tuning.further.run_one import first, introduction, plan
from tuning.further.variations import another_seed, backup_run, dials_from, forecast, missing_seeds, seeds, vary

__all__ = [
    "another_seed", "backup_run", "compared", "dials_from", "first", "for_worksheet", "forecast", "introduction",
    "missing_seeds", "plan", "seeds", "summary", "vary",
]  # fmt: skip
