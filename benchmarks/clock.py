"""Where the time of a run goes: a clock with parts, and methods that count for a part."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any


class Clock:
    """Adds up the seconds spent in each part of a run, in the dictionary `seconds`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = False

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside for this part; a part inside another one is counted once, with the outer one."""
        if self._inside:
            yield
            return
        began, self._inside = time.perf_counter(), True
        try:
            yield
        finally:
            self._inside = False
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def timed(kind: type, clock: Clock, parts: dict[str, str]) -> type:
    """A class whose methods count for the parts of a clock.

    Parameters
    ----------
    kind : type
    clock : Clock
    parts : dict of str to str
        What each method counts for.
    """

    def method(name: str, part: str) -> Any:
        def counted(self, *args, **kwargs):
            with clock.part(part):
                return getattr(kind, name)(self, *args, **kwargs)

        return counted

    return type(f"Timed{kind.__name__}", (kind,), {name: method(name, part) for name, part in parts.items()})
