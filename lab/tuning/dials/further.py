"""The dials of notebook 04: the option, the run to start from, and what is assumed about price and power."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tuning.dials.checks import POSITIVE, number, one_of, optional, text, yes_no
from tuning.dials.dial_set import DialSet, dial
from tuning.dials.labs import Dials

OPTIONS = ("A", "B", "C", "D", "E", "F")


def _option(value: Any) -> str:
    return one_of(OPTIONS)(value.strip().upper() if isinstance(value, str) else value)


def _some_dials(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    checked = Dials.from_settings(value)
    return {name: getattr(checked, name) for name in value}


@dataclasses.dataclass(frozen=True)
class FurtherDials(DialSet):
    """What can be set in notebook 04: the option, the run to start from, and what is assumed about price and power."""

    OPTION: str = dial("A", _option, "A, B, C, D, E or F", "the extension that is computed", OPTIONS)
    RUN_1: str | None = dial(
        None, optional(text), "None for your last run, or a Run ID of your log", "the run to start from"
    )
    DIALS: Mapping[str, Any] | None = dial(
        None,
        optional(_some_dials),
        'None, or dials of notebook 01 in braces, such as {"EPOCHS": 1}',
        "start from a run with these dials instead; it is trained where the log has none",
    )
    HEAD_RATE: float = dial(
        1e-3,
        number(0, 10, above=True),
        "a number above 0 and up to 10, such as 1e-3",
        "option B: learning rate of the head alone",
    )
    CHANGE: Mapping[str, Any] = dial(
        MappingProxyType({"BATCH_SIZE": 16}),
        _some_dials,
        'dials of notebook 01 in braces, such as {"BATCH_SIZE": 16}',
        "option D: what Run 2 changes",
    )
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
    PRICE_PER_HOUR: float = dial(
        0.20, POSITIVE, "a number above 0", "assumed price of an hour on this machine, in your currency"
    )
    WATTS: float = dial(25.0, POSITIVE, "a number above 0", "assumed power of this machine while it trains")
