"""The scores against scikit-learn, and the intervals against published values."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from tuning import metrics
from tuning.data import LABELS
from tuning.metrics import Scores


def predictions(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and true labels, of which a bit more than half agree."""
    draw = np.random.default_rng(seed)
    truth = draw.choice(3, size, p=[0.2, 0.5, 0.3])
    logits = draw.normal(0, 1.5, (size, 3))
    logits[np.arange(size), truth] += 1.0
    return logits, truth


def scored(correct: int, size: int) -> Scores:
    return Scores(size, correct, correct / size, 0.0, 0.0, {}, {})


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 7, 250])
def test_scores_agree_with_scikit_learn(seed, size):
    logits, truth = predictions(seed, size)
    found = metrics.score(logits, truth)
    guess = logits.argmax(axis=1)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    per_label = f1_score(truth, guess, labels=[0, 1, 2], average=None, zero_division=0)
    assert found.accuracy == pytest.approx(accuracy_score(truth, guess))
    assert found.f1_macro == pytest.approx(per_label.mean())
    assert list(found.f1.values()) == pytest.approx(list(per_label))
    assert found.loss == pytest.approx(log_loss(truth, chances, labels=[0, 1, 2]))
    assert (found.size, found.correct) == (size, int((guess == truth).sum()))
    assert list(found.predicted.values()) == np.bincount(guess, minlength=3).tolist()
    assert (metrics.confusion(truth, guess) == confusion_matrix(truth, guess, labels=[0, 1, 2])).all()


def test_the_loss_survives_huge_logits():
    logits = np.array([[1e4, 0.0, 0.0], [0.0, 1e4, 0.0]], dtype=np.float32)
    assert metrics.score(logits, [0, 0]).loss == pytest.approx(5_000)


def test_a_label_never_seen_nor_predicted_counts_as_zero():
    found = metrics.score(np.eye(3)[[0, 0, 1]], [0, 0, 1])
    assert found.f1 == {"negative": 1.0, "neutral": 1.0, "positive": 0.0}
    assert found.f1_macro == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_give_a_loss_that_is_not_a_number(rubbish):
    found = metrics.score(np.full((6, 3), rubbish), [0, 1, 2, 0, 1, 2])
    assert math.isnan(found.loss)
    assert found.predicted == {"negative": 6, "neutral": 0, "positive": 0}
    assert found.accuracy == pytest.approx(1 / 3)


def test_one_sentence_without_finite_logits_spoils_the_loss_but_not_the_accuracy():
    logits = np.eye(3) * 5
    logits[2] = [math.inf, 0, 0]
    found = metrics.score(logits, [0, 1, 2])
    assert math.isnan(found.loss)
    assert found.correct == 2


@pytest.mark.parametrize(
    ("correct", "size", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_accuracy_interval_is_wilsons(correct, size, low, high):
    assert metrics.accuracy_interval(correct, size) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("size", [1, 10, 250])
def test_the_accuracy_interval_stays_between_0_and_1_and_mirrors(size):
    for correct in range(0, size + 1, max(size // 5, 1)):
        low, high = metrics.accuracy_interval(correct, size)
        assert 0 <= low <= correct / size <= high <= 1
        assert metrics.accuracy_interval(size - correct, size) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(
    ("train", "validation", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_gap_interval_is_newcombes_method_10(train, validation, low, high):
    found = metrics.gap_interval(scored(*train), scored(*validation))
    assert found == pytest.approx((low, high), abs=5e-5)


def test_the_gap_interval_turns_round_with_its_parts():
    one, other = scored(56, 70), scored(48, 80)
    low, high = metrics.gap_interval(one, other)
    assert metrics.gap_interval(other, one) == pytest.approx((-high, -low))


@pytest.mark.parametrize("seed", range(3))
def test_the_bootstrap_interval_holds_the_score_and_can_be_repeated(seed):
    logits, truth = predictions(seed, 250)
    point = metrics.score(logits, truth).f1_macro
    low, high = metrics.f1_interval(logits, truth)
    assert 0 <= low < point < high <= 1
    assert 0.05 < high - low < 0.20
    assert metrics.f1_interval(logits, truth) == (low, high)
    assert metrics.f1_interval(logits, truth, seed=1) != (low, high)


def test_the_bootstrap_interval_narrows_with_more_sentences():
    def width(size: int) -> float:
        low, high = metrics.f1_interval(*predictions(0, size))
        return high - low

    assert width(1000) < width(250) < width(60)


@pytest.mark.filterwarnings("error")
def test_the_bootstrap_interval_of_a_model_without_a_mistake_is_a_point():
    truth = np.array([0, 1, 2] * 20)
    assert metrics.f1_interval(np.eye(3)[truth], truth) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("truth", "label", "accuracy", "f1"),
    [
        ([1, 1, 1, 0, 2], "neutral", 0.6, 0.25),
        ([2] * 9 + [0], "positive", 0.9, (2 * 9 / 19) / 3),
        ([0, 1, 2], LABELS[0], 1 / 3, 1 / 6),
    ],
)
def test_the_majority_class_is_scored_like_a_model(truth, label, accuracy, f1):
    found = metrics.majority(truth)
    assert found["label"] == label
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["f1_macro"] == pytest.approx(f1)


@pytest.mark.slow
def test_the_trainers_metrics_are_the_same_scores():
    from transformers import EvalPrediction

    from tuning.evaluation import compute_metrics

    logits, truth = predictions(0, 120)
    found = compute_metrics(EvalPrediction(predictions=logits, label_ids=truth))
    expected = metrics.score(logits, truth)
    assert found == {"accuracy": expected.accuracy, "f1_macro": expected.f1_macro} | {
        f"f1_{label}": value for label, value in expected.f1.items()
    }
