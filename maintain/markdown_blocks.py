"""Fill the marked blocks of the documents from their sources, so that no figure is typed by hand.

A block stands in a Markdown file between the marks ``<!-- figures: NAME begin -->`` and ``<!-- figures: NAME end -->``;
`BLOCKS` says what each name is made from. ``python3 workshop.py documents`` writes them all; with ``--check`` it only
says which are out of date.
"""

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from maintain import house_blocks, reference_runs
from maintain.repository import move_to
from tuning import paths
from tuning.command import one_line_errors
from tuning.dials import PRESETS, Dials, SgdDials
from tuning.encoder.finding import DISTILBERT, EMBEDDED_NAME, RATES
from tuning.errors import DocumentError, nearest
from tuning.evidence.experiment_log import WORKSHEET_COLUMNS
from tuning.files import write_whole
from tuning.further import options as further
from tuning.notebook import activities
from tuning.notebook.activities import Activity
from tuning.runs import reference, symptoms
from tuning.runs.record import BACKUP_NOTEBOOK, Run
from tuning.sgd import classifier

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
# Where documents are: what learners make, and what tools keep, is nobody's document.
PLACES = (
    "*.md", ".github/*.md", "activities/**/*.md", "assets/**/*.md", "coach/**/*.md", "handouts/**/*.md", "lab/*.md",
    "lab/data/*.md", "maintain/*.md", "slides/**/*.md",
)  # fmt: skip

# What a reference run shares with a group's first run; an over-training run does not.
_USUAL = ("TRAIN_SUBSET", "EPOCHS", "BATCH_SIZE", "SCHEDULER")
_BLOCK = re.compile(
    r"(?P<begin><!-- figures: (?P<name>[\w-]+) begin -->\n)(?P<body>.*?)(?P<end><!-- figures: (?P=name) end -->)",
    re.DOTALL,
)
_MARK = re.compile(r"<!-- figures: ([\w-]+) (begin|end) -->")


def documents() -> list[Path]:
    """All Markdown documents of the project, in order."""
    return sorted({path for place in PLACES for path in paths.ROOT.glob(place)})


def filled(text: str, path: Path) -> str:
    """Write the blocks of one document anew.

    Parameters
    ----------
    text : str
        The document.
    path : pathlib.Path
        Where it lies; links are made relative to it.

    Returns
    -------
    str

    Raises
    ------
    DocumentError
        If a block has no such name, or a mark has no partner.
    """

    def block(match: re.Match) -> str:
        name = match["name"]
        if name not in BLOCKS:
            raise DocumentError(f"{paths.short(path)}: there is no block {name}.{nearest(name, BLOCKS)}")
        return f"{match['begin']}{BLOCKS[name](path).strip()}\n{match['end']}"

    matched = sum(2 for _ in _BLOCK.finditer(text))
    if matched != len(_MARK.findall(text)):
        raise DocumentError(f"{paths.short(path)}: a figures mark has no partner. Each block has a begin and an end.")
    return _BLOCK.sub(block, text)


def stale() -> dict[Path, str]:
    """Documents whose blocks are out of date, with their new text.

    Raises
    ------
    DocumentError
        See `filled`.
    """
    found = {}
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if (new := filled(text, path)) != text:
            found[path] = new
    return found


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; a bar inside a cell stays inside."""
    lines = [list(columns), *(list(row) for row in rows)]
    cells = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    written = [f"| {' | '.join(line)} |" for line in cells]
    return "\n".join([written[0], "|" + "---|" * len(cells[0]), *written[1:]])


# The day and its activities


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
    return table(("sign", "meaning"), activities.EMOJI.items())


def _options(path: Path) -> str:
    """The six options of Going Further."""
    rows = [(f"**{letter}** {title}", further.QUESTIONS[letter]) for letter, title in further.TITLES.items()]
    return table(("option", "the question"), rows)


# Dials and rates


def _presets(path: Path) -> str:
    columns = ("preset", "DistilBERT", f"built-in encoder ({EMBEDDED_NAME})", "backup lab (SGD)")
    rates = (RATES["distilbert"], RATES["small"], classifier.RATES)
    return table(columns, [(f"`{preset}`", *(f"{rate[preset]:g}" for rate in rates)) for preset in PRESETS])


def _dials(kind: type[Dials] | type[SgdDials]) -> Callable[[Path], str]:
    def block(path: Path) -> str:
        rows = []
        for field in dataclasses.fields(kind):
            default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            default = default or '""'  # a code span of nothing is shown as two backticks
            rows.append((f"`{field.name}`", f"`{default}`", field.metadata["meaning"], field.metadata["allowed"]))
        return table(("dial", "default", "what it is", "what it may be"), rows)

    return block


def _worksheet_columns(path: Path) -> str:
    return ", ".join(f"*{column}*" for column in WORKSHEET_COLUMNS)


# What the room will see


def room() -> dict[str, dict[str, list[Run]]]:
    """The reference runs of the presets at default dials: lab, then preset, then its runs.

    Returns
    -------
    dict
        ``DistilBERT``, the embedded encoder's name, and ``backup lab``; a lab without recorded runs is an empty dict.
    """
    found: dict[str, dict[str, list[Run]]] = {lab: {} for lab in ("DistilBERT", EMBEDDED_NAME, "backup lab")}
    for run in map(reference.load, reference.names()):
        usual = (SgdDials if run.notebook == BACKUP_NOTEBOOK else Dials)()
        if run.preset in PRESETS and all(run.dials.get(dial) == getattr(usual, dial) for dial in _USUAL):
            found.setdefault(_lab(run), {}).setdefault(run.preset, []).append(run)
    return found


def _lab(run: Run) -> str:
    if run.notebook == BACKUP_NOTEBOOK:
        return "backup lab"
    return "DistilBERT" if run.encoder["name"] == DISTILBERT.name.split("/")[1] else run.encoder["name"]


def spread(values: Iterable[float | None], form: str, unit: str = "") -> str:
    """Lowest to highest of some values, once if they look the same; empty where there is none.

    Parameters
    ----------
    values : iterable of float or None
    form : str
        How to write one, such as ``+.2f``.
    unit : str
        Written once, at the end.
    """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    # A rounded -0.00 is 0.00; with "#" 0.060 keeps its zero beside 0.059, and 35 gets a point that it does not need.
    ends = (f"{0.0 if not float(f'{value:{form}}') else value:{form}}" for value in (min(known), max(known)))
    low, high = (end.removesuffix(".") for end in ends)
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _room(path: Path) -> str:
    parts = []
    for lab, presets in room().items():
        if not presets:
            parts.append(f"**{lab}**: {_how_to_record(lab)}")
            continue
        some = next(iter(presets.values()))[0]
        rows = [_room_row(preset, presets[preset]) for preset in PRESETS if preset in presets]
        columns = ("preset", "seeds", "accuracy", "macro-F1", "gap", "weights moved", "seconds", "verdict")
        majority, machine = some.majority, some.machine
        row = f"accuracy {majority['accuracy']:.2f}, macro-F1 {majority['f1_macro']:.2f}"
        where = f"{machine['cores']} cores, {machine['precision']}; always *{majority['label']}*: {row}"
        parts.append(f"**{lab}** ({where})\n\n{table(columns, rows)}")
    return "\n\n".join(parts)


def _room_row(preset: str, runs: list[Run]) -> tuple[str, ...]:
    final = [run.final for run in runs]
    verdicts = dict.fromkeys(run.diagnosis["verdict"] for run in runs)
    return (
        f"`{preset}`",
        ", ".join(str(seed) for seed in sorted(run.seed for run in runs)),
        spread((one.get("val_accuracy") for one in final), ".2f"),
        spread((one.get("val_f1_macro") for one in final), ".2f"),
        spread((one.get("gap_accuracy") for one in final), "+.2f"),
        spread((100 * moved for one in final if (moved := one.get("weight_movement")) is not None), "#.2g", "%"),
        spread((run.timing.get("train_seconds") for run in runs), ".0f"),
        ", ".join(verdicts),
    )


def _how_to_record(lab: str) -> str:
    needs, option = "", " --model embedded"
    if lab == "DistilBERT":
        needs, option = ", because it needs the Hugging Face Hub", ' --model distilbert --only "too_*" "just_right-*"'
    return (
        f"not recorded yet{needs}. Run `python3 workshop.py reference{option}` once, then"
        " `python3 workshop.py documents`."
    )


def _cost(path: Path) -> str:
    """What a run of the default dials costs: time and memory of the recorded runs, by lab."""
    rows = []
    for lab, presets in room().items():
        runs = [run for members in presets.values() for run in members]
        if not runs:
            rows.append((lab, "not recorded yet", "", ""))
            continue
        machine = runs[0].machine
        peak = (memory / 1024 for run in runs if (memory := run.timing.get("peak_memory_mb")))
        rows.append(
            (
                lab,
                f"{machine['cores']} cores, {machine['precision']}",
                spread((run.timing.get("train_seconds") for run in runs), ".0f", " s"),
                spread(peak, ".1f", " GB"),
            )
        )
    return table(("lab", "recorded on", "training", "memory at its peak"), rows)


def _curve_answers(path: Path) -> str:
    """The coach's key to Activity 1: what happened in each curve, what shows it, and the dial to turn first.

    Each letter opens the explained picture.
    """
    from maintain.curve_figures import ASSETS, CURVES

    explained = Path(os.path.relpath(ASSETS / "coach_only", path.parent)).as_posix()
    runs = {letter: reference.load(name) for letter, name in CURVES.items()}
    rows = [
        (
            f"[{letter.upper()}]({explained}/curve_{letter}_explained.png)",
            run.diagnosis["verdict"],
            " ".join(run.diagnosis["reasons"]),
            run.diagnosis["next_dial"],
        )
        for letter, run in runs.items()
    ]
    return table(("curve", "what happened", "what shows it", "first dial"), rows)


# Slides


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


# What happened in a curve of Activity 1, by its verdict: the cause in the words of the activity, and what shows it.
_TOLD = {
    "collapsed": ("rate too high", "jumps in the first steps, then hovers"),
    "diverged": ("rate too high", "jumps in the first steps and stays up"),
    "too high": ("rate too high", "jumps in the first steps"),
    "too low": ("rate too low", "never leaves the dotted line"),
    "just right": ("about right", "both marks fall together"),
    "overfitting": ("too many times", "training falls, validation rises"),
}


def _budget(path: Path) -> str:
    """What three ways to spend the budget of Activity 5 came to, at full size, over the recorded seeds."""
    rows = []
    for size, epochs in reference_runs.BUDGET:
        runs = [reference.load(name) for name in reference.names(f"{reference_runs.BUDGETED}{size}x{epochs}-")]
        f1 = [run.final["val_f1_macro"] for run in runs]
        losses = [run.final["val_loss"] for run in runs]
        mean = f"{sum(f1) / len(f1):.2f}" if f1 else "not recorded yet"
        rows.append((f"{size:,} x {epochs}", mean, spread(f1, ".2f"), spread(losses, ".2f"), len(runs)))
    return table(("sentences x epochs", "macro-F1, mean", "macro-F1", "validation loss", "seeds"), rows)


def _reveal(path: Path) -> str:
    from maintain.curve_figures import CURVES

    found = {letter: reference.load(name).diagnosis["verdict"] for letter, name in CURVES.items()}
    return "\n\n".join(
        f"**{letter.upper()}** {_TOLD[verdict][0]}: *{_TOLD[verdict][1]}*" for letter, verdict in found.items()
    )


def _always_majority(path: Path) -> str:
    """What the majority class scores, from the reference runs."""
    majority = reference.load(reference.names("just_right-")[0]).majority
    return (
        f"“Always *{majority['label']}*”\\\naccuracy **{majority['accuracy']:.2f}**\\\n"
        f"macro-F1 **{majority['f1_macro']:.2f}**"
    )


def _thresholds(path: Path) -> str:
    """Every limit on which a verdict stands."""
    rows = [threshold.row() for threshold in symptoms.THRESHOLDS]
    return table(("asked", "value, or band that is open", "unit", "a yes tells", "source"), rows)


def _outcomes(path: Path) -> str:
    """How verdict, the room's word and the state of convergence go together."""
    loss = {True: "came down", False: "did not come down", None: ""}
    rows = [
        (
            outcome.verdict,
            loss[outcome.came_down],
            outcome.word,
            ", ".join(dict.fromkeys((outcome.falling, outcome.flat, outcome.rising))),
        )
        for outcome in symptoms.OUTCOMES
    ]
    return table(("verdict", "training loss", "in one word", "convergence at two epochs or more"), rows)


def _take_home(path: Path) -> str:
    """What everybody takes along, before lunch and at the end."""
    from tuning.evidence.archive import TAKE_HOME

    return TAKE_HOME


BLOCKS: dict[str, Callable[[Path], str]] = {
    "overview": _overview,
    "keypoints": _keypoints,
    "day": _day,
    "day-with-tasks": _day_with_tasks,
    "activities": _activities,
    "ksbs": _ksbs,
    "emoji": _emoji,
    "options": _options,
    "presets": _presets,
    "dials": _dials(Dials),
    "backup-dials": _dials(SgdDials),
    "worksheet-columns": _worksheet_columns,
    "room": _room,
    "cost": _cost,
    "curve-answers": _curve_answers,
    "thresholds": _thresholds,
    "outcomes": _outcomes,
    "morning": _half(first=True),
    "afternoon": _half(first=False),
    **{f"opening-{name}": _opening(name) for name in activities.NAMES},
    "budget": _budget,
    "reveal": _reveal,
    "always-majority": _always_majority,
    "take-home": _take_home,
    **house_blocks.BLOCKS,
}


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py documents``."""
    parser = argparse.ArgumentParser(prog="workshop.py documents", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a block is out of date")
    parser.add_argument("--repo", metavar="OWNER/NAME", help="first name another repository in every link and clone")
    options = parser.parse_args(argv)
    for path in move_to(options.repo) if options.repo else ():
        print(f"{paths.short(path)}: names {options.repo}")
    changed = stale()
    for path, text in changed.items():
        if not options.check:
            write_whole(path, text)
        print(f"{paths.short(path)}: {'out of date' if options.check else 'written'}")
    if not changed:
        print("Every block is up to date.")
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
