"""The day: its slots and the moments in each, in a room and alone, and the slide that stands behind each moment.

`PLAN` (``maintain/day.yaml``) has the order, the breaks and talks, and the coach's lines; the front matter of the
activities has their tasks and minutes; ``slides/workshop.md`` says at which task a slide is shown. Whatever names a
time is made from these three, or a test compares it with them.
"""

import dataclasses
import re
from typing import Any

import yaml

from tuning import paths
from tuning.errors import DocumentError
from tuning.notebook import activities
from tuning.notebook.activities import Activity

PLAN = paths.ROOT / "maintain" / "day.yaml"
DECK = paths.ROOT / "slides" / "workshop.md"
DAY_BEGINS = 9 * 60

_HEADING = re.compile(r"^#{1,2} (?P<title>.+?)(?: \{(?P<attributes>[^}]*)\})?$", re.MULTILINE)
_ATTRIBUTE = re.compile(r"(\w+)=(?:\"([^\"]*)\"|(\S+))")


@dataclasses.dataclass(frozen=True)
class Moment:
    """A task, or another part of a slot, from `start` to `end` in minutes since midnight.

    Attributes
    ----------
    start, end : int
    name : str
    number : int
        The task's number, or its place in the slot.
    say, paste : str
        The coach's one sentence, and what goes into the chat; empty for nothing.
    work : dict
        What the moment asks for besides reading; see `PLAN`.
    """

    start: int
    end: int
    name: str
    number: int
    say: str = ""
    paste: str = ""
    work: dict[str, float] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def minutes(self) -> int:
        """Length of the moment."""
        return self.end - self.start


@dataclasses.dataclass(frozen=True)
class Slot:
    """One entry of the day, from `start` to `end` in minutes since midnight.

    Attributes
    ----------
    start, end : int
    title : str
    activity : Activity or None
        None for a talk or a break.
    moments : tuple of Moment
        An activity's tasks; one for the whole slot where nothing divides it.
    late : str
        What the coach cuts when the slot begins late.
    slack : bool
        Whether the slot may be used up by what ran over before it.
    """

    start: int
    end: int
    title: str
    activity: Activity | None
    moments: tuple[Moment, ...] = ()
    late: str = ""
    slack: bool = False

    @property
    def minutes(self) -> int:
        """Length of the entry."""
        return self.end - self.start

    @property
    def name(self) -> str:
        """By which a slide names the slot."""
        return self.activity.name if self.activity else self.title


@dataclasses.dataclass(frozen=True)
class Shown:
    """A slide of the deck: its number, title and attributes as the source has them."""

    number: int
    title: str
    attributes: dict[str, str]


def day(alone: bool = False) -> list[Slot]:
    """The whole day in order: in a room with a coach, or for one person alone.

    Raises
    ------
    DocumentError
        If the plan cannot be read, or does not name every task of an activity once.
    """
    try:
        entries = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
        slots, now = [], DAY_BEGINS
        for entry in entries:
            slot = _slot(entry, now, alone)
            if slot.minutes:
                slots.append(slot)
            now = slot.end
    except OSError as problem:
        raise DocumentError(f"{paths.short(PLAN)}: cannot be read ({problem.strerror}).") from None
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as problem:
        raise DocumentError(f"{paths.short(PLAN)}: not as its first lines say ({str(problem)[:120]}).") from None
    return slots


def _slot(entry: dict[str, Any], start: int, alone: bool) -> Slot:
    activity = activities.load(entry["activity"]) if "activity" in entry else None
    parts = entry.get("moments", [])
    if activity:
        if len(parts) != len(activity.tasks):
            raise DocumentError(
                f"{paths.short(PLAN)}: {activity.name} has {len(activity.tasks)} tasks, and {len(parts)} moments here."
            )
        lengths = [task.alone if alone else task.minutes for task in activity.tasks]
        names = [task.name for task in activity.tasks]
    else:
        parts = parts or [
            {**entry, "name": entry["title"], "alone_minutes": entry["alone"], "do": {}, "alone": {}},
        ]
        lengths = [part["alone_minutes" if alone else "minutes"] for part in parts]
        names = [part["name"] for part in parts]
    moments, now = [], start
    for number, (part, name, length) in enumerate(zip(parts, names, lengths, strict=True), 1):
        moments.append(
            Moment(now, now + length, name, number, part.get("say", ""), part.get("paste", ""), _work(part, alone))
        )
        now += length
    title = activity.heading if activity else entry["title"]
    return Slot(start, now, title, activity, tuple(moments), entry.get("late", ""), entry.get("slack", False))


def _work(part: dict[str, Any], alone: bool) -> dict[str, float]:
    """What a moment asks for besides reading, on one of the two paths."""
    work = dict(part.get("alone", part.get("do", {})) if alone else part.get("do", {}))
    for kind in ("runs", "budget_runs"):
        work[kind] = part.get(f"alone_{kind}" if alone else kind, 0)
    return {**work, "meanwhile": alone and part.get("meanwhile", False), "coach": part.get("coach", False)}


def clock(minutes: int) -> str:
    """Minutes since midnight as ``09:05``."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def slides(text: str | None = None) -> list[Shown]:
    """The slides of the deck's source in order; the first is made from its front matter.

    Parameters
    ----------
    text : str, optional
        The source; what is on the disk by default.
    """
    source = DECK.read_text(encoding="utf-8") if text is None else text
    _, front, body = source.split("---\n", 2)
    first = {key: str(value) for key, value in yaml.safe_load(front).items() if key in ("title", "slot", "minutes")}
    found = [Shown(1, first.pop("title"), first)]
    for match in _HEADING.finditer(body):
        pairs = {key: quoted or bare for key, quoted, bare in _ATTRIBUTE.findall(match["attributes"] or "")}
        found.append(Shown(len(found) + 1, match["title"], pairs))
    return found
