"""Run 1, the learner's last run, from which every option starts, and what a plan of it would be."""

from typing import TYPE_CHECKING

from tuning.cost import estimate
from tuning.data.loading import load
from tuning.dials import EVERYTHING, Dials, FurtherDials, PlanDials
from tuning.encoder import finding as encoders
from tuning.encoder.run_models import encoder_of
from tuning.errors import EncoderError, RunError
from tuning.evidence import log_rows
from tuning.evidence.handover.statements import LEARNED
from tuning.further.variations import dials_from, find_or_train, in_log, recorded_runs
from tuning.runs.record import BACKUP_NOTEBOOK, FURTHER_NOTEBOOK, Run
from tuning.runs.store import adopted_from, last_run

if TYPE_CHECKING:
    from tuning.cost.planning import Plan


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
    main_lab = [run for run in recorded_runs() if run.notebook not in (BACKUP_NOTEBOOK, FURTHER_NOTEBOOK)]
    if setup.RUN_1 is None and not main_lab:
        print("There is no run of the main lab in your log yet, so Run 1 is trained now with the default dials.")
        return _first_with(Dials(), setup)
    run = main_lab[-1] if setup.RUN_1 is None else last_run(setup.RUN_1)
    if run.is_backup:
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
    if in_log(dials, encoder) is None:
        print(f"To do: 1 run, {estimate.estimate(dials, None, encoder, setup.WATTS, setup.PRICE_PER_HOUR)}.")
    return find_or_train(dials, "Run 1", encoder)


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


def introduction(run_1: Run) -> str:
    """Run 1 in a few lines: its dials, its scores, and a warning where it learned nothing."""
    final, dials = run_1.final, run_1.dials
    sentences = run_1.data.get("train_used", dials["TRAIN_SUBSET"])
    lines = [
        f"Run 1 is {run_1.run_id}: {run_1.preset} ({run_1.learning_rate:g}), {dials['SCHEDULER']},"
        f" {sentences} sentences, EPOCHS = {dials['EPOCHS']}, seed {run_1.seed}, {run_1.encoder['name']}.",
        f"Macro-F1 {log_rows.number(final.get('val_f1_macro'), 3)},"
        f" accuracy {log_rows.number(final.get('val_accuracy'), 3)},"
        f" verdict: {run_1.diagnosis.get('verdict', 'none')}.",
    ]
    if run_1.diagnosis.get("verdict") not in LEARNED:
        lines.append(
            "It has not learned what it could, so a change of it will show little. To start from another run, set"
            ' RUN_1 to its Run ID, or DIALS = {"LR_PRESET": "JUST_RIGHT"}.'
        )
    return "\n".join(lines)


def plan(run_1: Run, setup: PlanDials) -> "Plan":
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
