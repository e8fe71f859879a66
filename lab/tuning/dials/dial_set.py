"""A set of dials that belong together: every value is checked when the set is made."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from tuning.dials.checks import Check
from tuning.errors import DialError, nearest

SEED_ALONE = 42


def dial(
    default: Any, check: Check, allowed: str, meaning: str, choices: tuple[str, ...] = (), *, decides: bool = True
) -> Any:
    """A field of a set of dials; one that does not `decide` changes no number of a run."""
    metadata = {"check": check, "allowed": allowed, "meaning": meaning, "choices": choices, "decides": decides}
    if isinstance(default, Mapping):
        # Python 3.11 takes a mapping for something that instances would share and change.
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class DialSet:
    """Dials whose values are checked when the set is made: a `DialError` names dial, value and what is allowed."""

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
        """Collect the dials from a notebook's ``globals()``; a dial that is not there keeps its default."""
        return cls(**{name: variables[name] for name in cls.settable() if name in variables})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build from named settings; for a name that is no dial a `DialError` names the nearest."""
        for name in settings:
            if name not in cls.settable():
                known, shown = cls.settable(), name if name.isprintable() else repr(name)
                raise DialError(f"{shown} is not a dial.{nearest(name, known)} Dials: {', '.join(known)}.")
        return cls(**settings)

    @property
    def seed(self) -> int:
        """Random seed: the group's number, or 42 for a learner alone."""
        return SEED_ALONE if self.GROUP is None else self.GROUP

    def as_dict(self) -> dict[str, Any]:
        """The dials of :meth:`names` as a plain dictionary, in their order."""
        return {name: getattr(self, name) for name in self.names()}


def _checked(field: dataclasses.Field, value: Any) -> Any:
    meta = field.metadata
    try:
        return meta["check"](value)
    except (ValueError, OverflowError):
        hint = nearest(value, meta["choices"]) if isinstance(value, str) else ""
        raise DialError(f"{field.name} = {value!r} cannot be used.{hint} Allowed: {meta['allowed']}.") from None


def parse_settings(texts: list[str]) -> dict[str, str]:
    """Split ``NAME=VALUE`` texts, as given to ``--set``."""
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise DialError(f"--set {text!r} cannot be read. Write NAME=VALUE, for example --set EPOCHS=3.")
        settings[name.strip()] = value.strip()
    return settings
