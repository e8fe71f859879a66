"""A run's model in eight-bit integers: recipes, what each keeps of the run's answers, and which sentences change.

In *dynamic* quantisation the weights are rounded once, and the numbers that flow through the model are rounded anew for
each call, on one scale for everything in the batch. So a sentence's answer can depend on its neighbours, and this
workshop asks one sentence at a time.
"""

import dataclasses
import logging
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tuning.data.labels import LABELS
from tuning.data.loading import load
from tuning.encoder import finding
from tuning.encoder.run_models import encoder_of, trained
from tuning.files import write_whole
from tuning.further.error_analysis import NARROW
from tuning.further.export import onnx_export
from tuning.further.export.onnx_export import Answers, answers
from tuning.runs import metrics
from tuning.runs.paired_comparison import Comparison, of_labels
from tuning.runs.record import Run
from tuning.runs.store import load_predictions

INT8_FILE = "model_int8.onnx"
NAMES = ("Run 1", "int8")
TOGETHER = 32
# Steps between zero and the largest weight that eight bits with a sign can name.
STEPS = 127


class Recipe(NamedTuple):
    """How the weights are rounded."""

    per_output: bool = False  # A scale for each output of a matrix, in place of one for the whole of it.
    signed: bool = True  # Weights from -127 to 127, in place of 0 to 255 with a zero in between.
    # The second matrix of each feed-forward part, which leads back to the model's width, stays in float32.
    second_float: bool = False


RECIPES = {
    "one scale a matrix": Recipe(),
    "one scale a matrix, unsigned": Recipe(signed=False),
    "a scale for each output": Recipe(per_output=True),
    "the same, second matrices float": Recipe(per_output=True, second_float=True),
}
CHOSEN = "a scale for each output"


@dataclasses.dataclass(frozen=True)
class Form:
    """One form of a run's model, and what it said about the validation sentences."""

    megabytes: float  # Size of its file.
    # Asked one sentence at a time, and `TOGETHER` at a time.
    alone: Answers
    together: Answers


@dataclasses.dataclass(frozen=True)
class Forms:
    """A run's model in all forms, asked about the same sentences."""

    run: Run
    ids: list[str]  # Of the validation sentences, in the order of all answers.
    truth: np.ndarray  # Shape (sentences,), integer.
    by_name: dict[str, Form]  # PyTorch first, then ONNX in float32, then each recipe.
    # Of the matrix with the most uneven rows: its name, and how many of the 127 steps the middle row gets when the
    # widest one sets the scale.
    levels: tuple[str, float]

    @property
    def chosen(self) -> Form:
        """The form that is shipped."""
        return self.by_name[CHOSEN]

    @property
    def before(self) -> np.ndarray:
        """Run 1's own answers: logits of PyTorch, asked alone."""
        return self.by_name["PyTorch"].alone.logits


def quantise(graph: Path, target: Path, recipe: Recipe) -> Path:
    """Round the weights of an ONNX graph in float32 to eight bits, in a file of their own."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It asks each time for a step that changes nothing here.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            graph,
            target,
            per_channel=recipe.per_output,
            weight_type=QuantType.QInt8 if recipe.signed else QuantType.QUInt8,
            nodes_to_exclude=list(_second_matrices(graph)) if recipe.second_float else None,
        )
    finally:
        logging.disable(logging.NOTSET)
    return target


def _second_matrices(graph: Path) -> dict[str, np.ndarray]:
    """The matrices with more inputs than outputs, by the node that multiplies with them."""
    import onnx

    model = onnx.load(graph).graph
    weights = {item.name: item for item in model.initializer if len(item.dims) == 2 and item.dims[0] > item.dims[1]}
    return {
        node.name: onnx.numpy_helper.to_array(weights[name])
        for node in model.node
        if node.op_type == "MatMul"
        for name in node.input
        if name in weights
    }


def _levels(graph: Path) -> tuple[str, float]:
    """The second matrix with the most uneven rows, and the steps that its middle row gets."""
    left = {}
    for name, matrix in _second_matrices(graph).items():
        widths = np.abs(matrix).max(axis=1)
        title = name.strip("/").replace("/", ".").removesuffix(".MatMul")
        left[title] = float(STEPS * np.median(widths) / widths.max())
    return min(left.items(), key=lambda item: item[1], default=("", float(STEPS)))


def int8_file(run: Run) -> Path:
    """The run's model in eight bits by the chosen recipe: kept with the run, or made now."""
    kept = run.folder / INT8_FILE
    if not kept.exists():
        onnx_export.need()
        model, tokenizer = trained(run)
        with tempfile.TemporaryDirectory() as scratch:
            graph = onnx_export.export(model, tokenizer, Path(scratch) / "float32.onnx")
            _keep(run, quantise(graph, Path(scratch) / "int8.onnx", RECIPES[CHOSEN]))
    return kept


def _keep(run: Run, file: Path) -> None:
    write_whole(run.folder / INT8_FILE, file.read_bytes())


def measure(run: Run) -> Forms:
    """Write a run's model in every form, and ask each about the validation sentences; the chosen one is kept."""
    onnx_export.need()
    model, tokenizer = trained(run)
    tokens = onnx_export.validation_tokens(run, tokenizer)

    def asked(form: Any, file: Path) -> Form:
        return Form(
            file.stat().st_size / 1e6, answers(form, tokens, tokenizer), answers(form, tokens, tokenizer, TOGETHER)
        )

    with tempfile.TemporaryDirectory() as scratch:
        graph = onnx_export.export(model, tokenizer, Path(scratch) / "float32.onnx")
        forms = {
            "PyTorch": asked(model, run.folder / "model" / "model.safetensors"),
            "ONNX, float32": asked(onnx_export.session(graph), graph),
        }
        for name, recipe in RECIPES.items():
            file = quantise(graph, Path(scratch) / "int8.onnx", recipe)
            forms[name] = asked(onnx_export.session(file), file)
            if name == CHOSEN:
                _keep(run, file)
        levels = _levels(graph)
    return Forms(run, list(tokens["id"]), np.array(tokens["labels"]), forms, levels)


def table(forms: Forms) -> pd.DataFrame:
    """Each form of the model in a row: size, time, and what it keeps of Run 1's answers and scores.

    Milliseconds a sentence, alone and in batches; answers and scores are those of sentences asked alone.
    """
    rows = {}
    before = forms.before.argmax(axis=1)
    for name, form in forms.by_name.items():
        low, high = metrics.f1_interval(form.alone.logits, forms.truth)
        rows[name] = {
            "MB": round(form.megabytes),
            "ms a sentence": round(form.alone.milliseconds, 1),
            f"in batches of {TOGETHER}": round(form.together.milliseconds, 1),
            "same label as Run 1": f"{np.mean(form.alone.predicted == before):.1%}",
            "macro-F1": round(metrics.score(form.alone.logits, forms.truth).f1_macro, 3),
            "95% interval": f"{low:.2f} to {high:.2f}",
            "labels changed by the batch": int((form.together.predicted != form.alone.predicted).sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def changed(forms: Forms) -> pd.DataFrame:
    """The sentences whose label the chosen recipe changes, the surest first.

    Run 1's ``margin`` is the one between the probabilities of its two best labels.
    """
    before, after = forms.before.argmax(axis=1), forms.chosen.alone.predicted
    rows = np.flatnonzero(before != after)
    rows = rows[np.argsort(-_margins(forms.before)[rows], kind="stable")]
    names = np.array(LABELS)
    return pd.DataFrame(
        {
            "sentence": _texts(forms, rows),
            "label": names[forms.truth[rows]],
            "Run 1": names[before[rows]],
            "int8": names[after[rows]],
            "margin": _margins(forms.before)[rows].round(2),
        }
    )


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return np.exp(metrics.log_softmax(logits))


def _margins(logits: np.ndarray) -> np.ndarray:
    ordered = np.sort(_probabilities(logits), axis=1)
    return ordered[:, -1] - ordered[:, -2]


def _texts(forms: Forms, rows: np.ndarray) -> list[str]:
    data = load(forms.run.dials["DATA"], forms.run.dials["AGREEMENT"]).frame
    texts = dict(zip(data["id"].astype(str), data["sentence"], strict=True))
    return [texts[forms.ids[row]] for row in rows]


def why(forms: Forms) -> str:
    """Which sentences change: those on which Run 1 stood near the border between two labels, in numbers."""
    changes = forms.before.argmax(axis=1) != forms.chosen.alone.predicted
    narrow = _margins(forms.before) < NARROW
    name, levels = forms.levels
    border, clear = (f"{int(changes[rows].sum())} of {int(rows.sum())}" for rows in (narrow, ~narrow))
    return (
        f"Of the sentences on which Run 1 held its two best labels less than {NARROW:g} apart, {border} changed; of all"
        f" others {clear}.\nThe most uneven matrix is {name}: on one scale, its middle row gets about {levels:.0f} of"
        f" {STEPS} steps."
    )


def neighbours(forms: Forms, most: int = 3) -> pd.DataFrame:
    """The sentences whose answer depends most on the others in the batch: changed labels first, then by what moved.

    The probabilities are of the label that was said alone: ``alone``, ``in a batch``, and of the float32 model there.
    """
    alone, together = (_probabilities(each.logits) for each in (forms.chosen.alone, forms.chosen.together))
    said, beside_others = alone.argmax(axis=1), together.argmax(axis=1)
    every = np.arange(len(said))
    moved = np.abs(alone[every, said] - together[every, said])
    rows = np.lexsort((-moved, said == beside_others))[:most]
    exact = _probabilities(forms.by_name["ONNX, float32"].together.logits)
    return pd.DataFrame(
        {
            "sentence": _texts(forms, rows),
            "said alone": np.array(LABELS)[said[rows]],
            "said in a batch": np.array(LABELS)[beside_others[rows]],
            "alone": alone[rows, said[rows]].round(2),
            "in a batch": together[rows, said[rows]].round(2),
            "float32, in a batch": exact[rows, said[rows]].round(2),
        }
    )


def against_run_1(forms: Forms) -> Comparison:
    """The chosen recipe held against Run 1, sentence by sentence."""
    return of_labels(forms.truth, forms.before.argmax(axis=1), forms.chosen.alone.predicted, NAMES)


def kept_against(run: Run) -> Comparison:
    """The kept eight-bit model held against the predictions that were kept with its run."""
    tokenizer = finding.tokenizer(encoder_of(run))
    tokens = onnx_export.validation_tokens(run, tokenizer)
    asked = answers(onnx_export.session(int8_file(run)), tokens, tokenizer)
    recorded = load_predictions(run).set_index("id").loc[tokens["id"], list(LABELS)].to_numpy()
    return of_labels(np.array(tokens["labels"]), recorded.argmax(axis=1), asked.predicted, NAMES)


def sizes(forms: Forms) -> str:
    """What was gained, in a sentence: the runtime's share of the speed apart from that of the rounding."""
    before, exact, after = forms.by_name["PyTorch"], forms.by_name["ONNX, float32"], forms.chosen
    same = np.mean(after.alone.predicted == forms.before.argmax(axis=1))
    return (
        f"{before.megabytes:.0f} MB became {after.megabytes:.0f} MB. On one core, a sentence takes"
        f" {before.alone.milliseconds:.1f} ms in PyTorch, {exact.alone.milliseconds:.1f} ms in ONNX, and"
        f" {after.alone.milliseconds:.1f} ms with rounded weights. {same:.1%} of the labels stayed."
    )
