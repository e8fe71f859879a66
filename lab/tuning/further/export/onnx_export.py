"""A run's trained model as an ONNX graph, and its answers through ONNX Runtime.

The graph is made by PyTorch's older exporter, which follows the model on one example: the newer one takes five times as
long and needs three packages more. What it wrote is compared with PyTorch on other lengths before it is used.
"""

import dataclasses
import logging
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuning.data.loading import load, split
from tuning.data.splits import scored
from tuning.encoder.tokens import INPUTS, batch_of, tokenise
from tuning.errors import RunError
from tuning.further.variations import dials_from
from tuning.optional_packages import are_here
from tuning.runs.record import Run

if TYPE_CHECKING:
    import onnxruntime

PACKAGES = ("onnx", "onnxruntime")
# The set of operators that both ONNX Runtime and its build for browsers have known since 2022.
OPSET = 17
# Logits of PyTorch and of the graph differ by rounding alone; a graph that left something out is off by far more.
ROUNDING = 1e-3


def is_here() -> bool:
    """Whether the packages are installed."""
    return are_here(PACKAGES)


def need() -> None:
    """Stop in one line where they are not.

    Raises
    ------
    RunError
        With the line that installs them.
    """
    if not is_here():
        raise RunError(
            "onnx and onnxruntime are not installed, and options I and J need them. Run in a cell of its own:"
            " %pip install -r ../../requirements/further.txt"
        )


class _Logits(torch.nn.Module):
    """A model that answers with its logits alone."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def export(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, target: Path) -> Path:
    """Write a model as an ONNX graph in float32, for any number of sentences and tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
    target : pathlib.Path
        The file.

    Raises
    ------
    RunError
        If a package is missing, or the graph does not answer as the model does.
    """
    need()
    model = model.float().cpu()
    # As a whole: the exporter brings back the mode of the wrapper, and with it that of the model inside.
    wrapped = _Logits(model).eval()
    example, other = (
        tokenizer(texts, padding=True, return_token_type_ids=False, return_tensors="pt")
        for texts in (["Profit rose.", "Profit fell less than the board had feared."], ["Nothing new was said."])
    )
    axes = {name: {0: "sentences", 1: "tokens"} for name in INPUTS} | {"logits": {0: "sentences"}}
    with warnings.catch_warnings(), torch.inference_mode():
        # That there is a newer exporter, and that following one example may miss a branch: checked below.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            wrapped,
            tuple(example[name] for name in INPUTS),
            target,
            input_names=INPUTS,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        wanted = model(**other).logits.numpy()
    answer = session(target).run(None, {name: other[name].numpy() for name in INPUTS})[0]
    if (off := float(np.abs(answer - wanted).max())) > ROUNDING:
        raise RunError(
            f"This model's graph differs from the model (a logit by {off:.2g}), so it cannot be shipped as ONNX. Choose"
            " a run of the built-in encoder as RUN_1."
        )
    return target


def session(file: Path) -> "onnxruntime.InferenceSession":
    """Open an ONNX file on one core, so that seconds compare."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def validation_tokens(run: Run, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The validation sentences of a run as token numbers, the shortest first.

    Raises
    ------
    RunError
        If the sentences have changed since.
    """
    dials = dials_from(run.dials)
    data = load(dials.DATA, dials.AGREEMENT)
    if data.sha256 != run.data["sha256"]:
        raise RunError(f"{run.run_id}: {run.data['path']} has changed since this run. Train again.")
    return tokenise(scored(split(data)), tokenizer, dials.MAX_LENGTH, by_length=True)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model says about sentences.

    Attributes
    ----------
    logits : numpy.ndarray of shape (sentences, labels)
    milliseconds : float
        Of one core for a sentence, on average; what other programs take at the same time does not count.
    """

    logits: np.ndarray
    milliseconds: float

    @property
    def predicted(self) -> np.ndarray:
        """Index of the most likely label of each sentence."""
        return self.logits.argmax(axis=1)


def answers(model: Any, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, together: int = 1) -> Answers:
    """Ask a model about sentences, one at a time or several together.

    Parameters
    ----------
    model : transformers.PreTrainedModel or onnxruntime.InferenceSession
    tokens : datasets.Dataset
        As :func:`validation_tokens` gives them.
    tokenizer : transformers.PreTrainedTokenizerBase
    together : int
        Sentences in a batch, padded to the longest of them.
    """
    starts = range(0, len(tokens), together)
    whole = [batch_of(tokens, tokenizer, slice(start, start + together)) for start in starts]
    batches = [{name: batch[name] for name in INPUTS} for batch in whole]
    if isinstance(model, PreTrainedModel):

        def ask(batch: dict[str, torch.Tensor]) -> np.ndarray:
            return model(**batch).logits.numpy()
    else:
        batches = [{name: values.numpy() for name, values in batch.items()} for batch in batches]

        def ask(batch: dict[str, np.ndarray]) -> np.ndarray:
            return model.run(None, batch)[0]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            ask(batches[0])  # the first call is slower than all others
            began = time.thread_time()
            logits = [ask(batch) for batch in batches]
            seconds = time.thread_time() - began
    finally:
        torch.set_num_threads(threads)
    return Answers(np.concatenate(logits), 1000 * seconds / len(tokens))
