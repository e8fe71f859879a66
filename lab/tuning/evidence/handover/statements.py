"""What a record says to people who were not there, in words that model card and stakeholder page share."""

from tuning.runs.record import Run

# Verdicts after which a model can be used for something.
LEARNED = ("just right", "overfitting")
UNFIT_FOR = (
    "decisions about money, jobs or customers that no person checks",
    "whole reports, other languages, or sentences from anywhere else, before it was tested on a few hundred of those",
    "advice to buy or sell: it names the tone of a sentence and knows nothing about the market",
)
_WORKSHOP_LIMITS = (
    "A language model wrote the sentences for a workshop, and its companies are invented.",
    "Each label takes the side of a shareholder and of nobody else.",
    "No human labelled the whole set.",
    "Difficult kinds of sentence, such as \N{LEFT DOUBLE QUOTATION MARK}losses narrowed\N{RIGHT DOUBLE QUOTATION MARK},"
    " are more frequent than in the press.",
)
_PHRASEBANK_LIMITS = (
    "The sentences are English news about Finnish companies, collected before 2014.",
    "People with a background in finance chose the labels, and they did not always agree.",
    "The licence allows no commercial use (CC BY-NC-SA 3.0).",
)
_OWN_LIMITS = ("The sentences and labels come from a file of the trainer's own, so the limits are for them to name.",)


def learned(run: Run) -> bool:
    """Whether the run ended with a model that reads sentences."""
    return run.outcome == "completed" and run.diagnosis.get("verdict") in LEARNED


def data_name(run: Run) -> str:
    """What the sentences are called; the name and place of a file of the learner's own stay here."""
    names = {"bundled": "the workshop's financial sentences", "phrasebank": "Financial PhraseBank"}
    return names.get(run.dials["DATA"], "a file of the trainer's own")


def data_limits(run: Run) -> list[str]:
    """What a score on these sentences does not show, a sentence each."""
    of_source = {"bundled": _WORKSHOP_LIMITS, "phrasebank": _PHRASEBANK_LIMITS}.get(run.dials["DATA"], _OWN_LIMITS)
    noise = run.dials.get("LABEL_NOISE")
    wrong = [f"{noise:.0%} of the training labels were made wrong on purpose."] if noise else []
    return [*wrong, *of_source]


def of_hundred(share: float) -> str:
    """A share as a whole number of a hundred."""
    return f"{100 * share:.0f} of 100"
