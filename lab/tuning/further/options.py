"""What all options of notebook 04 share: Run 1, the variations of it, and their comparison in writing.

Run 1 is the learner's last run. A variation repeats it with one dial changed, in the same loop, and becomes a run of
the log like every other. What stands in the log already is not trained again.
"""

import dataclasses
import shutil
from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from tuning.cost import estimate
from tuning.data.loading import load
from tuning.dials import EVERYTHING, Dials, FrozenDials, FurtherDials, SgdDials
from tuning.encoder import finding as encoders
from tuning.errors import EncoderError, RunError
from tuning.evidence import experiment_log
from tuning.files import write_whole
from tuning.runs import comparison, energy
from tuning.runs.record import (
    BACKUP_NOTEBOOK,
    COMPARISON_FILE,
    FURTHER_NOTEBOOK,
    Run,
    adopted_from,
    last_run,
    note_result,
    readable_runs,
)
from tuning.training import machine

if TYPE_CHECKING:
    from tuning.cost.planning import Plan
    from tuning.encoder.finding import Encoder

TITLES = {
    "A": "schedule comparison",
    "B": "freeze the encoder",
    "C": "error analysis",
    "D": "experiment tracking",
    "E": "SGD comparison",
    "F": "learning-rate range test",
}
QUESTIONS = {
    "A": "Does the schedule of the learning rate matter more than luck?",
    "B": "How much of the model has to learn, and what does the rest cost?",
    "C": "Where is the model wrong: because of the data, the border between two labels, or the model itself?",
    "D": "Can somebody else see what was done, without seeing what must stay here?",
    "E": "What does the large model buy that counting words does not?",
    "F": "Does a sweep over rates find a better learning rate, and is the rate the first dial to turn?",
}
LEARNED = ("just right", "overfitting")
_MAIN_LAB = ("01", FURTHER_NOTEBOOK, "script")


def chosen(setup: FurtherDials, section: str) -> bool:
    """Whether a section is the one to compute; where it is not, one line says so."""
    option = setup.OPTION
    if option != section:
        print(f'Option {section}, {TITLES[section]}: not chosen. To compute it, set OPTION = "{section}" above.')
    return option == section


def first(setup: FurtherDials) -> Run:
    """Give the run that everything starts from, with predictions made on this machine.

    It is the newest run of the main lab, the one named by ``RUN_1``, or one with the dials in ``DIALS``. A run that was
    adopted, or made with an encoder or sentences that are not here, is trained again with the same dials: comparing
    needs what the model said about each sentence. Without any run, one is trained with the default dials.

    Raises
    ------
    RunError
        If ``RUN_1`` is no run of the main lab, or one that trained a part of the model only, or an adopted run used
        files of the group's own.
    """
    if setup.DIALS:
        return _first_with(Dials(**setup.DIALS), setup)
    main_lab = [run for run in _all_runs() if run.notebook not in (BACKUP_NOTEBOOK, FURTHER_NOTEBOOK)]
    if setup.RUN_1 is None and not main_lab:
        print("There is no run of the main lab in your log yet, so Run 1 is trained now with the default dials.")
        return _first_with(Dials(), setup)
    run = main_lab[-1] if setup.RUN_1 is None else last_run(setup.RUN_1)
    if run.notebook == BACKUP_NOTEBOOK:
        raise RunError(f"{run.run_id} is a run of the backup lab. RUN_1 needs one of the main lab, notebook 01.")
    if (part := run.dials.get("TRAINED", EVERYTHING)) != EVERYTHING:
        raise RunError(
            f"{run.run_id} trained a part of the model only ({part}). RUN_1 needs a run in which all of it learned."
        )
    why = _not_from_here(run)
    if not why:
        return run
    print(f"{run.run_id} {why}. Run 1 is one with the same dials, made here.")
    return _first_with(dials_from(run.dials), setup)


def _first_with(dials: Dials, setup: FurtherDials) -> Run:
    encoder = encoders.find(dials.MODEL)
    if encoder.banner:
        print(encoder.banner)
    if _in_log(dials, encoder) is None:
        print(f"To do: 1 run, {estimate.estimate(dials, None, encoder, setup.WATTS, setup.PRICE_PER_HOUR)}.")
    return own(dials, "Run 1", encoder)


def _all_runs() -> list[Run]:
    return readable_runs()[0]


def _not_from_here(run: Run) -> str:
    """Why a run's predictions cannot be compared with those of a model trained now; empty if they can."""
    group = adopted_from(run)
    if group is not None:
        missing = [name for name in ("DATA", "MODEL") if run.dials.get(name) == "own"]
        if missing:
            raise RunError(
                f"{run.run_id}: {' and '.join(missing)} was a file of the group's own, which is not here."
                " Set RUN_1 to a run of yours, or DIALS to train one."
            )
        return f"was adopted from {group}, and what it said about single sentences did not travel"
    if run.departures:
        return f"differs from its dials ({'; '.join(run.departures)})"
    try:
        encoder_of(run)
    except EncoderError:
        return f"was made with {run.encoder['name']}, which is not here any more"
    if load(run.dials["DATA"], run.dials["AGREEMENT"]).sha256 != run.data["sha256"]:
        return "was made with sentences that have changed since"
    return ""


def dials_from(values: Mapping[str, Any]) -> Dials:
    """Dials from a record, which may lack dials that came later."""
    kind = Dials if values.get("TRAINED", EVERYTHING) == EVERYTHING else FrozenDials
    return kind(**{name: values[name] for name in kind.names() if name in values})


def vary(run_1: Run, title: str, **changes: Any) -> Run:
    """Repeat Run 1 with some dials changed, or find that run in the log.

    Parameters
    ----------
    run_1 : Run
    title : str
        What the output calls it.
    **changes
        Dials and their new values.

    Returns
    -------
    Run
        Run 1 itself where nothing differs. The trained weights are not kept, so that those of Run 1 stay.

    Raises
    ------
    DialError
        If a value cannot be used.
    """
    encoder = encoder_of(run_1)
    dials = _varied(run_1, changes, encoder)
    if dials is None:
        return run_1
    run = own(dials, title, encoder, FURTHER_NOTEBOOK)
    if run.notebook == FURTHER_NOTEBOOK:
        shutil.rmtree(run.folder / "model", ignore_errors=True)
    return run


def _varied(run_1: Run, changes: Mapping[str, Any], encoder: "Encoder") -> Dials | None:
    """The dials of a variation; None where it is Run 1 itself."""
    dials = dials_from(run_1.dials | changes)
    # A preset may have got another rate since Run 1 was made.
    if "LR_PRESET" not in changes and encoder.rate(dials.LR_PRESET) != run_1.learning_rate:
        dials = dataclasses.replace(dials, LR_PRESET=run_1.learning_rate)
    same = _same_dials(run_1, dials) and run_1.learning_rate == encoder.rate(dials.LR_PRESET)
    return None if same else dials


def encoder_of(run: Run) -> "Encoder":
    """The encoder that a run started from; see :func:`tuning.encoder.run_models.encoder_of`."""
    from tuning.encoder import run_models

    return run_models.encoder_of(run)


def own(dials: Dials, title: str, encoder: "Encoder", notebook: str = "script") -> Run:
    """Give a run with exactly these dials, made on this machine: from the log, or trained now.

    Parameters
    ----------
    dials : Dials
    title : str
        What the output calls it.
    encoder : Encoder
    notebook : str
        What the record of a new run says it came from.

    Raises
    ------
    RunError
        If the stop button ended the training.
    """
    found = _in_log(dials, encoder)
    if found is not None:
        print(f"{title}: {found.run_id} is in your log already, so it is not trained again.")
        return found
    from tuning.training import fit

    speed = estimate.known(dials, encoder)
    expected = (
        None if speed is None else estimate.for_part(speed, dials, encoder).seconds(estimate.work(dials, encoder))
    )
    run = fit.fit(dials, notebook, watch=_watcher(title), encoder=encoder)
    if run.outcome == "interrupted":
        raise RunError(f"{title} was stopped by hand. Run this cell again to train it; what is finished stays.")
    took = estimate.clock(run.timing["total_seconds"])
    estimated = "" if expected is None else f", estimated {estimate.clock(expected)}"
    print(f"{title}: {run.outcome}, recorded as {run.run_id} ({took}{estimated})")
    return run


def _watcher(title: str) -> Any:
    from IPython import get_ipython

    from tuning.training.live import LiveLine, ProgressLine

    return ProgressLine if get_ipython() is None else partial(LiveLine, title=title)


def _in_log(dials: Dials, encoder: "Encoder") -> Run | None:
    """The newest run of this machine with these dials on the same sentences, encoder and versions."""
    here, sha256 = machine.versions(), load(dials.DATA, dials.AGREEMENT).sha256
    for run in reversed(_all_runs()):
        if (
            _same_dials(run, dials)
            and run.notebook != BACKUP_NOTEBOOK
            and run.outcome != "interrupted"
            and adopted_from(run) is None
            and run.versions == here
            and run.learning_rate == encoder.rate(dials.LR_PRESET)
            and (run.encoder["revision"], run.data["sha256"]) == (encoder.revision, sha256)
        ):
            return run
    return None


def _same_dials(run: Run, dials: Dials) -> bool:
    """Whether a record was made with these dials; one that came later counts with its default."""
    asked = FrozenDials().as_dict() | dials.as_dict()
    recorded = FrozenDials().as_dict() | {name: run.dials[name] for name in asked if name in run.dials}
    return asked == recorded and not run.departures


def introduction(run_1: Run) -> str:
    """Run 1 in a few lines: its dials, its scores, and a warning where it learned nothing."""
    final, dials = run_1.final, run_1.dials
    sentences = run_1.data.get("train_used", dials["TRAIN_SUBSET"])
    lines = [
        f"Run 1 is {run_1.run_id}: {run_1.preset} ({run_1.learning_rate:g}), {dials['SCHEDULER']},"
        f" {sentences} sentences, EPOCHS = {dials['EPOCHS']}, seed {run_1.seed}, {run_1.encoder['name']}.",
        f"Macro-F1 {experiment_log.number(final.get('val_f1_macro'), 3)},"
        f" accuracy {experiment_log.number(final.get('val_accuracy'), 3)},"
        f" verdict: {run_1.diagnosis.get('verdict', 'none')}.",
    ]
    if run_1.diagnosis.get("verdict") not in LEARNED:
        lines.append(
            "It has not learned what it could, so a change of it will show little. To start from another run, set"
            ' RUN_1 to its Run ID, or DIALS = {"LR_PRESET": "JUST_RIGHT"}.'
        )
    return "\n".join(lines)


def forecast(
    run_1: Run, setup: FurtherDials, *variations: Mapping[str, Any], more: Sequence[estimate.Work] = ()
) -> str:
    """What variations of Run 1 will take here, before they are trained; what is in the log already does not count.

    Parameters
    ----------
    run_1 : Run
    setup : FurtherDials
        With the assumptions.
    *variations : mapping of str to Any
        For each run the dials that it changes, as :func:`vary` takes them.
    more : sequence of tuning.cost.estimate.Work
        What else will be trained.
    """
    encoder = encoder_of(run_1)
    asked = [dials for change in variations if (dials := _varied(run_1, change, encoder)) is not None]
    missing = [dials for dials in asked if _in_log(dials, encoder) is None]
    if not missing and not more:
        return "To do: no training. All of it is in your log already."
    base = dials_from(run_1.dials)
    speed = estimate.known(base, encoder) or estimate.probe(base, encoder)
    seconds = sum(estimate.for_part(speed, dials, encoder).seconds(estimate.work(dials, encoder)) for dials in missing)
    seconds += sum(speed.seconds(work) for work in more)
    count = len(missing) + len(more)
    what = f"{count} trainings, most of them short" if more else f"{count} run{'s' * (count != 1)}"
    return f"To do: {what}, {estimate.Estimate(seconds, speed.source, setup.WATTS, setup.PRICE_PER_HOUR)}."


def summary(run_1: Run, others: Mapping[str, Run], setup: FurtherDials) -> pd.DataFrame:
    """Run 1 and its variations, a row each: what was changed, scores, and what it took.

    Parameters
    ----------
    run_1 : Run
    others : mapping of str to Run
        By title.
    setup : FurtherDials
        With the assumptions about price and power.

    Returns
    -------
    pandas.DataFrame
        Seconds, energy and money are those of the whole run, evaluations included.
    """
    rows = {}
    for title, run in {"Run 1": run_1, **_without(run_1, others)}.items():
        took = energy.footprint(run, setup.WATTS, setup.PRICE_PER_HOUR)
        source = "measured" if took.measured else f"at {setup.WATTS:g} W"
        low, high = run.final.get("val_f1_macro_interval") or (None, None)
        rows[title] = {
            "changed": changed(run_1, run),
            "macro-F1": experiment_log.number(run.final.get("val_f1_macro"), 3),
            "95% interval": "" if low is None else f"{low:.2f} to {high:.2f}",
            "val loss": experiment_log.number(run.final.get("val_loss"), 3),
            "verdict": run.diagnosis.get("verdict", ""),
            "seconds": experiment_log.number(took.seconds, 0),
            "energy": f"{experiment_log.number(took.watt_hours, 2)} Wh {source}",
            f"money (at {setup.PRICE_PER_HOUR:g} an hour)": experiment_log.number(took.money, 4),
            "run": run.run_id,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _without(run_1: Run, others: Mapping[str, Run]) -> dict[str, Run]:
    return {title: run for title, run in others.items() if run is not run_1}


def changed(run_1: Run, run: Run) -> str:
    """The dials in which a run differs from Run 1, in words."""
    if run.notebook == BACKUP_NOTEBOOK:
        return "another model: word counts, SGD"
    before, after = (FrozenDials().as_dict() | one.dials for one in (run_1, run))
    told = [f"{name} = {after[name]}" for name in FrozenDials.names() if after[name] != before[name]]
    return ", ".join(told) or "nothing"


def compared(run_1: Run, others: Mapping[str, Run], setup: FurtherDials, of: str) -> str:
    """Each variation held against Run 1, sentence by sentence, in words; the log's rows say the same.

    Parameters
    ----------
    run_1 : Run
    others : mapping of str to Run
        By title: Run 2, Run 3 and so on.
    setup : FurtherDials
        With the assumptions about energy and cost, which the log takes over.
    of : str
        What they belong to, for the log's notes: ``option A``.

    Raises
    ------
    RunError
        If predictions are not here, or were made on different sentences.
    """
    lines = []
    experiment_log.amend(run_1, "", setup.WATTS, setup.PRICE_PER_HOUR)
    for number, (title, run) in enumerate(_without(run_1, others).items(), start=2):
        compared = comparison.compare(run_1, run, ("Run 1", title))
        note = f"Run {number} of {of}; Run 1 is {run_1.run_id}. {compared.sentence}"
        experiment_log.amend(run, note, setup.WATTS, setup.PRICE_PER_HOUR)
        lines.append(str(compared))
    return "\n".join(lines) or "There is nothing to compare with Run 1."


def _numbered(number: int, title: str) -> str:
    return title if title == f"Run {number}" else f"Run {number}, {title}"


def for_worksheet(setup: FurtherDials, run_1: Run, others: Mapping[str, Run]) -> str:
    """Text for Part D of the worksheet; what you expected and what you would do next is yours to write.

    It is kept in the folder of the last of these runs, as ``comparison.md``, and in the notes of the log.

    Parameters
    ----------
    setup : FurtherDials
    run_1 : Run
    others : mapping of str to Run
        By title.
    """
    pairs = _without(run_1, others)
    named = enumerate(pairs.items(), start=2)
    what = "; ".join(
        f"{_numbered(number, title)}: {changed(run_1, run)} ({run.run_id})" for number, (title, run) in named
    )
    text = "\n".join(
        [
            "For Part D of your worksheet (add what you expected, and what you would do next):",
            f"Option: {setup.OPTION}, {TITLES[setup.OPTION]}",
            f"The question it answers: {QUESTIONS[setup.OPTION]}",
            f"What I changed, from Run 1 ({run_1.run_id}): {what or 'nothing'}. The sentences were the same.",
            f"What happened: {compared(run_1, others, setup, f'option {setup.OPTION}')}",
        ]
    )
    kept = list(pairs.values())[-1] if pairs else run_1
    write_whole(kept.folder / COMPARISON_FILE, text + "\n")
    note_result(kept.folder)
    return text


def same_but_seed(run_1: Run) -> list[Run]:
    """Runs that differ from Run 1 in the seed alone: in the log, adopted or own, and among the reference runs.

    Returns
    -------
    list of Run
        One for each seed, Run 1 first.
    """
    from tuning.runs import reference

    found = {run_1.seed: run_1}
    like = without(run_1, "GROUP")
    for run in [*reversed(_all_runs()), *(reference.load(name) for name in reference.names("just_right"))]:
        if run.outcome == "completed" and run.final.get("val_f1_macro") is not None and without(run, "GROUP") == like:
            found.setdefault(run.seed, run)
    return list(found.values())


def without(run: Run, *left_out: str) -> tuple:
    """What decides a run's numbers apart from some dials; equal for two runs that differ in these alone.

    What a group called its encoder says less than which one it was, and a preset's name less than its rate.
    """
    dials = FrozenDials().as_dict() | run.dials
    kept = {name: value for name, value in dials.items() if name not in ("MODEL", "PRECISION", "LR_PRESET", *left_out)}
    rate = None if "LR_PRESET" in left_out else run.learning_rate
    made_from = run.encoder["revision"], run.data["sha256"], run.machine["precision"], run.notebook in _MAIN_LAB
    return kept, rate, *made_from, run.departures


def another_seed(run_1: Run, taken: Container[int] = ()) -> int:
    """The smallest group number, that is a seed, which neither Run 1 nor others have used."""
    return next(number for number in range(1, 13) if number != run_1.seed and number not in taken)


def seeds(run_1: Run, least: int = 3) -> list[Run]:
    """Run 1 and runs that differ from it in the seed alone; what is missing is trained now.

    Parameters
    ----------
    run_1 : Run
    least : int
        How many there shall be.

    Returns
    -------
    list of Run
    """
    found = same_but_seed(run_1)
    return found + [vary(run_1, f"seed {change['GROUP']}", **change) for change in missing_seeds(run_1, least)]


def missing_seeds(run_1: Run, least: int = 3) -> list[dict[str, int]]:
    """What :func:`seeds` will have to train: for each run the dial that it changes."""
    taken = [run.seed for run in same_but_seed(run_1)]
    found: list[dict[str, int]] = []
    while len(taken) < least:
        taken.append(another_seed(run_1, taken))
        found.append({"GROUP": taken[-1]})
    return found


def plan(run_1: Run, setup: FurtherDials) -> "Plan":
    """Plan a run like Run 1 under the limit of ``MINUTES`` or ``BUDGET``; see :func:`tuning.cost.planning.plan`."""
    from tuning.cost import planning

    return planning.plan(
        setup.MINUTES,
        setup.BUDGET,
        dials_from(run_1.dials),
        setup.PRICE_PER_HOUR,
        setup.WATTS,
        encoder=encoder_of(run_1),
    )


def backup_run(run_1: Run) -> Run:
    """Give a run of the backup lab on the same sentences as Run 1: from the log, or trained now, in seconds.

    Parameters
    ----------
    run_1 : Run

    Returns
    -------
    Run
        The newest own one with the preset ``JUST_RIGHT``, with the training labels of Run 1.
    """
    from tuning.data import loading
    from tuning.sgd import classifier

    same = ("GROUP", "TRAIN_SUBSET", "DATA", "AGREEMENT", "LABEL_NOISE")
    wanted = SgdDials(**{name: run_1.dials[name] for name in same})
    for run in reversed(_all_runs()):
        if (
            run.notebook == BACKUP_NOTEBOOK
            and adopted_from(run) is None
            and (run.preset, run.dials["LABEL_NOISE"]) == (wanted.LR_PRESET, wanted.LABEL_NOISE)
            and not (run.dials["LABEL_NOISE"] and run.dials["NOISY_VALIDATION"])
            and run.data["sha256"] == run_1.data["sha256"]
            and run.data["train_used"] == run_1.data["train_used"]
        ):
            print(f"From your log: {run.run_id}.")
            return run
    sentences = loading.load(wanted.DATA, wanted.AGREEMENT)
    splits = loading.split(sentences)
    run = classifier.train(classifier.features(splits, wanted), sentences, splits)
    print(
        f"Your log has no run of the backup lab on these sentences, so {run.run_id} was trained now, in"
        f" {run.timing['train_seconds']:.0f} s. Notebook 02 shows how, and with all three presets."
    )
    return run
