"""The options of Going Further, one module each, and what all of them share."""

from tuning.further.comparison import compared, for_worksheet, summary
from tuning.further.options import QUESTIONS, TITLES, chosen, first, introduction, plan
from tuning.further.variations import (
    another_seed,
    backup_run,
    dials_from,
    encoder_of,
    forecast,
    missing_seeds,
    seeds,
    vary,
)

__all__ = [
    "QUESTIONS", "TITLES", "another_seed", "backup_run", "chosen", "compared", "dials_from", "encoder_of", "first",
    "for_worksheet", "forecast", "introduction", "missing_seeds", "plan", "seeds", "summary", "vary",
]  # fmt: skip
