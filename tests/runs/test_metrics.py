"""The scores against scikit-learn, and the intervals against published values."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from tuning.data.labels import LABELS
from tuning.errors import RunError
from tuning.runs import metrics, paired_comparison
from tuning.runs.metrics import Scores
from tuning.runs.store import save_predictions


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

    from tuning.training.scoring import compute_metrics

    logits, truth = predictions(0, 120)
    found = compute_metrics(EvalPrediction(predictions=logits, label_ids=truth))
    expected = metrics.score(logits, truth)
    assert found == {"accuracy": expected.accuracy, "f1_macro": expected.f1_macro} | {
        f"f1_{label}": value for label, value in expected.f1.items()
    } | {"mistake_confidence": expected.mistake_confidence}


# Two models on the same sentences


def law(first: float, second: float, alike: float) -> np.ndarray:
    """Probability of each truth and pair of answers, for two models of given accuracies that share some answers."""
    table = np.zeros((3, 3, 3))
    for truth, share in enumerate((0.18, 0.57, 0.25)):
        answers = np.full((2, 3), [[(1 - first) / 2], [(1 - second) / 2]])
        answers[:, truth] = first, second
        table[truth] = share * ((1 - alike) * np.outer(*answers) + alike * np.diag(answers[0]))
    return table / table.sum()


def answers_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and both models' answers, a row per sentence, from joint counts."""
    return tuple(np.repeat(np.indices(counts.shape).reshape(3, -1), counts.ravel(), axis=1))


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    return f1_score(truth, said, labels=[0, 1, 2], average="macro", zero_division=0)


def test_the_difference_of_f1_is_scikit_learns():
    drawn = np.random.default_rng(0).multinomial(400, law(0.7, 0.8, 0.4).ravel()).reshape(3, 3, 3)
    truth, first, second = answers_of(drawn)
    counts = paired_comparison.joint_counts(truth, first, second)
    assert (counts == drawn).all()
    found = [float(one) for one in paired_comparison._both_f1(counts)]
    assert found == pytest.approx([macro_f1(truth, first), macro_f1(truth, second)])


def test_the_paired_interval_agrees_with_scipys_bootstrap():
    from scipy import stats

    counts = np.random.default_rng(1).multinomial(300, law(0.7, 0.76, 0.4).ravel()).reshape(3, 3, 3)
    truth, first, second = answers_of(counts)
    by_scipy = stats.bootstrap(
        (truth, first, second),
        lambda *sample: macro_f1(sample[0], sample[2]) - macro_f1(sample[0], sample[1]),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=800,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert paired_comparison.difference_interval(counts) == pytest.approx((by_scipy.low, by_scipy.high), abs=0.01)


@pytest.mark.parametrize(
    ("size", "accuracies"),
    [
        pytest.param(250, (0.75, 0.78, 0.5), id="close models"),
        pytest.param(600, (0.6, 0.8, 0.2), id="far models", marks=pytest.mark.slow),
    ],
)
def test_the_paired_interval_holds_the_truth_in_95_of_100_cases(size, accuracies):
    chances = law(*accuracies)
    draw = np.random.default_rng(3)
    # Counts as large as these are the law itself.
    first, second = paired_comparison._both_f1(chances * 1e9)
    held = 0
    for seed in range(1_000):
        counts = draw.multinomial(size, chances.ravel()).reshape(3, 3, 3)
        low, high = paired_comparison.difference_interval(counts, seed)
        held += low <= second - first <= high
    assert 930 <= held <= 970


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        # Agresti, Categorical Data Analysis (1990), table 10.1, as statsmodels gives it
        (86, 150, 3.7159361395713866e-05),
        # By hand: 2 x (1 + 14 + 91 + 364 + 1001 + 2002) / 2**14
        (5, 9, 2 * 3473 / 2**14),
        (0, 3, 0.25),
        (0, 1, 1.0),
        (4, 4, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemars_test_is_exact(only_first, only_second, p):
    assert paired_comparison.mcnemar(only_first, only_second) == pytest.approx(p)
    assert paired_comparison.mcnemar(only_second, only_first) == pytest.approx(p)


def test_mcnemars_test_cries_wolf_no_more_often_than_promised():
    chances = law(0.75, 0.75, 0.5)
    draw = np.random.default_rng(4)
    alarms = 0
    for _ in range(1_000):
        truth, first, second = answers_of(draw.multinomial(250, chances.ravel()).reshape(3, 3, 3))
        right = first == truth, second == truth
        alarms += paired_comparison.mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())) < 0.05
    assert alarms <= 60


@pytest.fixture
def two_runs(make_run, keep_run):
    """Write two runs with given answers, the second's sentences in another order."""

    def write(truth, first, second):
        runs = []
        for name, said, turn in (("run-1", first, 1), ("run-2", second, -1)):
            run = keep_run(make_run(run_id=name))
            ids = [f"s{row}" for row in range(len(truth))]
            order = slice(None, None, turn)
            labels = [LABELS[label] for label in truth]
            logits = 5 * np.eye(3)[np.asarray(said)]
            save_predictions(run.folder, ids[order], labels[order], logits[order])
            runs.append(run)
        return runs

    return write


def test_two_runs_are_compared_sentence_by_sentence(two_runs):
    truth = [0, 1, 1, 2, 2, 0, 1, 2] * 25
    first = [1, 1, 1, 1, 2, 0, 1, 2] * 25
    second = [0, 1, 1, 2, 2, 0, 0, 2] * 25
    found = paired_comparison.compare(*two_runs(truth, first, second), names=("Run 1", "Run 2"))
    assert found.f1 == pytest.approx((macro_f1(truth, first), macro_f1(truth, second)))
    assert (found.size, found.only_first, found.only_second) == (200, 25, 50)
    assert found.shown
    points = 100 * (macro_f1(truth, second) - macro_f1(truth, first))
    assert found.sentence.startswith(f"Run 2 is better than Run 1 by {points:.1f} points of macro-F1; between ")
    assert found.sentence.endswith(": shown.")
    assert "Run 1 alone has 25 right and Run 2 alone 50 (McNemar's exact test: p = 0.005)" in str(found)


def test_a_small_difference_is_not_shown_and_turns_round_with_the_runs(two_runs):
    truth = [0, 1, 1, 2] * 30
    first = truth[:110] + [1] * 10
    second = truth[:108] + [1] * 12
    one, other = two_runs(truth, first, second)
    there, back = paired_comparison.compare(one, other), paired_comparison.compare(other, one)
    assert not there.shown
    assert "B is worse than A by" in there.sentence
    assert there.sentence.endswith("not shown.")
    assert there.difference == pytest.approx(-back.difference)
    assert (there.only_first, there.only_second, there.p) == (back.only_second, back.only_first, back.p)


def test_equal_answers_are_no_difference(two_runs):
    truth = [0, 1, 2] * 20
    found = paired_comparison.compare(*two_runs(truth, truth, truth))
    assert found.sentence == "A and B have the same sentences right: no difference."
    assert found.p == 1


def test_a_diverged_run_can_be_compared(two_runs):
    truth = [0, 1, 2] * 20
    one, other = two_runs(truth, truth, truth)
    ids, labels = [f"s{row}" for row in range(60)], [LABELS[label] for label in truth]
    save_predictions(other.folder, ids, labels, np.full((60, 3), np.nan))
    assert "B is worse than A" in paired_comparison.compare(one, other).sentence


@pytest.mark.parametrize("change", ["ids", "labels", "fewer"])
def test_runs_on_different_sentences_are_refused(two_runs, change):
    truth = [0, 1, 2] * 20
    one, other = two_runs(truth, truth, truth)
    ids = [f"{'t' if change == 'ids' else 's'}{row}" for row in range(60)]
    labels = [LABELS[(label + (change == "labels")) % 3] for label in truth]
    kept = 30 if change == "fewer" else 60
    save_predictions(other.folder, ids[:kept], labels[:kept], np.eye(3)[truth][:kept])
    with pytest.raises(RunError, match="run-1 and run-2 were validated on different sentences"):
        paired_comparison.compare(one, other)


def test_the_confidence_of_mistakes_counts_wrong_answers_alone():
    logits = np.log(np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]))
    assert metrics.mistake_confidence(logits, [1, 1, 0]) == pytest.approx((0.9 + 0.6) / 2)
    assert metrics.mistake_confidence(logits, [0, 1, 2]) is None
    assert metrics.mistake_confidence(np.full((2, 3), np.nan), [1, 2]) is None
