"""Where a learner stands: what of an activity is done and what is missing, from what lies on disk.

`checkpoint` looks at the runs, the predictions, the lines to share and the learner's worksheet. It judges nothing that
was written: a text counts as there when it has enough words of the learner's own, by the rule of
`tuning.evidence.task6`.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import re
from collections.abc import Callable

from tuning import paths
from tuning.dials import PRESETS
from tuning.errors import WorkshopError, nearest
from tuning.evidence import task6, worksheet
from tuning.evidence.markdown_tables import find_table
from tuning.evidence.predictions import prediction_of
from tuning.evidence.task6 import FEWEST_NOTE_WORDS, FEWEST_WORDS
from tuning.evidence.worksheet_blocks import DIFFERENCE, FIELDS, GO_ON, Block, find_blocks, is_number, unclear_run_ids
from tuning.notebook import activities, machine_checks
from tuning.room.budget_round import BUDGET, spent
from tuning.runs.record import Run
from tuning.runs.store import adopted_from, marked_id, readable_runs

ABOUT_COLUMNS = ("About you", "")
ABOUT_ROWS = ("Group and preset", "Role (driver, logger, observer)")

_WORD = re.compile(r"[^\W\d_]{2,}")
# In the empty form the next thing after this prompt is a heading.
_TYPED_INTO = re.compile(r"\*\*Your answer:\*\*\s*[^\s#]")


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing that an activity leaves behind: is it there, what is it, and how to get it."""

    done: bool
    what: str
    to_do: str

    def __str__(self) -> str:
        return f"  [done]     {self.what}" if self.done else f"  [missing]  {self.what}\n{' ' * 13}{self.to_do}"


def checkpoint(*names: str) -> None:
    """Print what is done and what is missing, of all activities or of those named, such as ``"activity-1"``.

    Nothing that a learner does makes it fail: what cannot be read is said in a line.
    """
    print("\n\n".join(report(name) for name in names or activities.NAMES))


def report(name: str) -> str:
    """What `checkpoint` prints about one activity."""
    if name not in _ITEMS:
        hint = nearest(str(name), _ITEMS)
        return f"There is no checkpoint {name!r}.{hint} There are: {', '.join(_ITEMS)}."
    title = name
    with contextlib.suppress(WorkshopError):
        title = activities.load(name).heading
    try:
        desk = Desk()
        items = _ITEMS[name](desk)
    except (WorkshopError, OSError, ValueError) as problem:
        # A ValueError is a handout that was damaged or saved in another encoding.
        return f"{title}\n  Cannot be looked at: {problem}"
    done = sum(item.done for item in items)
    last = f"  {done} of {len(items)} done." + (" Complete: go on." if done == len(items) else "")
    return "\n".join([title, *map(str, items), *(f"  [warning]  {line}" for line in desk.warnings), last])


class Desk:
    """Everything of the learner's that lies on disk, each read once.

    Attributes
    ----------
    warnings : list of str
        What could not be read.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        if not worksheet.worksheet_file().exists():
            try:
                worksheet.own_copy()
            except WorkshopError as problem:
                self.warnings.append(str(problem))
        self.text = worksheet.read_worksheet()
        self.template = worksheet.TEMPLATE.read_text(encoding="utf-8")
        if _TYPED_INTO.search(self.template):
            self.warnings.append(
                f"{paths.short(worksheet.TEMPLATE)} is the empty form, and somebody has typed into it."
                f" Move that text into {_where()}: only what stands there counts."
            )

    @functools.cached_property
    def runs(self) -> list[Run]:
        """Finished and adopted runs, oldest first; one that differs from its dials is named and does not count."""
        runs, damaged = readable_runs()
        self.warnings += [reason for _, reason in damaged]
        self.warnings += [f"{marked_id(run)} stands apart and is not counted." for run in runs if run.apart]
        return [run for run in runs if not run.apart]

    @property
    def alone(self) -> bool:
        """The learner has written so; else no run was adopted, has a group's number, or was shared with the room."""
        if "alone" in _about(self).get("Group and preset", "").casefold():
            return True
        numbered = any(adopted_from(run) is not None or run.dials.get("GROUP") is not None for run in self.runs)
        return not numbered and not _shared(self)

    def rows(self, columns: tuple[str, ...]) -> list[dict[str, str]]:
        """The rows of a table of the worksheet; none, with a warning, where its heading was changed."""
        table = find_table(self.text, columns)
        if isinstance(table, str):
            warning = f'{_where()}: the table with "{columns[-1] or columns[0]}" cannot be used ({table}).'
            if warning not in self.warnings:
                self.warnings.append(warning)
            return []
        return [dict(zip(columns, map(str.strip, row), strict=True)) for row in table.rows]

    @functools.cached_property
    def blocks(self) -> list[Block]:
        """The blocks of Part B that belong to one run on disk; a Run ID that fits several is named."""
        fitting = {block: block.belongs_to(self.runs) for block in find_blocks(self.text)}
        self.warnings += unclear_run_ids(fitting)
        return [block for block, candidates in fitting.items() if len(candidates) == 1]

    def noted(self, field: str) -> bool:
        """Is there a note in this field of a block of Part B that belongs to a run on disk?"""
        return any(len(_WORD.findall(block.typed[field])) >= FEWEST_NOTE_WORDS for block in self.blocks)

    def written(self, place: str, what: str) -> Item:
        """Is there a text of the learner's own under a lettered heading of the worksheet?"""
        section = task6.sections(self.text).get(place)
        if section is None:
            return Item(False, f"{place}, {what}", f'its heading is gone from the worksheet; put "{place}." back')
        words = task6.own_words(section, self.template)
        to_do = f"write it in the worksheet ({words} words of your own so far, {FEWEST_WORDS} count as a text)"
        return Item(words >= FEWEST_WORDS, f"{place}, {what}", to_do)


def _where() -> str:
    return paths.short(worksheet.worksheet_file())


def _copy() -> Item:
    there = worksheet.worksheet_file().exists()
    return Item(there, f"Your copy of the worksheet is {_where()}", f"copy {paths.short(worksheet.TEMPLATE)} there")


def _curve_diagnosis(desk: Desk) -> list[Item]:
    return [
        _copy(),
        desk.written("A1", "what happened in each curve"),
        desk.written("A2", "which dial first"),
        desk.written("A3", "what felt familiar"),
        desk.written("A4", "one curve for a colleague"),
    ]


def _setup(desk: Desk) -> list[Item]:
    baseline = next((block.typed for block in find_blocks(desk.text) if block.is_baseline), dict.fromkeys(FIELDS, ""))
    numbers = all(is_number(baseline[field]) for field in ("Val loss", "Accuracy", "F1-macro"))
    return [
        _machine(),
        _copy(),
        Item(
            numbers or bool(desk.runs),
            "The block Baseline has its numbers (Part B, Experiments)",
            'copy validation loss, accuracy and macro-F1 from the section "Metrics and baseline"',
        ),
        Item(
            "majority" in baseline["Notes"].casefold(),
            "The majority class stands beside it (Notes of the block Baseline)",
            'write "majority:" with its accuracy and macro-F1, from the same table',
        ),
    ]


def _machine() -> Item:
    if importlib.util.find_spec("torch") is None:
        return Item(True, "This machine is ready for the backup lab (there is no PyTorch)", "")
    failed = [check.text for check in machine_checks.checks() if check.status == "FAIL"]
    return Item(not failed, "This machine is ready", "; ".join(failed))


def _about(desk: Desk) -> dict[str, str]:
    """What stands at the top of the worksheet."""
    return {row["About you"]: row[""] for row in desk.rows(ABOUT_COLUMNS)}


def _about_you(desk: Desk) -> Item:
    missing = [name for name in ABOUT_ROWS if not _about(desk).get(name)]
    to_do = f'write it at the top of the worksheet (alone: "alone, all three"): {", ".join(missing)}'
    return Item(not missing, "Group, preset and role", to_do)


def _experiment(desk: Desk) -> list[Item]:
    items = [
        _about_you(desk),
        Item(
            any(prediction_of(run) for run in desk.runs),
            "A prediction, stored before its run",
            'write PREDICTION in the section "One step under the microscope" (backup lab: "Train three presets"),'
            " run that cell, then train",
        ),
        Item(
            bool(desk.runs),
            "A run in the experiment log, your own or your group's",
            'run the section "Train", or adopt your group\'s run',
        ),
    ]
    if desk.runs and desk.alone:
        missing = [preset for preset in PRESETS if preset not in {run.preset for run in desk.runs}]
        items.append(Item(not missing, "All three presets (you work alone)", f"still to run: {', '.join(missing)}"))
    else:
        items.append(
            Item(
                any(adopted_from(run) for run in desk.runs) or _shared(desk),
                "The run is shared with the room, or adopted from your group",
                'the driver makes the line in "Share your run", everybody else pastes it in "Adopt your group\'s run"',
            )
        )
    # The filled copy knows every run on disk.
    copies = paths.work().glob(f"{worksheet.filled_file().stem}*.md")
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in copies)
    filled = bool(desk.runs) and all(run.run_id in text for run in desk.runs)
    return [
        *items,
        Item(
            filled, f"Your runs are in {paths.short(worksheet.filled_file())}", 'run the section "Fill your worksheet"'
        ),
        Item(
            desk.noted("Notes"),
            "A note of yours on the run (Part B, with its Run ID)",
            "what did you expect, what happened, which dial next?",
        ),
        Item(
            desk.noted(DIFFERENCE),
            "What the difference between prediction and result tells you",
            f"write it into the run's block: {DIFFERENCE}",
        ),
    ]


def _shared(desk: Desk) -> bool:
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths.share().glob("*.json")]
    return any(f'"run_id": "{run.run_id}"' in text for run in desk.runs for text in texts)


def _comparison(desk: Desk) -> list[Item]:
    return [
        Item(bool(desk.runs), "A run to compare, your own or your group's", 'adopt it in "Adopt your group\'s run"'),
        desk.written("B1", "the conclusion of the room"),
        desk.written("C6", "how much was luck (a first version)"),
        desk.written("C3", "the paragraph for a stakeholder (a first version)"),
    ]


def _convergence(desk: Desk) -> list[Item]:
    budget = [run for run in desk.runs if BUDGET / 2 < spent(run) <= BUDGET]
    items = [
        Item(bool(desk.runs), "A run to judge, your own or your group's", 'adopt it in "Adopt your group\'s run"'),
        Item(desk.noted(GO_ON), GO_ON, "write it into the block of a run (Part B, with its Run ID)"),
        Item(
            bool(budget),
            f"A run of the budget round (more than {BUDGET // 2:,} and at most {BUDGET:,} sentence-passes)",
            "set the dials so that training sentences times epochs stay within it, train, or adopt your group's",
        ),
    ]
    if not budget or any(not run.is_backup for run in budget):
        items.append(
            Item(
                any(run.test for run in budget),
                "Its test part was opened, once",
                'wait for the coach\'s word, then run the section "Open the test part, once"',
            )
        )
    return [*items, desk.written("C4", "what one more epoch costs, and how you spent the budget")]


def _reflection(desk: Desk) -> list[Item]:
    titles = {
        "C1": "what trainer.train() does",
        "C2": "working, or wasting compute",
        "C3": "for a stakeholder",
        "C4": "one more epoch",
        "C5": "two limits of the data",
        "C6": "how much was luck",
        "C7": "what you started yourself",
        "E": "one credible source",
    }
    evidence = task6.evidence()
    _ = desk.blocks  # a block that counts for no run is named
    missing = [item for item, state in evidence["state"].items() if state != "ready"]
    return [
        *(desk.written(place, what) for place, what in titles.items()),
        Item(not missing, "Task 6: every item has its evidence", f"not yet: {', '.join(missing)}"),
    ]


def _going_further(desk: Desk) -> list[Item]:
    return [
        Item(bool(desk.runs), "A first run to start from", "train one in notebook 01 or 02, or adopt your group's"),
        desk.written("D", "the record of one option"),
    ]


_ITEMS: dict[str, Callable[[Desk], list[Item]]] = {
    "activity-1": _curve_diagnosis,
    "activity-2": _setup,
    "activity-3": _experiment,
    "activity-4": _comparison,
    "activity-5": _convergence,
    "activity-6": lambda desk: [desk.written("C5", "two limits of the data, and next month")],
    "activity-7": _reflection,
    "going-further": _going_further,
}
