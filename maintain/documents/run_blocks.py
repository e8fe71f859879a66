"""Blocks about runs: what the room will see, what it costs, and what the recorded curves show."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from maintain import reference_runs
from tuning.dials import PRESETS, Dials, SgdDials
from tuning.encoder.finding import DISTILBERT, EMBEDDED_NAME
from tuning.evidence.markdown_tables import table
from tuning.runs import reference
from tuning.runs.record import Run

# What a reference run shares with a group's first run; an over-training run does not.
ROOM_COLUMNS = ("preset", "seeds", "accuracy", "macro-F1", "gap", "weights moved", "seconds", "verdict")
_USUAL = ("TRAIN_SUBSET", "EPOCHS", "BATCH_SIZE", "SCHEDULER")


def room() -> dict[str, dict[str, list[Run]]]:
    """The reference runs of the presets at default dials: lab, then preset, then its runs.

    Returns
    -------
    dict
        ``DistilBERT``, the embedded encoder's name, and ``backup lab``; a lab without recorded runs is an empty dict.
    """
    labs: dict[str, dict[str, list[Run]]] = {lab: {} for lab in ("DistilBERT", EMBEDDED_NAME, "backup lab")}
    for run in map(reference.load, reference.names()):
        usual = (SgdDials if run.is_backup else Dials)()
        if run.preset in PRESETS and all(run.dials.get(dial) == getattr(usual, dial) for dial in _USUAL):
            labs.setdefault(_lab(run), {}).setdefault(run.preset, []).append(run)
    return labs


def _lab(run: Run) -> str:
    if run.is_backup:
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
        majority, machine = some.majority, some.machine
        row = f"accuracy {majority['accuracy']:.2f}, macro-F1 {majority['f1_macro']:.2f}"
        where = f"{machine['cores']} cores, {machine['precision']}; always *{majority['label']}*: {row}"
        parts.append(f"**{lab}** ({where})\n\n{table(ROOM_COLUMNS, rows)}")
    return "\n\n".join(parts)


def _room_row(preset: str, runs: list[Run]) -> tuple[str, ...]:
    final = [run.final for run in runs]
    verdicts = dict.fromkeys(run.diagnosis["verdict"] for run in runs)
    return (
        f"`{preset}`",
        ", ".join(str(seed) for seed in sorted(run.seed for run in runs)),
        spread((scores.get("val_accuracy") for scores in final), ".2f"),
        spread((scores.get("val_f1_macro") for scores in final), ".2f"),
        spread((scores.get("gap_accuracy") for scores in final), "+.2f"),
        spread((100 * moved for scores in final if (moved := scores.get("weight_movement")) is not None), "#.2g", "%"),
        spread((run.timing.get("train_seconds") for run in runs), ".0f"),
        ", ".join(verdicts),
    )


def _room_in_fp32(path: Path) -> str:
    """The presets' runs in the number format of the room card; without seconds, which are another machine's."""
    runs = [reference.load(name) for name in reference.names(reference_runs.FP32)]
    if not runs:
        return "Not recorded yet. Run `python3 workshop.py reference --model embedded --only 'fp32/*'` once."
    some = runs[0]
    rows = [_room_row(preset, own) for preset in PRESETS if (own := [run for run in runs if run.preset == preset])]
    kept = [column for column in range(len(ROOM_COLUMNS)) if ROOM_COLUMNS[column] != "seconds"]
    shown = table([ROOM_COLUMNS[column] for column in kept], [[row[column] for column in kept] for row in rows])
    return f"**{some.encoder['name']}**, {some.machine['precision']}\n\n{shown}"


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
    from maintain.curve_figures import ASSETS, curve_runs

    explained = Path(os.path.relpath(ASSETS / "coach_only", path.parent)).as_posix()
    rows = [
        (
            f"[{letter.upper()}]({explained}/curve_{letter}_explained.png)",
            run.diagnosis["verdict"],
            " ".join(run.diagnosis["reasons"]),
            run.diagnosis["next_dial"],
        )
        for letter, run in curve_runs().items()
    ]
    return table(("curve", "what happened", "what shows it", "first dial"), rows)


# What happened in a curve of Activity 1, by its verdict: the cause in the words of the activity, and what shows it.
_TOLD = {
    "collapsed": ("rate too high", "jumps in the first steps, then hovers"),
    "diverged": ("rate too high", "jumps in the first steps and stays up"),
    "too high": ("rate too high", "jumps in the first steps"),
    "too low": ("rate too low", "never leaves the dotted line"),
    "just right": ("about right", "both fall at once, then validation levels off"),
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
    from maintain.curve_figures import curve_runs

    verdicts = {letter: run.diagnosis["verdict"] for letter, run in curve_runs().items()}
    return "\n\n".join(
        f"**{letter.upper()}** {_TOLD[verdict][0]}: *{_TOLD[verdict][1]}*" for letter, verdict in verdicts.items()
    )


def _always_majority(path: Path) -> str:
    """What the majority class scores, from the reference runs."""
    majority = reference.load(reference.names("just_right-")[0]).majority
    return (
        f"“Always *{majority['label']}*”\\\naccuracy **{majority['accuracy']:.2f}**\\\n"
        f"macro-F1 **{majority['f1_macro']:.2f}**"
    )


BLOCKS: dict[str, Callable[[Path], str]] = {
    "room": _room,
    "room-in-fp32": _room_in_fp32,
    "cost": _cost,
    "curve-answers": _curve_answers,
    "budget": _budget,
    "reveal": _reveal,
    "always-majority": _always_majority,
}
