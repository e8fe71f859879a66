"""Every speed and tuning dial: its meaning, its unit, its default and what it may be.

The notebook's dials cell, ``workshop.py run --set`` and ``python -m tuning.training --set`` all end here, so a wrong
value gets the same one line everywhere, before anything is computed.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Self

from tuning.errors import DialError, nearest

PRESETS = ("TOO_LOW", "JUST_RIGHT", "TOO_HIGH")
SCHEDULES = ("constant", "linear", "cosine")
SGD_SCHEDULES = ("constant", "invscaling")
AGREEMENTS = ("50", "66", "75", "all")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
SEED_ALONE = 42


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    return float(value)


def _whole(value: Any) -> int:
    number = _number(value)
    if not math.isfinite(number) or number != int(number):
        raise ValueError
    return int(number)


def _whole_between(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        number = _whole(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return check


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return value

    return check


def _rate(value: Any) -> str | float:
    if value in PRESETS:
        return value
    number = _number(value)
    if not 0 < number <= 10:
        raise ValueError
    return number


def _sgd_rate(value: Any) -> str | float:
    if value in PRESETS:
        return value
    number = _number(value)
    if not 0 < number <= 1000:
        raise ValueError
    return number


def _subset(value: Any) -> int:
    number = _whole(value)
    if number != 0 and not 24 <= number <= 1_000_000:
        raise ValueError
    return number


def _group(value: Any) -> int | None:
    return None if value in (None, "", "None") else _whole_between(1, 12)(value)


def _fraction(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _yes_no(value: Any) -> bool:
    found = {"true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise ValueError
    return found


def _dial(default: Any, check: Callable[[Any], Any], allowed: str, meaning: str, choices: tuple[str, ...] = ()) -> Any:
    metadata = {"check": check, "allowed": allowed, "meaning": meaning, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


# Both labs have these dials. A dataclass keeps its fields for itself, so each call makes a new one.
def _group_dial() -> Any:
    return _dial(
        None,
        _group,
        "None when you work alone, else your group's number, a whole number from 1 to 12",
        "sets the random seed, so that two groups with one preset differ as luck differs",
    )


def _subset_dial() -> Any:
    return _dial(800, _subset, "0 for all training sentences, or a whole number from 24", "training sentences used")


def _data_dial() -> Any:
    return _dial("bundled", _text, "bundled, phrasebank or the path of a CSV file", "the sentences and their labels")


def _agreement_dial() -> Any:
    return _dial(
        "all",
        lambda value: _one_of(AGREEMENTS)(str(value)),
        "50, 66, 75 or all",
        "PhraseBank only: share of its annotators, in percent, that had to agree",
        AGREEMENTS,
    )


@dataclasses.dataclass(frozen=True)
class _Checked:
    """What both kinds of dials share: every value is checked when they are made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))

    @classmethod
    def names(cls) -> list[str]:
        """Names of all dials, in the order of the notebook."""
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def of(cls, variables: Mapping[str, Any]) -> Self:
        """Collect the dials from a notebook's variables; a dial that is not there keeps its default.

        Parameters
        ----------
        variables : mapping
            Usually ``globals()``.
        """
        return cls(**{name: variables[name] for name in cls.names() if name in variables})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build from named settings and refuse a name that is no dial.

        Raises
        ------
        DialError
            If a name is unknown (the nearest dial is named) or a value cannot be used.
        """
        for name in settings:
            if name not in cls.names():
                raise DialError(f"{name} is not a dial.{nearest(name, cls.names())} Dials: {', '.join(cls.names())}.")
        return cls(**settings)

    @property
    def seed(self) -> int:
        """Random seed: the group's number, or 42 for a learner alone."""
        return SEED_ALONE if self.GROUP is None else self.GROUP

    def as_dict(self) -> dict[str, Any]:
        """The dials as a plain dictionary, in the order of :meth:`names`."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Dials(_Checked):
    """The dials of one fine-tuning run, checked.

    The field names are the names that a learner sees in the notebook. Build it with keyword arguments, from a
    notebook's variables with :meth:`of`, or from ``NAME=VALUE`` texts with :meth:`from_settings`.

    Raises
    ------
    DialError
        If a value cannot be used; the text names the dial, the value and what is allowed.
    """

    LR_PRESET: str | float = _dial(
        "JUST_RIGHT",
        _rate,
        "TOO_LOW, JUST_RIGHT, TOO_HIGH or a number above 0 and up to 10, such as 1e-4",
        "learning rate: a preset, or the rate itself",
        PRESETS,
    )
    SCHEDULER: str = _dial(
        "constant",
        _one_of(SCHEDULES),
        "constant, linear or cosine",
        "how the rate changes over the run; linear and cosine warm up over the first 10% of steps",
        SCHEDULES,
    )
    GROUP: int | None = _group_dial()
    TRAIN_SUBSET: int = _subset_dial()
    MAX_LENGTH: int = _dial(
        96, _whole_between(8, 512), "a whole number from 8 to 512", "longest sentence in tokens; the rest is cut off"
    )
    EPOCHS: int = _dial(2, _whole_between(1, 50), "a whole number from 1 to 50", "passes over the training sentences")
    BATCH_SIZE: int = _dial(8, _whole_between(1, 256), "a whole number from 1 to 256", "sentences per step")
    WEIGHT_DECAY: float = _dial(
        0.01, _fraction, "a number from 0 to 1", "strength of the spring that pulls weights to zero (AdamW)"
    )
    MODEL: str = _dial(
        "distilbert", _text, "distilbert, embedded or the path of a model folder", "the pretrained encoder"
    )
    DATA: str = _data_dial()
    AGREEMENT: str = _agreement_dial()
    PRECISION: str = _dial(
        "auto", _one_of(PRECISIONS), "auto, fp32, bf16 or fp16", "number format of the arithmetic", PRECISIONS
    )

    @property
    def warmup(self) -> float:
        """Share of the steps over which the rate climbs to its value: 0 for a constant rate, else 0.1."""
        return 0.0 if self.SCHEDULER == "constant" else 0.1


@dataclasses.dataclass(frozen=True)
class SgdDials(_Checked):
    """The dials of one run of the backup lab (TF-IDF and `SGDClassifier`), checked.

    Raises
    ------
    DialError
        If a value cannot be used.
    """

    LR_PRESET: str | float = _dial(
        "JUST_RIGHT",
        _sgd_rate,
        "TOO_LOW, JUST_RIGHT, TOO_HIGH or a number above 0 and up to 1000, such as 0.5",
        "learning rate: a preset, or the rate itself",
        PRESETS,
    )
    SCHEDULER: str = _dial(
        "constant",
        _one_of(SGD_SCHEDULES),
        "constant or invscaling",
        "how the rate changes over the run; invscaling divides it by the square root of the step's number",
        SGD_SCHEDULES,
    )
    GROUP: int | None = _group_dial()
    TRAIN_SUBSET: int = _subset_dial()
    EPOCHS: int = _dial(8, _whole_between(1, 100), "a whole number from 1 to 100", "passes over the training sentences")
    BATCH_SIZE: int = _dial(8, _whole_between(1, 256), "a whole number from 1 to 256", "sentences per recorded step")
    ALPHA: float = _dial(
        1e-5, _fraction, "a number from 0 to 1", "strength of the regularisation: the pull of the weights to zero"
    )
    LABEL_NOISE: float = _dial(
        0.0, _fraction, "a number from 0 to 1", "share of training labels flipped to another class"
    )
    NOISY_VALIDATION: bool = _dial(False, _yes_no, "True or False", "flip the same share of validation labels too")
    DATA: str = _data_dial()
    AGREEMENT: str = _agreement_dial()


def _checked(field: dataclasses.Field, value: Any) -> Any:
    meta = field.metadata
    try:
        return meta["check"](value)
    except (ValueError, OverflowError):
        hint = nearest(value, meta["choices"]) if isinstance(value, str) else ""
        raise DialError(f"{field.name} = {value!r} cannot be used.{hint} Allowed: {meta['allowed']}.") from None


def parse_settings(texts: list[str]) -> dict[str, str]:
    """Split ``NAME=VALUE`` texts, as given to ``--set``.

    Raises
    ------
    DialError
        If a text has no ``=`` or no name before it.
    """
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise DialError(f"--set {text!r} cannot be read. Write NAME=VALUE, for example --set EPOCHS=3.")
        settings[name.strip()] = value.strip()
    return settings
