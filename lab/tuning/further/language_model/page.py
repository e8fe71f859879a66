"""The page to copy: thirty validation sentences with a plain prompt, in random order and without their labels."""

import dataclasses
from pathlib import Path

import pandas as pd

from tuning import paths
from tuning.data.loading import load
from tuning.data.splits import subset
from tuning.errors import RunError
from tuning.files import free_name, sign, write_whole
from tuning.runs.record import Run
from tuning.runs.store import load_predictions

SIZE = 30
# Decides which sentences are drawn and in which order; the practice sheet was written for this draw.
SEED = 6
BUNDLED_RULE = (
    "Say how a shareholder of the company would take each sentence, from the sentence alone: negative, neutral or"
    " positive. Neutral means that it is neither good nor bad news for them."
)
OWN_RULE = "Say whether the tone of each sentence is negative, neutral or positive."


@dataclasses.dataclass(frozen=True)
class Page:
    """The sentences that a language model is asked about."""

    sentences: pd.DataFrame  # By the page's own id (``S01`` and so on): ``id`` in the data, ``sentence`` and ``label``.
    rule: str  # What the prompt asks for.
    bundled: bool  # Whether these are the workshop's own sentences.

    @property
    def prompt(self) -> str:
        """What is asked, above the sentences."""
        first = self.sentences.index[0]
        return (
            f"Below are {len(self.sentences)} sentences, each with an id. {self.rule}\n"
            f'Answer with JSON only, one entry for each id, such as {{"{first}": "neutral"}}. Leave none out.'
        )

    @property
    def text(self) -> str:
        """The whole page: prompt, ids and sentences."""
        return "\n".join([self.prompt, "", *(f"{name} {text}" for name, text in self.sentences["sentence"].items())])

    @property
    def tokens(self) -> tuple[int, int]:
        """About how many tokens go to a service and come back: four letters make one, and an answer takes ten."""
        return round(len(self.text) / 4), 10 * len(self.sentences)


def draw(run_1: Run) -> Page:
    """Draw the sentences from those on which Run 1 was scored: stratified by label, in random order."""
    data = load(run_1.dials["DATA"], run_1.dials["AGREEMENT"])
    if data.sha256 != run_1.data["sha256"]:
        raise RunError(f"{run_1.run_id}: {run_1.data['path']} has changed since this run. Train again.")
    known = data.frame.assign(id=data.frame["id"].astype(str))[["id", "sentence"]]
    scored = load_predictions(run_1)[["id", "label"]].merge(known, on="id")
    drawn = subset(scored, SIZE, SEED).sample(frac=1, random_state=SEED)
    names = [f"S{number:02}" for number in range(1, len(drawn) + 1)]
    bundled = run_1.dials["DATA"] == "bundled"
    return Page(drawn.set_axis(names, axis=0), BUNDLED_RULE if bundled else OWN_RULE, bundled)


def write(page: Page, may_leave: bool) -> Path:
    """Write the page as a text file to copy from, ``my_work/language_model/page.txt``, and say so. It is sent nowhere.

    Sentences that are not the bundled ones need their owner's leave, else there is a `RunError`.
    """
    if not (page.bundled or may_leave):
        raise RunError(
            "TEXT_MAY_LEAVE is False, and the sentences of Run 1 are not the workshop's own, so the page is not"
            " written. Ask the owner of the text, then set TEXT_MAY_LEAVE = True; or start from a run on the bundled"
            " sentences."
        )
    path = free_name(paths.work() / "language_model" / "page.txt")
    try:
        write_whole(path, page.text + "\n")
        sign(path)
    except OSError as problem:
        raise RunError(f"{paths.short(path)} cannot be written ({problem.strerror}).") from None
    sent, back = page.tokens
    print(
        f"Written: {paths.short(path)}. Nothing was sent. Pasted into a service, it is about {sent:,} tokens, and the"
        f" answer about {back:,}."
    )
    return path
