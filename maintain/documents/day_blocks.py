"""Blocks about the day: its slots and times, and what each activity asks for."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from tuning import paths
from tuning.errors import DocumentError
from tuning.evidence.markdown_tables import table
from tuning.further.options import OPTIONS
from tuning.notebook import activities
from tuning.notebook.activities import Activity

# What the day holds beside its activities; the activities bring their own minutes.
DAY: tuple[str | tuple[str, int], ...] = (
    ("Welcome, safeguarding, wellbeing, objectives", 15),
    ("Fine-tuning in plain English", 15),
    "activity-1",
    "activity-2",
    ("Break", 15),
    "activity-3",
    "activity-4",
    ("Lunch", 60),
    ("Coming back", 10),
    "activity-5",
    "activity-6",
    ("Break", 10),
    "going-further",
    "activity-7",
    ("Wrap", 15),
)
DAY_BEGINS = 9 * 60
# One meaning each, in every document.
EMOJI = {
    "🎯": "learning objective",
    "📋": "expected outputs",
    "📝": "task or step",
    "⌨️": "terminal",
    "📓": "notebook",
    "✅": "checkpoint",
    "🤔": "reflect",
    "💡": "tip",
    "⚠️": "warning",
    "📘": "explanation",
    "🚀": "extension",
    "🎓": "complete",
}


@dataclasses.dataclass(frozen=True)
class Slot:
    """One entry of the day, from `start` to `end` in minutes since midnight; `activity` is None for a break."""

    start: int
    end: int
    title: str
    activity: Activity | None

    @property
    def minutes(self) -> int:
        """Length of the entry."""
        return self.end - self.start


def day() -> list[Slot]:
    """The whole day in order, with the minutes of the activities' front matter."""
    slots, now = [], DAY_BEGINS
    for entry in DAY:
        if isinstance(entry, str):
            activity = activities.load(entry)
            slots.append(Slot(now, now + activity.minutes, activity.heading, activity))
        else:
            title, minutes = entry
            slots.append(Slot(now, now + minutes, title, None))
        now = slots[-1].end
    return slots


def clock(minutes: int) -> str:
    """Minutes since midnight as ``09:05``."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _link(activity: Activity, path: Path) -> str:
    target = os.path.relpath(activities.FOLDER / f"{activity.name}.md", path.parent)
    return f"[{activity.heading}]({Path(target).as_posix()})"


def _day(path: Path) -> str:
    rows = [
        (clock(slot.start), _link(slot.activity, path) if slot.activity else slot.title, slot.minutes) for slot in day()
    ]
    return table(("time", "what", "minutes"), [*rows, (clock(day()[-1].end), "End", "")])


def _day_with_tasks(path: Path) -> str:
    """The coach's table: every task with the time at which it begins."""
    rows: list[tuple[object, ...]] = []
    for slot in day():
        rows.append((f"**{clock(slot.start)}**", f"**{slot.title}**", slot.minutes))
        now = slot.start
        for task in slot.activity.tasks if slot.activity else ():
            rows.append((clock(now), task.name, task.minutes))
            now += task.minutes
    return table(("time", "what", "minutes"), rows)


def _activities(path: Path) -> str:
    """Every activity with the time at which it begins; breaks and talks are left out."""
    slots = [(slot.start, slot.activity) for slot in day() if slot.activity]
    rows = [
        (clock(start), _link(own, path), own.minutes, ", ".join(own.ksbs), own.questions[0]) for start, own in slots
    ]
    return table(("from", "activity", "minutes", "KSBs", "the question it answers"), rows)


def _own(path: Path) -> Activity:
    if path.parent != activities.FOLDER:
        raise DocumentError(f"{paths.short(path)}: only an activity has a block of its own front matter.")
    return activities.load(path.stem)


def _overview(path: Path) -> str:
    """The top of an activity's page."""
    own = _own(path)
    codes = "; ".join(f"**{code}** {activities.KSBS[code]}" for code in own.ksbs)
    objectives = [f"- 🎯 {objective}" for objective in own.objectives]
    tasks = table(
        ("task", "minutes"), [(f"{number}. {task.name}", task.minutes) for number, task in enumerate(own.tasks, 1)]
    )
    questions = " ".join(f"*{question}*" for question in own.questions)
    return "\n\n".join(
        [f"**{own.minutes} minutes** · {codes}", questions, "\n".join(objectives), tasks],
    )


def _keypoints(path: Path) -> str:
    return "\n".join(f"- {point}" for point in _own(path).keypoints)


def _ksbs(path: Path) -> str:
    return table(("code", "what it is about"), activities.KSBS.items())


def _emoji(path: Path) -> str:
    return table(("sign", "meaning"), EMOJI.items())


def _options(path: Path) -> str:
    """The options of Going Further, with their notebooks."""
    folder = Path(os.path.relpath(paths.LAB / "going_further", path.parent)).as_posix()
    rows = [
        (f"**{letter}** [{option.title}]({folder}/{option.notebook}.ipynb)", option.question, option.training)
        for letter, option in OPTIONS.items()
    ]
    return table(("option", "the question", "new training"), rows)


def _half(first: bool) -> Callable[[Path], str]:
    """The day until lunch, or from then on: short enough for a slide."""

    def block(path: Path) -> str:
        slots = day()
        lunch = next(at for at, slot in enumerate(slots) if slot.title == "Lunch")
        shown = slots[: lunch + 1] if first else slots[lunch + 1 :]
        rows = [(clock(slot.start), slot.title.removeprefix("Activity "), slot.minutes) for slot in shown]
        return table(("time", "morning" if first else "afternoon", "min"), rows)

    return block


def _opening(name: str) -> Callable[[Path], str]:
    """What the first slide of an activity shows: its questions on the left, its tasks on the right."""

    def block(path: Path) -> str:
        activity = activities.load(name)
        begins = next(slot.start for slot in day() if slot.activity == activity)
        heading = f"{activity.minutes} minutes, {clock(begins)} to {clock(begins + activity.minutes)}"
        rows, now = [], begins
        for at, task in enumerate(activity.tasks, 1):
            rows.append((clock(now), f"{at}. {task.name}", task.minutes))
            now += task.minutes
        tasks = table(("from", "task", "min"), rows)
        codes = " · ".join(activity.ksbs)
        return (
            f":::: columns\n::: column\n{(chr(10) * 2).join(activity.questions)}\n\n**{codes}**\n:::\n"
            f"::: column\n{heading}\n\n{tasks}\n:::\n::::"
        )

    return block


BLOCKS: dict[str, Callable[[Path], str]] = {
    "overview": _overview,
    "keypoints": _keypoints,
    "day": _day,
    "day-with-tasks": _day_with_tasks,
    "activities": _activities,
    "ksbs": _ksbs,
    "emoji": _emoji,
    "options": _options,
    "morning": _half(first=True),
    "afternoon": _half(first=False),
    **{f"opening-{name}": _opening(name) for name in activities.NAMES},
}
