"""Blocks about the day: its slots and times, and what each activity asks for."""

import os
from collections.abc import Callable
from pathlib import Path

from maintain.documents.day import clock, day
from tuning import paths
from tuning.errors import DocumentError
from tuning.evidence.markdown_tables import table
from tuning.further.options import OPTIONS
from tuning.notebook import activities
from tuning.notebook.activities import Activity

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


def _link(activity: Activity, path: Path) -> str:
    target = os.path.relpath(activities.FOLDER / f"{activity.name}.md", path.parent)
    return f"[{activity.heading}]({Path(target).as_posix()})"


def _day(path: Path) -> str:
    rows = [
        (clock(slot.start), _link(slot.activity, path) if slot.activity else slot.title, slot.minutes) for slot in day()
    ]
    return table(("time", "what", "minutes"), [*rows, (clock(day()[-1].end), "End", "")])


def _day_with_tasks(path: Path) -> str:
    """The coach's table: every task with the time at which it begins, and the slot's time for one person alone."""
    rows: list[tuple[object, ...]] = []
    for slot in day():
        rows.append((f"**{clock(slot.start)}**", f"**{slot.title}**", slot.minutes))
        if len(slot.moments) > 1:
            rows += [(clock(moment.start), moment.name, moment.minutes) for moment in slot.moments]
    return table(("time", "what", "minutes"), rows)


def _day_alone(path: Path) -> str:
    """The day of one person alone, from the same tasks."""
    slots = day(alone=True)
    rows = [
        (clock(slot.start), _link(slot.activity, path) if slot.activity else slot.title, slot.minutes) for slot in slots
    ]
    return table(("time", "alone", "minutes"), [*rows, (clock(slots[-1].end), "End", "")])


def _activities(path: Path) -> str:
    """Every activity with the time at which it begins, in a room and alone; breaks and talks are left out."""
    alone = {slot.name: slot for slot in day(alone=True)}
    rows = [
        (
            clock(slot.start),
            _link(slot.activity, path),
            slot.minutes,
            ", ".join(slot.activity.ksbs),
            slot.activity.questions[0],
            f"{clock(alone[slot.name].start)}, {alone[slot.name].minutes}",
        )
        for slot in day()
        if slot.activity
    ]
    return table(("from", "activity", "minutes", "KSBs", "the question it answers", "alone: from, minutes"), rows)


def _own(path: Path) -> Activity:
    if path.parent != activities.FOLDER:
        raise DocumentError(f"{paths.short(path)}: only an activity has a block of its own front matter.")
    return activities.load(path.stem)


def _overview(path: Path) -> str:
    """The top of an activity's page."""
    own = _own(path)
    codes = "; ".join(f"**{code}** {activities.KSBS[code]}" for code in own.ksbs)
    objectives = [f"- 🎯 {objective}" for objective in own.objectives]
    rows = [(f"{number}. {task.name}", task.minutes, task.alone) for number, task in enumerate(own.tasks, 1)]
    tasks = table(("task", "minutes", "alone"), rows)
    questions = " ".join(f"*{question}*" for question in own.questions)
    return "\n\n".join(
        [f"**{own.minutes} minutes** (alone {own.alone}) · {codes}", questions, "\n".join(objectives), tasks],
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
        (
            f"**{letter}** [{option.title}]({folder}/{option.notebook}.ipynb)",
            *(option.question, option.training, option.minutes),
        )
        for letter, option in OPTIONS.items()
    ]
    return table(("option", "the question", "new training", "minutes"), rows)


def _option_titles(path: Path) -> str:
    """The options by name, for a slide."""
    return table(
        ("option", "what it is about"), [(f"**{letter}**", option.title) for letter, option in OPTIONS.items()]
    )


def _half(first: bool) -> Callable[[Path], str]:
    """The day until lunch, or from then on: short enough for a slide."""

    def block(path: Path) -> str:
        slots = [slot for slot in day() if not slot.slack]  # slack is for the coach
        lunch = next(at for at, slot in enumerate(slots) if slot.title == "Lunch")
        shown = slots[: lunch + 1] if first else slots[lunch + 1 :]
        names = [(slot, slot.activity.heading if slot.activity else slot.title.partition(",")[0]) for slot in shown]
        rows = [(clock(slot.start), name.removeprefix("Activity "), slot.minutes) for slot, name in names]
        return table(("time", "morning" if first else "afternoon", "min"), rows)

    return block


def _opening(name: str) -> Callable[[Path], str]:
    """What the first slide of an activity shows: its questions on the left, its tasks on the right."""

    def block(path: Path) -> str:
        (slot,) = [slot for slot in day() if slot.name == name]
        activity = slot.activity
        heading = f"{slot.minutes} minutes, {clock(slot.start)} to {clock(slot.end)}"
        rows = [(clock(moment.start), f"{moment.number}. {moment.name}", moment.minutes) for moment in slot.moments]
        tasks = table(("from", "task", "min"), rows)
        codes = " · ".join(activity.ksbs)
        return (
            f":::: columns\n::: column\n{(chr(10) * 2).join(activity.questions)}\n\n**{codes}**\n:::\n"
            f"::: column\n{heading}\n\n{tasks}\n:::\n::::"
        )

    return block


def _back(title: str) -> Callable[[Path], str]:
    """The heading of the slide that stands during a break."""

    def block(path: Path) -> str:
        (slot,) = [slot for slot in day() if slot.title == title]
        return f'# Back at {clock(slot.end)} {{slot="{title}" under="{title}, {slot.minutes} minutes"}}'

    return block


BLOCKS: dict[str, Callable[[Path], str]] = {
    "overview": _overview,
    "keypoints": _keypoints,
    "day": _day,
    "day-with-tasks": _day_with_tasks,
    "day-alone": _day_alone,
    "activities": _activities,
    "ksbs": _ksbs,
    "emoji": _emoji,
    "options": _options,
    "option-titles": _option_titles,
    "morning": _half(first=True),
    "afternoon": _half(first=False),
    "back-morning": _back("Morning break"),
    "back-lunch": _back("Lunch"),
    "back-afternoon": _back("Afternoon break"),
    **{f"opening-{name}": _opening(name) for name in activities.NAMES},
}
