"""The dials of Going Further: the run to start from, what is assumed about price and power, and an option's own."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tuning.dials.checks import POSITIVE, number, one_of, optional, text, whole_number, yes_no
from tuning.dials.dial_set import DialSet, dial
from tuning.dials.labs import PRESETS, Dials


def _some_dials(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    checked = Dials.from_settings(value)
    return {name: getattr(checked, name) for name in value}


def _rates(value: Any) -> list[str | float]:
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError
    # A list: papermill would hand a tuple on as text.
    return [one_of(PRESETS, number(0, 10, above=True))(part) for part in parts]


@dataclasses.dataclass(frozen=True)
class FurtherDials(DialSet):
    """What every notebook of Going Further has: the run to start from, and the assumptions about price and power."""

    RUN_1: str | None = dial(
        None, optional(text), "None for your last run, or a Run ID of your log", "the run to start from"
    )
    DIALS: Mapping[str, Any] | None = dial(
        None,
        optional(_some_dials),
        'None, or dials of notebook 01 in braces, such as {"EPOCHS": 1}',
        "start from a run with these dials instead; it is trained where the log has none",
    )
    PRICE_PER_HOUR: float = dial(
        0.20, POSITIVE, "a number above 0", "assumed price of an hour on this machine, in your currency"
    )
    WATTS: float = dial(25.0, POSITIVE, "a number above 0", "assumed power of this machine while it trains")


@dataclasses.dataclass(frozen=True)
class PlanDials(FurtherDials):
    """Those of notebook 04 itself, which plans a run under a limit."""

    MINUTES: float | None = dial(
        None,
        optional(POSITIVE),
        "None, or a number of minutes above 0",
        "plan a run that fits into this time",
    )
    BUDGET: float | None = dial(
        None, optional(POSITIVE), "None, or an amount of money above 0", "plan a run that this pays for"
    )
    TRAIN_PLAN: bool = dial(False, yes_no, "True or False", "train what was planned under MINUTES or BUDGET")


@dataclasses.dataclass(frozen=True)
class FreezingDials(FurtherDials):
    """Those of option B."""

    HEAD_RATE: float = dial(
        1e-3,
        number(0, 10, above=True),
        "a number above 0 and up to 10, such as 1e-3",
        "learning rate of the head where it learns alone",
    )


@dataclasses.dataclass(frozen=True)
class TrackingDials(FurtherDials):
    """Those of option D."""

    CHANGE: Mapping[str, Any] = dial(
        MappingProxyType({"BATCH_SIZE": 16}),
        _some_dials,
        'dials of notebook 01 in braces, such as {"BATCH_SIZE": 16}',
        "what Run 2 changes",
    )


@dataclasses.dataclass(frozen=True)
class LanguageModelDials(FurtherDials):
    """Those of option G."""

    TEXT_MAY_LEAVE: bool = dial(
        False,
        yes_no,
        "True or False",
        "sentences from a file of your own may be pasted into a service; the bundled ones may always",
    )
    SECONDS: float | None = dial(
        None, optional(POSITIVE), "None, or a number of seconds above 0", "how long the assistant took for the page"
    )
    PRICE: float | None = dial(
        None,
        optional(number(0, 1_000_000)),
        "None, or an amount of money from 0",
        "what the assistant's answer to the page cost, in your currency",
    )


@dataclasses.dataclass(frozen=True)
class LoraDials(FreezingDials):
    """Those of option H."""

    RANK: int = dial(8, whole_number(1, 64), "a whole number from 1 to 64", "rows of A and columns of B")
    RATES: Sequence[str | float] = dial(
        ("JUST_RIGHT", 3e-4, 1e-3, 3e-3, 1e-2),
        _rates,
        "presets, or numbers above 0 and up to 10, such as 1e-4, 1e-3",
        "learning rates that are tried with LoRA",
    )


@dataclasses.dataclass(frozen=True)
class PageDials(FurtherDials):
    """Those of option J."""

    BESIDE: str | None = dial(
        None, optional(text), "None, or a Run ID of your log", "a second run, whose model answers beside that of Run 1"
    )
