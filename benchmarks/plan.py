"""What is measured: every contender, encoder, size and repeat, in the order of measuring."""

import dataclasses
import json
from typing import Any

REPEATS = 3
# Left out of a quick look.
SLOW = ("bare-auto", "previous-fp32", "previous-auto")
SENTENCES, EPOCHS = 800, 2
DISTILBERT_SIZE, EMBEDDED = "DistilBERT size", "embedded"
MODELS = (DISTILBERT_SIZE, EMBEDDED)
GROWTH = {
    "sentences": (200, 400, 800, 1600, 0),
    "tokens": (16, 32, 64, 96, 128, 256),
    "epochs": (1, 2, 4, 8),
}
GROWING = 400
DIAL_OF = {"sentences": "TRAIN_SUBSET", "tokens": "MAX_LENGTH", "epochs": "EPOCHS"}
CONTENDERS = {
    "common-adamw": "common practice, adamw_torch",
    "common-fused": "common practice, fused default",
    "previous-fp32": "ours, earlier, fp32",
    "previous-auto": "ours, earlier, automatic precision",
    "ours-fp32": "ours, fp32",
    "ours-auto": "ours, automatic precision",
    "bare-fp32": "bare loop, fp32",
    "bare-auto": "bare loop, automatic precision",
}


@dataclasses.dataclass(frozen=True)
class Task:
    """One measurement: its name, what runs, on which encoder, with which dials, and which repeat it is.

    Attributes
    ----------
    name : str
        As ``--only`` and the table call it.
    contender : str
        A name of `benchmarks.worker.CONTENDERS`.
    model : str
        One of `MODELS`.
    dials : tuple of (str, str)
        Dials that are not default, model apart.
    repeat : int
        Counted from 1; it is the seed too.
    validation : int
        Validation sentences; 0 is all.
    """

    name: str
    contender: str
    model: str
    dials: tuple[tuple[str, str], ...]
    repeat: int = 1
    validation: int = 0

    @property
    def key(self) -> str:
        """What tells this measurement from every other."""
        return json.dumps(dataclasses.astuple(self))


def task_of(name: str, contender: str, model: str, repeat: int = 1, validation: int = 0, **dials: Any) -> Task:
    """One measurement with these dials; the others are those of the contest."""
    chosen = {"TRAIN_SUBSET": SENTENCES, "EPOCHS": EPOCHS, "PRECISION": "fp32"} | dials | {"GROUP": repeat}
    return Task(name, contender, model, tuple((key, str(value)) for key, value in chosen.items()), repeat, validation)


def plan() -> list[Task]:
    """Every measurement of the whole bench: first the contenders, their repeats interleaved, then what stands besides.

    A bench that is cut off early has the repeats where they matter most.
    """
    return [task for part in (_contest, _rest) for repeat in range(1, REPEATS + 1) for task in part(repeat)]


def _contest(repeat: int) -> list[Task]:
    return [
        task
        for model in MODELS
        for task in (
            *(training_task(name, model, repeat) for name in CONTENDERS),
            task_of("limit", "limit", model, repeat),
        )
    ]


def _rest(repeat: int) -> list[Task]:
    tasks = [task_of(name, name, model, repeat) for model in MODELS for name in ("evaluation", "estimate", "notebook")]
    tasks += [task_of(name, name, EMBEDDED, repeat) for name in ("beside", "import", "sgd", "board")]
    return tasks + [
        # Evaluations are not counted there, so few sentences are enough for them.
        task_of(f"growth-{kind}", "ours", EMBEDDED, repeat, 48, **{"TRAIN_SUBSET": GROWING, DIAL_OF[kind]: size})
        for kind, sizes in GROWTH.items()
        for size in sizes
    ]


def quick_plan() -> list[Task]:
    """A small selection for a look in a few minutes: few sentences, one repeat, the main contenders."""
    few = {"TRAIN_SUBSET": 96, "EPOCHS": 1}
    tasks = [training_task(name, DISTILBERT_SIZE, 1, 48, **few) for name in ("common-fused", "ours-fp32", "bare-fp32")]
    tasks += [training_task(name, EMBEDDED, 1, 48, **few) for name in CONTENDERS if name not in SLOW]
    return [*tasks, *(task_of("limit", "limit", model, 1, 48, **few) for model in MODELS)]


def training_task(name: str, model: str, repeat: int, validation: int = 0, **dials: Any) -> Task:
    """One training by the name of a contender, such as ``ours-fp32``."""
    contender, _, precision = name.rpartition("-")
    if contender == "previous":
        contender = "ours"
    if contender == "common":
        return task_of(name, name, model, repeat, validation, **dials)
    return task_of(name, contender, model, repeat, validation, PRECISION=precision, **dials)
