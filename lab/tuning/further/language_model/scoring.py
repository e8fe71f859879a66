"""An assistant's answers beside Run 1 and the backup lab on the same sentences: scores, costs, and their limits."""

import math
from collections.abc import Mapping
from statistics import NormalDist

import pandas as pd

from tuning.data.labels import LABELS
from tuning.dials import LanguageModelDials
from tuning.evidence import experiment_log
from tuning.evidence.log_rows import number
from tuning.further.comparison import written
from tuning.further.language_model.answers import ASSISTANT, Answers
from tuning.further.language_model.page import Page
from tuning.runs import energy
from tuning.runs.metrics import accuracy_interval
from tuning.runs.paired_comparison import Z, accuracy_difference, mcnemar
from tuning.runs.record import Run
from tuning.runs.store import adopted_from, load_predictions, readable_runs, results_here

# Costs are given for so many sentences.
MANY = 1000
# The difference that a plan for more sentences asks about, and how often it should be found.
POINTS, POWER = 0.05, 0.8


def side_by_side(page: Page, answers: Answers, runs: Mapping[str, Run]) -> pd.DataFrame:
    """What the runs, by name, and `ASSISTANT`, empty where it did not answer, said about each sentence of the page."""
    frame = page.sentences[["sentence", "label"]].copy()
    for name, run in runs.items():
        kept = load_predictions(run).set_index("id")
        frame[name] = kept[list(LABELS)].idxmax(axis=1).reindex(page.sentences["id"]).to_numpy()
    return frame.assign(**{ASSISTANT: pd.Series(answers.labels).reindex(frame.index).fillna("")})


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Sentences right, accuracy and its 95% interval; a sentence that was not answered is not right.

    The last row always says the most frequent label.
    """
    top = frame["label"].mode()[0]
    said = frame.drop(columns=["sentence", "label"]).assign(**{f"always {top}": top})
    rows = {}
    for name in said:
        right = int((said[name] == frame["label"]).sum())
        low, high = accuracy_interval(right, len(frame))
        rows[name] = {
            "right": f"{right} of {len(frame)}",
            "accuracy": number(right / len(frame), 2),
            "95% interval": f"{low:.2f} to {high:.2f}",
            "not answered": int((said[name] == "").sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def compared(frame: pd.DataFrame, who: str = ASSISTANT) -> list[str]:
    """The assistant, or what `who` names in its place, held against each run, sentence by sentence, in words."""
    return [_compared(frame, name, who) for name in frame.columns if name not in ("sentence", "label", ASSISTANT)]


def _compared(frame: pd.DataFrame, name: str, who: str) -> str:
    only_run, only_assistant = disagreeing(frame, name)
    difference = (only_assistant - only_run) / len(frame)
    low, high = accuracy_difference(only_run, only_assistant, len(frame))
    shown = "shown" if low > 0 or high < 0 else "not shown"
    word = "as good as" if not difference else f"{'worse' if difference < 0 else 'better'} than"
    by = f" by {100 * abs(difference):.1f} points of accuracy" if difference else ""
    return (
        f"On these {len(frame)} sentences {who} is {word} {name}{by}; between {100 * low:.1f} and"
        f" {100 * high:.1f}: {shown}. {name[0].upper()}{name[1:]} alone has {only_run} right and {who} alone"
        f" {only_assistant} (McNemar's exact test: p = {mcnemar(only_run, only_assistant):.3f})."
    )


def disagreeing(frame: pd.DataFrame, name: str) -> tuple[int, int]:
    """Sentences that a run alone has right, and that the assistant alone has right."""
    run, assistant = (frame[column] == frame["label"] for column in (name, ASSISTANT))
    return int((run & ~assistant).sum()), int((assistant & ~run).sum())


def disagreements(frame: pd.DataFrame) -> pd.DataFrame:
    """The sentences on which not all say the same, those first on which the assistant differs from the label."""
    said = frame.drop(columns=["sentence", "label"])
    apart = frame[said.ne(said[ASSISTANT], axis=0).any(axis=1)]
    order = (apart[ASSISTANT] == apart["label"]).sort_values(kind="stable").index
    return apart.loc[order].replace({ASSISTANT: {"": "(no answer)"}})


def costs(page: Page, setup: LanguageModelDials, runs: Mapping[str, Run]) -> pd.DataFrame:
    """Seconds and price of a thousand sentences, as the learner typed them for this page and as the runs recorded them.

    What was paid once before the first of them stands beside that.
    """
    factor = MANY / len(page.sentences)
    seconds, price = f"seconds for {MANY:,}", f"price of {MANY:,}"
    rows = {
        ASSISTANT: {
            seconds: _typed(setup.SECONDS, factor, 0),
            price: _typed(setup.PRICE, factor, 2),
            "once, before": "nothing here",
        }
    }
    for name, run in runs.items():
        took, each = energy.footprint(run, setup.WATTS, setup.PRICE_PER_HOUR), _seconds_each(run)
        rows[name] = {
            seconds: "not recorded" if each is None else number(MANY * each, 1),
            price: "not recorded" if each is None else number(MANY * each * setup.PRICE_PER_HOUR / 3600, 5),
            "once, before": f"{number(took.seconds, 0)} s of training ({number(took.money, 4)}), and"
            f" {run.data['train_used']:,} sentences that somebody labelled",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _typed(value: float | None, factor: float, places: int) -> str:
    return "not typed" if value is None else number(value * factor, places)


def _seconds_each(run: Run) -> float | None:
    """Seconds that the run's model took for a sentence, from its evaluations after the epochs."""
    seconds, sizes = run.timing.get("evaluation_seconds"), run.data.get("scored")
    if seconds is None or not sizes or not run.final.get("train_size"):
        return None
    return seconds / (sizes["epoch"] + run.final["train_size"])


def can_show(frame: pd.DataFrame, name: str) -> str:
    """What so few sentences can show about a run and the assistant, and how many a small difference would need."""
    size, (one, other) = len(frame), disagreeing(frame, name)
    fewest = next(count for count in range(1, size + 1) if accuracy_difference(0, count, size)[0] > 0)
    # At least one sentence a side, as in the interval: no disagreement among few does not mean none among many.
    apart = (one + other + 2) / (size + 2)
    needed = math.ceil((Z + NormalDist().inv_cdf(POWER)) ** 2 * apart / POINTS**2 / 50) * 50
    return (
        f"With {size} sentences a difference is shown only if one side alone has at least {fewest} of them right and"
        f" the other side none ({100 * fewest / size:.0f} points). One side alone is right here on {one + other} of"
        f" {size} sentences; to find a difference of {100 * POINTS:.0f} points in {POWER:.0%} of such trials, you would"
        f" need about {needed:,} labelled sentences."
    )


def for_worksheet(option: str, run_1: Run, frame: pd.DataFrame, answers: Answers, setup: LanguageModelDials) -> str:
    """Text for Part D; it is kept with Run 1, whose row of the log gets a note where it has none.

    Answers of the practice sheet leave no note.
    """
    trained = (
        "the backup lab's model was trained for the comparison" if _backup_trained() else "no new model was needed"
    )
    change = (
        f"What I changed: {trained}. Run 1 ({run_1.run_id}) and the backup lab were held against {answers.who}, on"
        f" {len(frame)} validation sentences, of which it answered {len(answers.labels)}."
    )
    happened = compared(frame, answers.who)
    if not answers.practice:
        note = f"Option {option}: {happened[0]}"
        experiment_log.amend(run_1, note, setup.WATTS, setup.PRICE_PER_HOUR, add=True)
    return written(option, change, " ".join(happened), run_1)


def _backup_trained() -> bool:
    """Whether this kernel trained a run of the backup lab."""
    here = results_here()
    return any(run.is_backup and run.folder in here and adopted_from(run) is None for run in readable_runs()[0])
