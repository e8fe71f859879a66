"""One page that holds a run's model in eight bits, its tokenizer and a runtime, and opens with a double click.

Nothing in it asks a network. It holds no sentence of the data and no name of a file or folder of the learner's.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tuning import paths
from tuning.data.labels import LABELS
from tuning.encoder.run_models import encoder_of
from tuning.errors import RunError
from tuning.evidence.archive import MODEL_PAGE
from tuning.evidence.handover import statements
from tuning.files import write_whole
from tuning.further.error_analysis import NARROW
from tuning.further.export import shell
from tuning.further.export.quantisation import INT8_FILE, int8_file
from tuning.further.variations import recorded_runs
from tuning.runs import metrics
from tuning.runs.record import Run
from tuning.runs.store import last_run, load_predictions

# A byte a weight: the built-in encoder has 23 million of them, and DistilBERT 67 million.
MOST_PARAMETERS = 40_000_000


def write(run: Run, beside: str | None = None) -> Path:
    """Write ``share/my_model.html``; the model of the run `beside`, of the same encoder, may answer beside it.

    A `RunError` where a model is too large, diverged, or gone, or the two have different tokenizers.
    """
    runs = [run] if beside is None else [run, last_run(beside)]
    for each in runs:
        _check(each)
    tokenizers = [_tokenizer(each) for each in runs]
    if tokenizers[0] != tokenizers[-1]:
        raise RunError(
            f"{runs[1].run_id} has another tokenizer than {run.run_id}, and a page holds one. Set BESIDE to a run of"
            " the same encoder."
        )
    blocks = {"tokenizer": tokenizers[0].encode()}
    blocks |= {f"model-{number}": int8_file(each).read_bytes() for number, each in enumerate(runs)}
    facts = {
        "labels": LABELS,
        "narrow": NARROW,
        "models": [_facts(each, tokenizers[0]) for each in runs],
        "limits": _limits(run),
    }
    target = paths.share() / MODEL_PAGE
    write_whole(target, shell.fill(facts, blocks))
    return target


def could_stand_beside(run: Run) -> str:
    """The Run IDs that ``BESIDE`` may name, in one line: other runs of the same encoder whose model is still here."""
    others = [
        other.run_id
        for other in recorded_runs()
        if other.run_id != run.run_id
        and other.encoder["revision"] == run.encoder["revision"]
        and any((other.folder / name).exists() for name in ("model", INT8_FILE))
    ]
    if not others:
        return "No other run's model is on this machine. To see one beside it, run notebook 01 with TOO_HIGH first."
    return f"For BESIDE, these models are here: {', '.join(others)}."


def size(page: Path) -> str:
    """The size of a page, in a sentence."""
    return f"The page has {page.stat().st_size / 1e6:.0f} MB."


def how_to_open(page: Path) -> str:
    """Where the page is, and how to open it."""
    return f"Written: {paths.short(page)}. {size(page)} Download it, and open it with a double click."


def _check(run: Run) -> None:
    size = run.encoder["parameters"]
    if size > MOST_PARAMETERS:
        raise RunError(
            f"{run.run_id}: {run.encoder['name']} has {size / 1e6:.0f} million weights, and its page would have about"
            f" {size * 1.15 / 1e6:.0f} MB, which many mailboxes and telephones refuse. Set"
            ' DIALS = {"MODEL": "embedded"} for a run of the built-in encoder.'
        )


def _tokenizer(run: Run) -> str:
    """The tokenizer's file without its cutting and padding: the page cuts as the run did, and never pads."""
    tokenizer = json.loads((encoder_of(run).folder / "tokenizer.json").read_text(encoding="utf-8"))
    return json.dumps(tokenizer | {"truncation": None, "padding": None}, ensure_ascii=False, separators=(",", ":"))


def _facts(run: Run, tokenizer: str) -> dict[str, Any]:
    """What the page says about one model, and how it cuts a long text."""
    logits, right = _validation(run)
    ordered = np.sort(np.exp(metrics.log_softmax(logits)), axis=1)
    narrow = ordered[:, -1] - ordered[:, -2] < NARROW
    low, high = run.final["val_f1_macro_interval"]
    return {
        "title": run.preset,
        "about": f"Learning rate {run.learning_rate:g}, {run.data['train_used']} training sentences, macro-F1"
        f" {run.final['val_f1_macro']:.2f} ({low:.2f} to {high:.2f}).",
        "unsure": _times(right[narrow], "unsure"),
        "sure": _times(right[~narrow], "not unsure"),
        "longest": run.dials["MAX_LENGTH"],
        # Whether each sentence ends with a token of the tokenizer's own, which stays where a text is cut.
        "closing": bool(Tokenizer.from_str(tokenizer).encode("one").special_tokens_mask[-1]),
    }


def _validation(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the validation sentences, and whether each answer was right."""
    frame = load_predictions(run)
    logits = frame[list(LABELS)].to_numpy()
    if not np.isfinite(logits).all():
        raise RunError(f"{run.run_id}: this run diverged, so its answers are no numbers. Choose another run as RUN_1.")
    return logits, np.array(LABELS)[logits.argmax(axis=1)] == frame["label"].to_numpy()


def _times(right: np.ndarray, how: str) -> str:
    if not len(right):
        return ""
    return f"In validation it was right on {right.sum()} of the {len(right)} sentences on which it was {how}."


def _limits(run: Run) -> list[str]:
    """What the model card says about its limits."""
    right = _validation(run)[1]
    low, high = metrics.accuracy_interval(int(right.sum()), len(right))
    unfit = [] if statements.learned(run) else ["Do not use it at all, except to show what such a run looks like."]
    return [
        *unfit,
        f"It was trained on {statements.data_name(run)}. On such sentences it is right on {low:.0%} to {high:.0%}.",
        *statements.data_limits(run),
        *(f"Not for {use}." for use in statements.UNFIT_FOR),
    ]
