"""Blocks of the coach's pages beside the playbook: what the worksheet serves, and other shapes of the day.

Each shape names moments of the day (`maintain.documents.day`); their minutes are the day's.
"""

from collections.abc import Callable
from pathlib import Path

from maintain import room_cards
from maintain.documents.day import DAY_BEGINS, Slot, clock, day
from tuning.dials import PRESETS
from tuning.errors import DocumentError
from tuning.evidence import task6, worksheet
from tuning.evidence.markdown_tables import find_table, table
from tuning.notebook import activities

# Three hours: a slot of the day, and which of its moments stay.
HALF_DAY = (
    ("Welcome, safeguarding, wellbeing, objectives", (1,)),
    ("Fine-tuning in plain English", (1,)),
    ("activity-1", (2,)),
    ("The clinic, then the answers", (2,)),
    ("activity-2", (1, 2, 5)),
    ("activity-3", (1, 4, 5, 6, 7)),
    ("Afternoon break", (1,)),
    ("activity-4", (2, 3, 4, 5)),
    ("activity-5", (1, 2)),
    ("activity-6", (1, 3)),
    ("activity-7", (1, 4)),
    ("Wrap", (3,)),
)
GROUPS = (4, 6, 9)
# At a distance each change of rooms takes two minutes, which these moments give.
CHANGE = 2
REMOTE_WITHOUT = {"activity-1": (3, 5), "activity-3": (2,), "Slack": (1,), "activity-6": (2,), "going-further": (4,)}
# Where people are after a change of rooms, who shares a screen, and what stands for the board.
REMOTE = {
    "activity-1": ("pairs' rooms", "nobody: curves on each screen", "causes as a poll"),
    "activity-2": ("groups' rooms", "who is stuck, to the coach", "room card as the chat's pinned message"),
    "The clinic, then the answers": ("pairs' rooms, then all", "one of each pair; coach for the answers", ""),
    "activity-3": ("groups' rooms", "the driver", "the four words, with a tally for each group"),
    "activity-4": ("all", "the coach, notebook 03", "three headings, filled by typing"),
    "activity-5": ("groups' rooms; all for the test part", "the driver", "plans before training"),
    "activity-6": ("halves, then pairs' rooms", "nobody", "two columns: too general, specific"),
    "going-further": ("one room for each option", "anyone who wants to", "letters with names"),
    "activity-7": ("all, muted; then rooms of three", "nobody", "four questions to a source"),
    "Wrap": ("all", "the coach, notebook 03", ""),
}
SECOND_COACH = {
    "Welcome, safeguarding, wellbeing, objectives": "at the door and in the chat: late arrivals, the worksheet link,"
    " captions on; opens the threads *lines* and *stuck*",
    "Fine-tuning in plain English": "reads the *SEND THIS LINE* replies, and marks who has not started; sits beside one"
    " of them",
    "activity-1": "pairs those who are alone; says nothing about curves; gives out group cards",
    "activity-2": "moves anyone who has been stuck for ten minutes to the backup lab; looks for the room card on three"
    " screens; tells the first coach how many have the block *Baseline*",
}


def parts_of_ksbs() -> dict[str, list[str]]:
    """Parts of the worksheet by the KSB that they serve, as its table "Task 6 mapping" says."""
    mapping = find_table(worksheet.read_template(), task6.MAPPING_COLUMNS)
    served: dict[str, list[str]] = {code: [] for code in activities.KSBS}
    for _, places, codes in mapping.rows:
        for code in codes.split(","):
            served[code.strip()] += [place.strip() for place in places.split(",")]
    return served


def _task_6_parts(path: Path) -> str:
    rows = [(code, activities.KSBS[code], ", ".join(places)) for code, places in parts_of_ksbs().items()]
    return table(("KSB", "what it is about", "parts of the worksheet"), rows)


def _slot(name: str) -> Slot:
    """The slot of the day that has this name."""
    slots = {slot.name: slot for slot in day()}
    if name not in slots:
        raise DocumentError(f"maintain/documents/coach_blocks.py: the day has no slot {name}.")
    return slots[name]


def half_day() -> list[tuple[int, Slot, list[str], int]]:
    """The half day: when each part begins, its slot of the day, the tasks that stay, and minutes."""
    parts, now = [], DAY_BEGINS
    for name, numbers in HALF_DAY:
        slot = _slot(name)
        kept = [moment for moment in slot.moments if moment.number in numbers]
        minutes = sum(moment.minutes for moment in kept)
        names = [moment.name for moment in kept] if len(slot.moments) > len(kept) else []
        parts.append((now, slot, names, minutes))
        now += minutes
    return parts


def _half_day(path: Path) -> str:
    parts = half_day()
    rows = [
        (clock(start), slot.title.replace("Afternoon b", "B"), "; ".join(names) or "all of it", minutes)
        for start, slot, names, minutes in parts
    ]
    end = parts[-1][0] + parts[-1][3]
    return table(("time", "what", "tasks that stay", "minutes"), [*rows, (clock(end), "End", "", "")])


def numbers_for(groups: int) -> tuple[list[int], list[str]]:
    """The numbers to give to so many groups, and the presets that the coach runs; two groups or more share one."""
    if groups >= 2 * len(PRESETS):
        return list(range(1, groups + 1)), []
    kept = [preset for preset in PRESETS if preset != "TOO_LOW"]
    numbers = [number for number in range(1, room_cards.GROUPS + 1) if room_cards.preset_of(number) in kept]
    return numbers[:groups], ["TOO_LOW"]


def _group_plans(path: Path) -> str:
    rows = []
    for groups in GROUPS:
        numbers, coach = numbers_for(groups)
        presets = [room_cards.preset_of(number) for number in numbers]
        shares = ", ".join(f"`{preset}` {presets.count(preset)}" for preset in PRESETS if preset in presets)
        rows.append((groups, ", ".join(map(str, numbers)), shares, ", ".join(f"`{preset}`" for preset in coach)))
    return table(("groups", "numbers to give", "groups for each preset", "the coach runs"), rows)


def remote_day() -> list[tuple[int, Slot, int]]:
    """The day at a distance: when each slot begins, the slot, and its minutes with the change of rooms."""
    parts, now = [], DAY_BEGINS
    for slot in day():
        without = REMOTE_WITHOUT.get(slot.name, ())
        minutes = sum(moment.minutes for moment in slot.moments if moment.number not in without)
        minutes += CHANGE if slot.name in REMOTE else 0
        if minutes:
            parts.append((now, slot, minutes))
        now += minutes
    return parts


def _remote(path: Path) -> str:
    parts = remote_day()
    rows = [(clock(start), slot.title, minutes, *REMOTE.get(slot.name, [""] * 3)) for start, slot, minutes in parts]
    end = (clock(parts[-1][0] + parts[-1][2]), "End", "", "", "", "")
    return table(("time", "what", "minutes", "where", "who shares", "in place of the board"), [*rows, end])


def _remote_without(path: Path) -> str:
    named = [
        f"*{moment.name}* ({_slot(name).title.partition(':')[0]})"
        for name, numbers in REMOTE_WITHOUT.items()
        for moment in _slot(name).moments
        if moment.number in numbers and not _slot(name).slack
    ]
    return f"Each change of rooms takes {CHANGE} minutes. To make up the time, leave out {', '.join(named)}."


def _second_coach(path: Path) -> str:
    rows = [
        (clock(_slot(name).start), _slot(name).title, f"{job[0].upper()}{job[1:]}.")
        for name, job in SECOND_COACH.items()
    ]
    return table(("time", "the first coach", "the second coach"), rows)


BLOCKS: dict[str, Callable[[Path], str]] = {
    "task-6-parts": _task_6_parts,
    "half-day": _half_day,
    "group-plans": _group_plans,
    "remote": _remote,
    "remote-without": _remote_without,
    "second-coach": _second_coach,
}
