"""The backup lab's training loop: TF-IDF features and scikit-learn's `SGDClassifier`, recorded like the main lab.

`SGDClassifier` with log loss trains one yes-or-no model per label (one versus the rest) and updates its weights after
every single sentence. The record's loss is the cross-entropy of the three probabilities, scaled to sum to one, so that
its unit and its start (ln 3 with all weights at zero) are those of the main lab.

It needs numpy, scipy, pandas and scikit-learn, and imports no torch.
"""

import dataclasses
import time
from datetime import datetime

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from tuning import paths
from tuning.data.labels import LABELS
from tuning.data.loading import Data, Splits, check_parts, flip_labels, label_counts, load, split, training_part
from tuning.data.splits import scored
from tuning.data.words import SIGNS, token_pattern
from tuning.dials import SgdDials
from tuning.errors import RunError
from tuning.evidence import experiment_log
from tuning.evidence.predictions import note_start
from tuning.runs import metrics
from tuning.runs.diagnosis import diagnose
from tuning.runs.metrics import CHECK_SIZE
from tuning.runs.record import Run, finite
from tuning.runs.store import new_folder, save_predictions
from tuning.training import machine

# Log-loss gradients are bounded, so a visible harm needs rates of hundreds on these sentences.
RATES = {"TOO_LOW": 1e-3, "JUST_RIGHT": 10.0, "TOO_HIGH": 300.0}

# An update is too small to share out, and threads that wait for a core which another program keeps busy make a run
# several times longer. The numbers are the same.
_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")


@dataclasses.dataclass(frozen=True)
class Features:
    """Sentences as TF-IDF vectors, with their labels."""

    # Shape (sentences, words). `check` is the fixed part of train on which training scores are measured.
    train: sparse.csr_array
    check: sparse.csr_array
    validation: sparse.csr_array
    train_labels: np.ndarray
    check_labels: np.ndarray
    validation_labels: np.ndarray
    vectorizer: TfidfVectorizer
    dials: SgdDials  # The dials that these were made with.
    validation_ids: list
    made_for: tuple  # The dials that decided what stands in them; `dials` may be replaced for another rate.

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know about the words, where they are none."""
        if self.vectorizer.token_pattern != SIGNS:
            return ()
        return ("Most sentences have no blanks, or no word of two letters: here each letter or sign counts as a word.",)


def rate(preset: str | float) -> float:
    """Learning rate of a preset; a number is its own rate."""
    return RATES[preset] if isinstance(preset, str) else preset


def features(splits: Splits, dials: SgdDials) -> Features:
    """Turn the sentences of one run into TF-IDF vectors; the vocabulary comes from the training sentences alone.

    Label noise goes into the training labels, after the split, and into validation only if the dial says so. The check
    part keeps the labels that the model is trained on.
    """
    train = training_part(splits, dials.TRAIN_SUBSET, dials.LABEL_NOISE)
    validation = flip_labels(scored(splits), dials.LABEL_NOISE if dials.NOISY_VALIDATION else 0.0)
    pattern = token_pattern(splits.train["sentence"])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=pattern)
    vectors = vectorizer.fit_transform(train["sentence"])
    codes = _codes(train["label"])
    size = min(CHECK_SIZE, len(train))
    return Features(
        vectors,
        vectors[:size],
        vectorizer.transform(validation["sentence"]),
        codes,
        codes[:size],
        _codes(validation["label"]),
        vectorizer,
        dials,
        validation["id"].tolist(),
        _decisive(dials),
    )


def _decisive(dials: SgdDials) -> tuple:
    return dials.TRAIN_SUBSET, dials.LABEL_NOISE, dials.NOISY_VALIDATION, dials.DATA, dials.AGREEMENT


def _codes(labels) -> np.ndarray:
    return np.array([LABELS.index(label) for label in labels])


def classifier(dials: SgdDials) -> SGDClassifier:
    """The model of one run, with the dials in scikit-learn's own words."""
    return SGDClassifier(
        loss="log_loss",
        penalty="l2",
        alpha=dials.ALPHA,
        learning_rate=dials.SCHEDULER,
        eta0=rate(dials.LR_PRESET),
        random_state=dials.seed,
    )


def logits(model: SGDClassifier, vectors: sparse.csr_array) -> np.ndarray:
    """Logarithms of the three probabilities, which sum to one, shape (sentences, labels); untrained, all are equal."""
    if not hasattr(model, "coef_"):
        return np.full((vectors.shape[0], len(LABELS)), -np.log(len(LABELS)))
    # As `decision_function` has it, whose checks of the data would take longer than a batch.
    scores = vectors @ model.coef_.T + model.intercept_
    # log of sigmoid(score), without overflow; then scaled so that the probabilities sum to one.
    yes = -np.logaddexp(0, -scores)
    return metrics.log_softmax(yes)


@_one_thread
def train(features: Features, data: Data, splits: Splits, notebook: str = "02") -> Run:
    """Train one model and record every step and epoch under ``lab/runs/``.

    A step is one batch of `BATCH_SIZE` sentences handed to ``partial_fit``, which goes through them one at a time. Its
    loss is measured before the update, as in the main lab.

    Raises
    ------
    RunError
        If the features were made for other dials or other sentences than the record would say, or if the run cannot be
        written.
    """
    dials = features.dials
    if features.made_for != _decisive(dials) or features.validation_ids != scored(splits)["id"].tolist():
        raise RunError(
            "The dials or the sentences were changed after the features were made. Run the notebook again from the"
            ' section "Dials" (menu: Run, then Run Selected Cell and All Below).'
        )
    check_parts(splits, data)
    model = classifier(dials)
    run = _start(features, data, splits, notebook)
    note_start(run.run_id)
    began = time.perf_counter()
    rng = np.random.default_rng(dials.seed)
    classes = np.arange(len(LABELS))
    try:
        for epoch in range(1, dials.EPOCHS + 1):
            epoch_began = time.perf_counter()
            order = rng.permutation(len(features.train_labels))
            batches = [order[at : at + dials.BATCH_SIZE] for at in range(0, len(order), dials.BATCH_SIZE)]
            for number, batch in enumerate(batches, start=1):
                vectors, labels = features.train[batch], features.train_labels[batch]
                _record_step(run, model, vectors, labels, epoch - 1 + number / len(batches))
                model.partial_fit(vectors, labels, classes=classes)
            _record_epoch(run, model, features, epoch, len(batches), time.perf_counter() - epoch_began)
        run.outcome = "completed"
    except KeyboardInterrupt:
        run.outcome = "interrupted"
        print("Stopped by hand. What was recorded so far is kept.")
    run.timing["train_seconds"] = time.perf_counter() - began
    try:
        _finish(run, model, features)
        run.timing["total_seconds"] = time.perf_counter() - began
        run.save()
    except OSError as problem:
        # A disk that is full; the run takes a second to train again.
        raise RunError(
            f"{paths.short(run.folder)} cannot be written ({problem.strerror}). Free some space, then run this cell"
            " again."
        ) from None
    experiment_log.append(run)
    return run


def fit(dials: SgdDials) -> Run:
    """The backup lab in one call: data, split, features, and :func:`train`."""
    data = load(dials.DATA, dials.AGREEMENT)
    splits = split(data)
    return train(features(splits, dials), data, splits)


@_one_thread
def scores(features: Features) -> dict:
    """Train one model without recording it and give its scores, without intervals: for tables of small variations."""
    dials = features.dials
    model = classifier(dials)
    rng = np.random.default_rng(dials.seed)
    for _ in range(dials.EPOCHS):
        order = rng.permutation(len(features.train_labels))
        model.partial_fit(features.train[order], features.train_labels[order], classes=np.arange(len(LABELS)))
    return _measure(model, features, intervals=False)[0]


def _start(features: Features, data: Data, splits: Splits, notebook: str) -> Run:
    dials = features.dials
    baseline, _ = _measure(classifier(dials), features)
    words = len(features.vectorizer.vocabulary_)
    preset = dials.LR_PRESET if isinstance(dials.LR_PRESET, str) else f"{dials.LR_PRESET:g}"
    versions = machine.versions()
    return Run(
        run_id=new_folder(f"sgd-{preset}").name,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        notebook=notebook,
        dials=dials.as_dict() | {"DATA": data.source},
        learning_rate=rate(dials.LR_PRESET),
        seed=dials.seed,
        encoder={
            "name": "TF-IDF + SGDClassifier",
            "source": "scikit-learn",
            "revision": versions["scikit-learn"],
            "parameters": len(LABELS) * (words + 1),
        },
        data={
            "path": paths.short(data.path),
            "sha256": data.sha256,
            "rows": len(data.frame),
            "train_used": len(features.train_labels),
            "split_sizes": splits.sizes(),
            "label_counts": label_counts(data.frame),
        },
        versions=versions,
        machine=machine.describe("fp64", torch_is_used=False),
        majority=metrics.majority(features.validation_labels),
        baseline=baseline,
    )


def _record_step(run: Run, model: SGDClassifier, vectors: sparse.csr_array, labels: np.ndarray, epoch: float) -> None:
    loss = metrics.cross_entropy(logits(model, vectors), labels).mean()
    done = getattr(model, "t_", 1.0)
    decay = done**model.power_t if model.learning_rate == "invscaling" else 1.0
    run.steps.append(
        {
            "step": len(run.steps) + 1,
            "epoch": epoch,
            "loss": float(loss),
            "grad_norm": None,
            "learning_rate": model.eta0 / decay,
        }
    )


def _record_epoch(run: Run, model: SGDClassifier, features: Features, epoch: int, steps: int, seconds: float) -> None:
    scores, _ = _measure(model, features, intervals=False)
    run.epochs.append(
        {
            "epoch": epoch,
            "train_loss_running": float(np.mean([step["loss"] for step in run.steps[-steps:]])),
            "train_loss": scores["train_loss"],
            "train_accuracy": scores["train_accuracy"],
            "val_loss": scores["val_loss"],
            "val_accuracy": scores["val_accuracy"],
            "val_f1_macro": scores["val_f1_macro"],
            "val_mistake_confidence": scores["val_mistake_confidence"],
            "seconds": seconds,
        }
    )


def _measure(model: SGDClassifier, features: Features, intervals: bool = True) -> tuple[dict, np.ndarray]:
    validation_logits = logits(model, features.validation)
    validation = metrics.score(validation_logits, features.validation_labels)
    train = metrics.score(logits(model, features.check), features.check_labels)
    return metrics.summary(
        train, validation, validation_logits, features.validation_labels, intervals
    ), validation_logits


def _finish(run: Run, model: SGDClassifier, features: Features) -> None:
    scores, validation_logits = _measure(model, features)
    run.final = finite(scores)
    run.timing |= {"tokens": None, "peak_memory_mb": machine.peak_memory_mb()}
    run.diagnosis = diagnose(run).as_dict()
    labels = [LABELS[code] for code in features.validation_labels]
    save_predictions(run.folder, features.validation_ids, labels, validation_logits)
