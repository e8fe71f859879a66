"""Every speed and tuning dial: its meaning, its unit, its default and what it may be.

The notebook's dials cell, ``workshop.py run --set`` and ``python -m tuning.training.fit --set`` all end here, so a
wrong value gets the same one line everywhere, before anything is computed.
"""

from tuning.dials.dial_set import parse_settings
from tuning.dials.further import (
    FreezingDials,
    FurtherDials,
    LanguageModelDials,
    LoraDials,
    PageDials,
    PlanDials,
    TrackingDials,
)
from tuning.dials.labs import EVERYTHING, PRESETS, ROOM_CARD, TRAINED_PARTS, Dials, FrozenDials, SgdDials, lora_rank

__all__ = [
    "EVERYTHING",
    "PRESETS",
    "ROOM_CARD",
    "TRAINED_PARTS",
    "Dials",
    "FreezingDials",
    "FrozenDials",
    "FurtherDials",
    "LanguageModelDials",
    "LoraDials",
    "PageDials",
    "PlanDials",
    "SgdDials",
    "TrackingDials",
    "lora_rank",
    "parse_settings",
]
