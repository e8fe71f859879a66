"""What the activities say about themselves: the front matter of ``activities/*.md``, checked.

The front matter is the one source for a title, its minutes and tasks, its KSBs and objectives. Tables of the day, the
checkpoints and the top of each page are made from it.
"""

import dataclasses

import yaml

from tuning import paths
from tuning.errors import DocumentError

FOLDER = paths.ROOT / "activities"
NAMES = (*(f"activity-{number}" for number in range(1, 8)), "going-further")
# The codes of the apprenticeship standard that this workshop serves.
KSBS = {
    "K18": "mathematical principles and compute cost",
    "K28": "finding and weighing credible news",
    "S9": "refining or re-engineering models",
    "S14": "statistical analysis",
    "S31": "judging one source for one's own work",
    "B1": "initiative and self-directed learning",
    "B3": "inclusive collaboration and communication",
    "B5": "data quality and working under uncertainty",
}


@dataclasses.dataclass(frozen=True)
class Task:
    """One numbered task of an activity and how long it takes, in a room and for one person alone."""

    name: str
    minutes: int
    alone: int


@dataclasses.dataclass(frozen=True)
class Activity:
    """The front matter of one activity."""

    name: str  # Name of its file without the ending, such as ``activity-2``.
    title: str
    minutes: int  # What all tasks take together.
    ksbs: tuple[str, ...]  # Codes, each a key of `KSBS`.
    # What a learner can do afterwards, what the activity asks, and what to take away.
    objectives: tuple[str, ...]
    questions: tuple[str, ...]
    keypoints: tuple[str, ...]
    tasks: tuple[Task, ...]

    @property
    def alone(self) -> int:
        """Minutes that all tasks take one person alone."""
        return sum(task.alone for task in self.tasks)

    @property
    def heading(self) -> str:
        """The title with its number: ``Activity 2: Environment Setup & Baseline``."""
        kind, _, number = self.name.partition("-")
        return f"Activity {number}: {self.title}" if kind == "activity" else self.title


def load(name: str) -> Activity:
    """Read the front matter of one activity."""
    path = FOLDER / f"{name}.md"
    where = paths.short(path)
    try:
        text = path.read_text(encoding="utf-8")
        _, front, _ = text.split("---\n", 2)
        found = yaml.safe_load(front)
        tasks = tuple(Task(str(task["name"]), int(task["minutes"]), int(task["alone"])) for task in found.pop("tasks"))
        lists = {key: tuple(found.pop(key)) for key in ("ksbs", "objectives", "questions", "keypoints")}
        activity = Activity(name=name, tasks=tasks, **lists, **found)
    except OSError as problem:
        raise DocumentError(f"{where}: this activity cannot be opened ({problem.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as problem:
        raise DocumentError(
            f"{where}: its front matter cannot be read ({str(problem).splitlines()[0][:120]})."
        ) from None
    total = sum(task.minutes for task in tasks)
    if total != activity.minutes:
        raise DocumentError(f"{where}: its tasks take {total} minutes and the front matter says {activity.minutes}.")
    if unknown := [code for code in activity.ksbs if code not in KSBS]:
        raise DocumentError(f"{where}: {', '.join(unknown)} is no KSB of this workshop. There are {', '.join(KSBS)}.")
    return activity
