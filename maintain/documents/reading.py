"""How long each part of the day takes: words to read, cells to run, things to do, and trainings to wait for.

The words are counted in the activities and in the notebook sections that they name, and read at `WORDS_A_MINUTE`; a
section that was read once is not counted again. What is to be done stands in ``maintain/day.yaml``. A training takes as
long as the recorded runs of the built-in encoder took on two cores, in the middle.
"""

import dataclasses
import json
import re
from functools import cache
from statistics import median

from maintain import reference_runs
from maintain.documents.day import Moment, Slot, day
from tuning import paths
from tuning.notebook import activities
from tuning.runs import reference

# A person who reads in a second language and understands what is new to them.
WORDS_A_MINUTE = 150
# Minutes that each thing takes: a question to think about, a cell to run and look at, a sentence or two to write, a
# page to open. Counted in minutes already: talk (in a room) and play (with a page, an installation, a source).
MINUTES = {"question": 0.5, "cell": 0.5, "write": 1.0, "open": 1 / 3, "talk": 1.0, "play": 1.0}
# Where words stand that belong to a slot and to no task of an activity.
ELSEWHERE = {
    "Fine-tuning in plain English": ("handouts/Fine_Tuning_in_Plain_English.md", ""),
    "The clinic, then the answers": ("activities/activity-1.md", "After the break"),
}
# Repeated everywhere, and read once, or not read for the task.
_SKIPPED = ("overview", "keypoints", "take-home", "room")

_DETAILS = re.compile(r"<details>.*?</details>", re.DOTALL)
_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_MARKS = re.compile(r"<!-- figures: ([\w-]+) begin -->(.*?)<!-- figures: \1 end -->", re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_WORD = re.compile(r"[^\W_]+(?:[-'\u2019.,][^\W_]+)*")
_CELLS = re.compile(r"\bcells?\s((?:`[\w-]+`(?:,| and)?\s?)+)")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a moment takes, in minutes, and the words that are read in it."""

    words: int
    questions: int
    cells: int
    doing: float
    training: float
    meanwhile: bool = False

    @property
    def reading(self) -> float:
        """Minutes of reading."""
        return self.words / WORDS_A_MINUTE

    @property
    def hands(self) -> float:
        """Minutes of thinking, of running cells and of doing."""
        return self.questions * MINUTES["question"] + self.cells * MINUTES["cell"] + self.doing

    @property
    def minutes(self) -> float:
        """All of it; who reads and writes while the model trains waits only for the rest."""
        busy = self.reading + self.hands
        return max(busy, self.training) if self.meanwhile else busy + self.training


def visible(text: str, folded: bool = False) -> str:
    """What a reader meets in Markdown: neither code, pictures and addresses, nor parts that stay `folded`."""
    text = text if folded else _DETAILS.sub("", text)
    text = _MARKS.sub(lambda block: "" if block[1] in _SKIPPED else block[2], text)
    for pattern in (_FENCE, _PICTURE, re.compile(r"<!--.*?-->", re.DOTALL)):
        text = pattern.sub("", text)
    return re.sub(r"\]\([^)]*\)|</?\w+>", "]", text)


def words(text: str, folded: bool = False) -> int:
    """Number of words of `visible`."""
    return len(_WORD.findall(visible(text, folded)))


@cache
def _sections() -> dict[tuple[str, str], tuple[int, int, frozenset[str]]]:
    """Words, code cells and cell ids of every section of the notebooks that the room runs."""
    found: dict[tuple[str, str], tuple[int, int, frozenset[str]]] = {}
    for path in sorted(paths.LAB.glob("0[13]*.ipynb")):
        here = None
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source, prose = "".join(cell["source"]), cell["cell_type"] == "markdown"
            if prose and (heading := re.match(r"#{1,3} (.+)", source)):
                here = (path.name[:2], heading[1].strip())
            if here:
                count, code, ids = found.get(here, (0, 0, frozenset()))
                found[here] = (count + words(source) * prose, code + (not prose), ids | {cell["id"]})
    return found


def _named(text: str) -> list[tuple[str, str]]:
    """Sections of a notebook that a task names, by their title in bold or by a cell."""
    cells = {cell for group in _CELLS.findall(text) for cell in re.findall(r"`([\w-]+)`", group)}
    titles = set(re.findall(r"\*\*([^*]+)\*\*", " ".join(text.split())))
    found = [key for key, (_, _, ids) in _sections().items() if ids & cells or key[1] in titles]
    # The same title in two notebooks is read in the first.
    return [key for at, key in enumerate(found) if key[1] not in {other[1] for other in found[:at]}]


def _parts(slot: Slot, alone: bool) -> list[str]:
    """The text of each moment of a slot; what stands before the first task is read with it."""
    if slot.activity:
        page = (activities.FOLDER / f"{slot.name}.md").read_text(encoding="utf-8").split("---\n", 2)[2]
        before, *tasks = re.split(r"^## (?=\S+ Task \d)", page, flags=re.MULTILINE)
        bodies = [re.split(r"^## ", task, flags=re.MULTILINE)[0] for task in tasks]
        parts = [re.split(r"^### ", body, flags=re.MULTILINE)[0] for body in bodies]
        return [before + parts[0], *parts[1:]]
    if slot.title not in ELSEWHERE or (slot.title.startswith("Fine") and not alone):
        return [""] * len(slot.moments)
    name, heading = ELSEWHERE[slot.title]
    page = (paths.ROOT / name).read_text(encoding="utf-8")
    if heading:
        (page,) = re.findall(rf"^## \S+ {heading}[^\n]*\n(.*?)(?=^## )", page, re.DOTALL | re.MULTILINE)
    return [page] + [""] * (len(slot.moments) - 1)


def _apart(slot: Slot) -> str:
    """What an activity says to one person alone."""
    page = (activities.FOLDER / f"{slot.name}.md").read_text(encoding="utf-8") if slot.activity else ""
    return " ".join(re.findall(r"^### Working alone\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE))


@cache
def training_minutes(budget: bool = False) -> float:
    """Minutes of one recorded training: at default dials, or of a whole budget."""
    names = reference.names(reference_runs.BUDGETED) if budget else reference.names("just_right-")
    return median(reference.load(name).timing["train_seconds"] for name in names) / 60


def _training(moment: Moment) -> float:
    work = moment.work
    return work["runs"] * training_minutes() + work["budget_runs"] * training_minutes(budget=True)


def estimates(alone: bool = False) -> list[tuple[Slot, list[Estimate]]]:
    """Each slot with what its moments take."""
    read: set[tuple[str, str]] = set()
    found = []
    for slot in day(alone):
        own = []
        for moment, text in zip(slot.moments, _parts(slot, alone), strict=True):
            # What the coach runs for the room is seen on the projector while people talk.
            new = [key for key in _named(text) if key not in read] if alone or not moment.work.get("coach") else []
            read.update(new)
            count = words(text, folded=alone) + sum(_sections()[key][0] for key in new)
            count += words(_apart(slot)) if alone and moment is slot.moments[0] else 0
            code = sum(_sections()[key][1] for key in new)
            doing = sum(number * MINUTES[kind] for kind, number in moment.work.items() if kind in MINUTES)
            asked = visible(_MARKS.sub("", text)).count("?")
            own.append(Estimate(count, asked, code, doing, _training(moment), moment.work["meanwhile"]))
        found.append((slot, own))
    return found


def outgrown(alone: bool = False) -> list[str]:
    """Moments that take longer than the day gives them."""
    return [
        f"{slot.title}, {moment.name}: {estimate.minutes:.1f} minutes of {moment.minutes}"
        for slot, own in estimates(alone)
        for moment, estimate in zip(slot.moments, own, strict=True)
        if round(estimate.minutes, 1) > moment.minutes
    ]
