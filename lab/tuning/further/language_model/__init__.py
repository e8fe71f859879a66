"""Option G: an assistant's answers to thirty sentences, beside Run 1 and the backup lab. Nothing is sent anywhere."""

from tuning.further.language_model.answers import ASSISTANT, Answers, read_or_practise
from tuning.further.language_model.page import Page, draw, write
from tuning.further.language_model.scoring import (
    can_show,
    compared,
    costs,
    disagreements,
    for_worksheet,
    scores,
    side_by_side,
)

__all__ = [
    "ASSISTANT", "Answers", "Page", "can_show", "compared", "costs", "disagreements", "draw", "for_worksheet",
    "read_or_practise", "scores", "side_by_side", "write",
]  # fmt: skip
