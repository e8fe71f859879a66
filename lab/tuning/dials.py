"""Every speed and tuning dial: its meaning, its unit, its default and what it may be.

The notebook's dials cell, ``workshop.py run --set`` and ``python -m tuning.training.fit --set`` all end here, so a
wrong value gets the same one line everywhere, before anything is computed.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self

from tuning.errors import DialError, nearest

PRESETS = ("TOO_LOW", "JUST_RIGHT", "TOO_HIGH")
SCHEDULES = ("constant", "linear", "cosine")
SGD_SCHEDULES = ("constant", "invscaling")
AGREEMENTS = ("50", "66", "75", "all")
SPEEDS = ("fast", "plain")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ROOM_CARD = ("MODEL", "DATA", "PRECISION")
# What each word of the card decides. A number format that each machine chooses for itself (auto) is none of them: the
# card is there to prevent it.
_ROOM_WORDS = {
    "distilbert": "MODEL",
    "embedded": "MODEL",
    "bundled": "DATA",
    "phrasebank": "DATA",
    "fp32": "PRECISION",
    "bf16": "PRECISION",
    "fp16": "PRECISION",
}
EVERYTHING = "everything"
TRAINED_PARTS = ("head only", "head and last block", "all but embeddings", EVERYTHING)
OPTIONS = ("A", "B", "C", "D", "E", "F")
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


def _room(value: Any) -> str:
    """The card's words in the order of `ROOM_CARD`, in whichever order and spelling they were typed."""
    words = re.findall(r"[^\s,;=\"'`\u2018-\u201f]+", _text(value)) if value not in (None, "") else []
    card: dict[str, str] = {}
    for word in words:
        plain = re.sub(r"[\W_]", "", word.casefold())
        name = _ROOM_WORDS.get(plain) or (
            "DATA" if word.lower().endswith(".csv") else "MODEL" if re.search(r"[/\\]", word) else None
        )
        if word in ROOM_CARD:
            continue
        if name is None or name in card:
            raise ValueError
        card[name] = plain if plain in _ROOM_WORDS else word
    if words and len(card) != len(ROOM_CARD):
        raise ValueError
    return " ".join(card[name] for name in ROOM_CARD if card)


def _fraction(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _positive(value: Any) -> float:
    number = _number(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError
    return number


def _plain_rate(value: Any) -> float:
    number = _positive(value)
    if number > 10:
        raise ValueError
    return number


def _option(value: Any) -> str:
    return _one_of(OPTIONS)(value.strip().upper() if isinstance(value, str) else value)


def _maybe(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value in (None, "", "None") else check(value)


def _yes_no(value: Any) -> bool:
    found = {"true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise ValueError
    return found


def _dial(
    default: Any,
    check: Callable[[Any], Any],
    allowed: str,
    meaning: str,
    choices: tuple[str, ...] = (),
    *,
    decides: bool = True,
) -> Any:
    metadata = {"check": check, "allowed": allowed, "meaning": meaning, "choices": choices, "decides": decides}
    if isinstance(default, Mapping):
        # Python 3.11 takes a mapping for something that instances would share and change.
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


# Both labs have these dials. A dataclass keeps its fields for itself, so each call makes a new one.
def _group_dial() -> Any:
    return _dial(
        None,
        _group,
        "None when you work alone, else your group's number, a whole number from 1 to 12",
        "sets the random seed, so that two groups with one preset differ only by chance",
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


def _label_noise_dial() -> Any:
    return _dial(0.0, _fraction, "a number from 0 to 1", "share of training labels flipped to another class")


@dataclasses.dataclass(frozen=True)
class _Checked:
    """What both kinds of dials share: every value is checked when they are made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))

    @classmethod
    def names(cls) -> list[str]:
        """Names of the dials that decide a run's numbers, in the order of the notebook: what a record keeps."""
        return [field.name for field in dataclasses.fields(cls) if field.metadata["decides"]]

    @classmethod
    def settable(cls) -> list[str]:
        """Names of all dials that can be set: those of :meth:`names`, and what changes no number."""
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def of(cls, variables: Mapping[str, Any]) -> Self:
        """Collect the dials from a notebook's variables; a dial that is not there keeps its default.

        Parameters
        ----------
        variables : mapping
            Usually ``globals()``.
        """
        return cls(**{name: variables[name] for name in cls.settable() if name in variables})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build from named settings and refuse a name that is no dial.

        Raises
        ------
        DialError
            If a name is unknown (the nearest dial is named) or a value cannot be used.
        """
        for name in settings:
            if name not in cls.settable():
                known, told = cls.settable(), name if name.isprintable() else repr(name)
                raise DialError(f"{told} is not a dial.{nearest(name, known)} Dials: {', '.join(known)}.")
        return cls(**settings)

    @property
    def seed(self) -> int:
        """Random seed: the group's number, or 42 for a learner alone."""
        return SEED_ALONE if self.GROUP is None else self.GROUP

    def as_dict(self) -> dict[str, Any]:
        """The dials of :meth:`names` as a plain dictionary, in their order."""
        return {name: getattr(self, name) for name in self.names()}


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
    LABEL_NOISE: float = _label_noise_dial()
    PRECISION: str = _dial(
        "auto", _one_of(PRECISIONS), "auto, fp32, bf16 or fp16", "number format of the arithmetic", PRECISIONS
    )
    SPEED: str = _dial(
        "fast", _one_of(SPEEDS), "fast or plain", "plain trains with the unchanged Trainer, and takes longer", SPEEDS
    )
    ROOM: str = _dial(
        "",
        _room,
        "empty, or the three words of the room card, such as embedded bundled fp32, in any order (fp32, bf16 or fp16,"
        " never auto)",
        "the coach's room card: decides MODEL, DATA and PRECISION for the whole room",
        decides=False,
    )
    FRESH: bool = _dial(
        False,
        _yes_no,
        "True or False",
        "throw a half-finished run of the same dials away instead of going on with it; changes no number of the run",
        decides=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        for name, card in zip(ROOM_CARD, self.ROOM.split(), strict=False):
            own = getattr(self, name)
            if own not in (card, usual[name]):
                raise DialError(
                    f"{name} = {own!r} contradicts the room card, which says {card}."
                    ' Correct one of them; to leave the room\'s experiment, set ROOM = "".'
                )
            object.__setattr__(self, name, card)

    @property
    def warmup(self) -> float:
        """Share of the steps over which the rate climbs to its value: 0 for a constant rate, else 0.1."""
        return 0.0 if self.SCHEDULER == "constant" else 0.1

    @property
    def trained(self) -> str:
        """Which weights learn: here all of them; see :class:`FrozenDials`."""
        return EVERYTHING


@dataclasses.dataclass(frozen=True)
class FrozenDials(Dials):
    """The dials of a run in which a part of the encoder stands still; only notebook 04 has them.

    Raises
    ------
    DialError
        If a value cannot be used.
    """

    TRAINED: str = _dial(
        EVERYTHING, _one_of(TRAINED_PARTS), ", ".join(TRAINED_PARTS), "the weights that learn", TRAINED_PARTS
    )

    @property
    def trained(self) -> str:
        """Which weights learn."""
        return self.TRAINED


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
    LABEL_NOISE: float = _label_noise_dial()
    NOISY_VALIDATION: bool = _dial(False, _yes_no, "True or False", "flip the same share of validation labels too")
    DATA: str = _data_dial()
    AGREEMENT: str = _agreement_dial()


def _some_dials(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    found = Dials.from_settings(value)
    return {name: getattr(found, name) for name in value}


@dataclasses.dataclass(frozen=True)
class FurtherDials(_Checked):
    """What can be set in notebook 04: the option, the run to start from, and what is assumed about price and power.

    Raises
    ------
    DialError
        If a value cannot be used.
    """

    OPTION: str = _dial("A", _option, "A, B, C, D, E or F", "the extension that is computed", OPTIONS)
    RUN_1: str | None = _dial(
        None, _maybe(_text), "None for your last run, or a Run ID of your log", "the run to start from"
    )
    DIALS: Mapping[str, Any] | None = _dial(
        None,
        _maybe(_some_dials),
        'None, or dials of notebook 01 in braces, such as {"EPOCHS": 1}',
        "start from a run with these dials instead; it is trained where the log has none",
    )
    HEAD_RATE: float = _dial(
        1e-3, _plain_rate, "a number above 0 and up to 10, such as 1e-3", "option B: learning rate of the head alone"
    )
    CHANGE: Mapping[str, Any] = _dial(
        MappingProxyType({"BATCH_SIZE": 16}),
        _some_dials,
        'dials of notebook 01 in braces, such as {"BATCH_SIZE": 16}',
        "option D: what Run 2 changes",
    )
    MINUTES: float | None = _dial(
        None, _maybe(_positive), "None, or a number of minutes above 0", "plan a run that fits into this time"
    )
    BUDGET: float | None = _dial(
        None, _maybe(_positive), "None, or an amount of money above 0", "plan a run that this pays for"
    )
    TRAIN_PLAN: bool = _dial(False, _yes_no, "True or False", "train what was planned under MINUTES or BUDGET")
    PRICE_PER_HOUR: float = _dial(
        0.20, _positive, "a number above 0", "assumed price of an hour on this machine, in your currency"
    )
    WATTS: float = _dial(25.0, _positive, "a number above 0", "assumed power of this machine while it trains")


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
