"""The workshop's scores as an `evaluate` metric, kept here so that no call to the Hub is needed."""

import tempfile

import datasets
import evaluate
import numpy as np
from transformers import EvalPrediction

from tuning.data.labels import LABELS
from tuning.runs import metrics


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

    Parameters
    ----------
    prediction : transformers.EvalPrediction
        ``predictions`` are logits of shape (sentences, labels); ``label_ids`` are label indices.

    Returns
    -------
    dict
        ``accuracy``, ``f1_macro``, one ``f1_<label>`` each, and ``mistake_confidence``.
    """
    logits, truth = prediction.predictions, prediction.label_ids
    sure = {"mistake_confidence": metrics.mistake_confidence(logits, truth)}
    return _SCORES.compute(predictions=logits.argmax(axis=-1), references=truth) | sure
