"""Blocks about the coach's clock: the run sheet, and how each time of the day was found."""

from collections.abc import Callable
from pathlib import Path

from maintain.documents import reading
from maintain.documents.day import Moment, Slot, clock, day, slides
from maintain.documents.reading import MINUTES, WORDS_A_MINUTE, Estimate
from tuning.evidence.markdown_tables import table

COLUMNS = ("time", "slide", "what", "say", "into the chat", "if late, cut")


def run_sheet_rows() -> list[tuple[str, ...]]:
    """The run sheet: a row for each moment of the day, with the slide that stands behind it."""
    shown, opening = _shown()
    rows: list[tuple[str, ...]] = []
    for slot in day():
        for moment in slot.moments:
            first = moment is slot.moments[0]
            numbers = shown.get((slot.name, moment.number)) or opening.get(slot.name, [])
            what = f"{moment.number}. {moment.name}" if slot.activity else moment.name
            kicker = f"**{slot.title.partition(':')[0].replace('ctivity ', '')}** " if first and slot.activity else ""
            late = slot.late if first else ""
            rows.append((clock(moment.start), _span(numbers), kicker + what, moment.say, moment.paste, late))
    return [*rows, (clock(day()[-1].end), "", "End", "", "", "")]


def _shown() -> tuple[dict[tuple[str, int], list[int]], dict[str, list[int]]]:
    """The numbers of the slides at each moment, and of the slide that opens each activity."""
    activities = {slot.name for slot in day() if slot.activity}
    found: dict[tuple[str, int], list[int]] = {}
    opening: dict[str, list[int]] = {}
    name = ""
    for slide in slides():
        name = slide.attributes.get("slot", name)
        if name in activities and "task" not in slide.attributes:
            opening[name] = [slide.number]
        else:
            found.setdefault((name, int(slide.attributes.get("task", 1))), []).append(slide.number)
    return found, opening


def _span(numbers: list[int]) -> str:
    return "" if not numbers else str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _run_sheet(path: Path) -> str:
    return table(COLUMNS, run_sheet_rows())


def _rules(path: Path) -> str:
    """What each number of the table stands for."""
    usual, whole = (60 * reading.training_minutes(budget) for budget in (False, True))
    doing = f"{MINUTES['write']:g} minute for each thing to write, {60 * MINUTES['open']:.0f} seconds to open a page"
    training = f"{usual:.0f} seconds at default dials and {whole:.0f} for a whole budget"
    return "\n".join(
        [
            f"- **Reading**: {WORDS_A_MINUTE} words a minute: the task, and the notebook sections that it names, once."
            " Folded parts count for one person alone only.",
            f"- **Questions**: {MINUTES['question']:g} minutes for each question mark.",
            f"- **Cells**: {MINUTES['cell']:g} minutes to run one and look at what it shows.",
            f"- **Doing**: {doing}; talk, installation and search in minutes, as `maintain/day.yaml` says.",
            f"- **Training**: the middle of the recorded runs on two cores with the built-in encoder, {training}."
            " DistilBERT takes longer and is not recorded yet. One person alone reads and writes meanwhile, and waits"
            " only for the rest.",
        ]
    )


def _found(alone: bool) -> Callable[[Path], str]:
    def block(path: Path) -> str:
        rows: list[tuple[object, ...]] = []
        for slot, own in reading.estimates(alone):
            if not any(estimate.minutes for estimate in own):
                continue
            rows.append(_row(f"**{slot.title}**", own, slot))
            if len(own) > 1:
                rows += [
                    _row(moment.name, [estimate], moment) for moment, estimate in zip(slot.moments, own, strict=True)
                ]
        return table(("part", "words", "reading", "questions", "cells", "doing", "training", "takes", "has"), rows)

    return block


def _row(name: str, parts: list[Estimate], given: Slot | Moment) -> tuple[object, ...]:
    """What the parts take together, beside the minutes they are given; rounded as far as it can be known."""

    def shown(value: float) -> str:
        return f"{round(2 * value) / 2:g}" if value else ""

    return (
        name,
        round(sum(part.words for part in parts), -1) or "",
        shown(sum(part.reading for part in parts)),
        sum(part.questions for part in parts) or "",
        sum(part.cells for part in parts) or "",
        shown(sum(part.doing for part in parts)),
        shown(sum(part.training for part in parts)),
        shown(sum(part.minutes for part in parts)),
        given.minutes,
    )


BLOCKS: dict[str, Callable[[Path], str]] = {
    "run-sheet": _run_sheet,
    "time-rules": _rules,
    "times-found": _found(alone=False),
    "times-found-alone": _found(alone=True),
}
