"""How a model does on the parts of the data: its predictions, and their scores.

The arithmetic is that of `tuning.runs.metrics`. Here it also is an `evaluate` metric, which needs no call to the Hub.
"""

import copy
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from transformers import (
    BatchEncoding,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tuning.data.labels import LABELS
from tuning.encoder.tokens import INPUTS, Tokens, tokenise
from tuning.runs import metrics
from tuning.training.arguments import EVAL_BATCH, autocast


class SentimentScores(evaluate.Metric):
    """Accuracy, macro-F1 and the F1 of each label, for label indices."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy, macro-F1 and F1 per label of three-class sentiment.",
            citation="",
            inputs_description="Label indices in the order negative, neutral, positive.",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        certain = np.eye(len(LABELS))[np.asarray(predictions)]
        scores = metrics.score(certain, np.asarray(references))
        per_label = {f"f1_{label}": value for label, value in scores.f1.items()}
        return {"accuracy": scores.accuracy, "f1_macro": scores.f1_macro} | per_label


# It makes a folder even if it keeps nothing there, and a home folder may be locked, or there may be none.
_SCORES = SentimentScores(keep_in_memory=True, cache_dir=tempfile.gettempdir())


def compute_metrics(prediction: EvalPrediction) -> dict[str, float | None]:
    """Score what the Trainer predicted; pass it as ``Trainer(compute_metrics=...)``.

    Logits of shape (sentences, labels) give ``accuracy``, ``f1_macro``, one ``f1_<label>`` each and
    ``mistake_confidence``.
    """
    logits, truth = prediction.predictions, prediction.label_ids
    sure = {"mistake_confidence": metrics.mistake_confidence(logits, truth)}
    return _SCORES.compute(predictions=logits.argmax(axis=-1), references=truth) | sure


def evaluation_batches(
    model: PreTrainedModel, tokens: Dataset, tokenizer: PreTrainedTokenizerBase
) -> Iterator[BatchEncoding]:
    """The sentences in order, batch by batch, for a model that is put into evaluation mode."""
    model.eval()
    collate, inputs = DataCollatorWithPadding(tokenizer), tokens.select_columns(INPUTS)
    for start in range(0, len(inputs), EVAL_BATCH):
        yield collate(inputs[start : start + EVAL_BATCH]).to(model.device)


@torch.inference_mode()
def predict(model: PreTrainedModel, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, precision: str) -> np.ndarray:
    """Logits of every sentence, in evaluation mode and in the number format of training, shape (sentences, labels)."""
    logits = []
    for batch in evaluation_batches(model, tokens, tokenizer):
        with autocast(model, precision):
            logits.append(model(**batch).logits.float().cpu().numpy())
    return np.concatenate(logits)


def label_probabilities(
    model: PreTrainedModel, sentences: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> pd.DataFrame:
    """Probabilities that a model gives to sentences of your own, a column per label; NaN from a diverged model."""
    frame = pd.DataFrame({"id": range(len(sentences)), "sentence": list(sentences), "label": LABELS[0]})
    tokens = tokenise(frame, tokenizer, tokenizer.model_max_length, by_length=False)
    logits = predict(model, tokens, tokenizer, "fp32")
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(np.exp(metrics.log_softmax(logits)), columns=LABELS, index=list(sentences))


def score_model(
    model: PreTrainedModel,
    tokens: Tokens,
    tokenizer: PreTrainedTokenizerBase,
    precision: str,
    logits: dict[str, np.ndarray] | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """Score a model on validation and on the fixed training subset, with intervals and the gap.

    The same model with the same weights is not asked a second time: the notebook shows the baseline, and the record
    wants it again.

    Parameters
    ----------
    precision : str
        Number format, as in training.
    logits : dict of str to numpy.ndarray, optional
        Those of each part of ``tokens.at_ends()``, where they are known already.

    Returns
    -------
    scores : dict
        The keys of ``final`` in ``run.schema.json``, weight movement apart.
    logits : numpy.ndarray of shape (validation sentences, labels)
        In the order of ``tokens.validation``.
    """
    state = None
    if logits is None:
        state = precision, _checksum(model)
        known_tokens, known_state, known_scores = getattr(model, "measured", (None, None, None))
        if known_tokens is tokens and known_state == state:
            return copy.deepcopy(known_scores)
        logits = {name: predict(model, part, tokenizer, precision) for name, part in tokens.at_ends().items()}
    validation, truth = logits["validation"], np.asarray(tokens.validation["labels"])
    train = metrics.score(logits["train"], np.asarray(tokens.train_check["labels"]))
    scores = metrics.summary(train, metrics.score(validation, truth), validation, truth), validation
    if state is not None:
        model.measured = (tokens, state, copy.deepcopy(scores))
    return scores


def _checksum(model: PreTrainedModel) -> int:
    """A number that changes when any weight does."""
    total = 0
    for weight in model.parameters():
        total = zlib.crc32(weight.detach().cpu().contiguous().numpy().data, total)
    return total
