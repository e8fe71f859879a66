"""What a dial may be: each check gives the value in its own type, or raises a ValueError without words."""

import math
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], Any]
NOTHING = (None, "", "None")


def number(low: float, high: float = math.inf, *, above: bool = False) -> Check:
    """A finite number from `low` to `high`, also as text; with `above`, `low` itself is too low."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        result = float(value)
        if not math.isfinite(result) or not low <= result <= high or (above and result == low):
            raise ValueError
        return result

    return check


FRACTION, POSITIVE = number(0, 1), number(0, above=True)


def whole_number(low: int, high: int) -> Check:
    """A whole number from `low` to `high`, also as text."""

    def check(value: Any) -> int:
        result = number(low, high)(value)
        if result != int(result):
            raise ValueError
        return int(result)

    return check


def one_of(choices: tuple[str, ...], otherwise: Check | None = None) -> Check:
    """One of some words, or what another check takes."""

    def check(value: Any) -> Any:
        if value in choices:
            return value
        if otherwise is None:
            raise ValueError
        return otherwise(value)

    return check


def optional(check: Check) -> Check:
    """Nothing, or what another check takes."""
    return lambda value: None if value in NOTHING else check(value)


def text(value: Any) -> str:
    """Words that are not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def yes_no(value: Any) -> bool:
    """True or False, also as text."""
    return {"true": True, "false": False}[one_of(("true", "false"))(str(value).lower())]
