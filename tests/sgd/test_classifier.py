"""The backup lab's loop and its two-weight model, with the real bundled sentences."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info

from tuning import paths
from tuning.data import loading as sentences
from tuning.data.labels import LABELS
from tuning.dials import PRESETS, SgdDials
from tuning.runs import metrics, reference
from tuning.runs.store import last_run, load_predictions
from tuning.sgd import classifier
from tuning.sgd.surface import TwoWeights


@pytest.fixture(scope="module")
def data():
    return sentences.load()


@pytest.fixture(scope="module")
def splits(data):
    return sentences.split(data)


def train(data, splits, **dials):
    return classifier.train(classifier.features(splits, SgdDials(**dials)), data, splits)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.full) for seed in (4, 5))])
def test_the_three_presets_are_named_right_and_differ(data, splits, seed):
    low, right, high = (train(data, splits, LR_PRESET=preset, GROUP=seed) for preset in PRESETS)
    assert low.diagnosis["verdict"] == "too low"
    assert right.diagnosis["verdict"] == "just right"
    assert high.diagnosis["verdict"] in ("too high", "collapsed", "diverged")
    assert low.final["train_loss"] > right.final["train_loss"] + 0.5
    assert right.final["val_loss"] < min(low.final["val_loss"], high.final["val_loss"]) - 0.2
    assert right.final["val_f1_macro"] > max(low.final["val_f1_macro"], high.final["val_f1_macro"]) + 0.04


LOW, RIGHT, HIGH = {"too low"}, {"just right"}, {"too high", "collapsed", "diverged"}
SENSIBLE = {
    1e-6: LOW,
    3.7e-6: LOW,
    1.4e-5: LOW,
    5.2e-5: LOW,
    1.9e-4: LOW,
    7.2e-4: LOW,
    2.7e-3: LOW,
    1e-2: LOW,
    3.7e-2: LOW,
    0.14: LOW | RIGHT | {"unclear"},
    0.52: RIGHT,
    1.9: RIGHT,
    7.2: RIGHT,
    27.0: RIGHT,
    100.0: HIGH,
}


@pytest.mark.full
@pytest.mark.parametrize("rate", SENSIBLE)
def test_the_verdict_is_sensible_over_eight_powers_of_ten(data, splits, rate):
    assert train(data, splits, LR_PRESET=rate, GROUP=1).diagnosis["verdict"] in SENSIBLE[rate]


@pytest.mark.parametrize("rate", SENSIBLE)
def test_the_verdict_is_sensible_with_few_sentences_too(data, splits, rate):
    # 200 sentences gone over eight times invite overfitting, whatever the rate.
    sensible = SENSIBLE[rate] | ({"overfitting"} if SENSIBLE[rate] is RIGHT else set())
    assert train(data, splits, LR_PRESET=rate, GROUP=1, TRAIN_SUBSET=200).diagnosis["verdict"] in sensible


def test_the_recorded_sweep_shows_where_the_presets_lie():
    runs = sorted(map(reference.load, reference.names("backup-sweep")), key=lambda run: run.learning_rate)
    score = {run.learning_rate: run.final["val_f1_macro"] for run in runs}
    best = max(score, key=score.get)
    assert classifier.RATES["TOO_LOW"] < best / 100
    assert score[classifier.RATES["JUST_RIGHT"]] > max(score.values()) - 0.02
    assert classifier.RATES["TOO_HIGH"] > best * 10 and score[1000.0] < score[best] - 0.1


def test_a_run_is_recorded_like_those_of_the_main_lab(data, splits):
    run = train(data, splits, EPOCHS=2, TRAIN_SUBSET=80)
    kept = last_run(backup=True)
    assert kept.run_id == run.run_id
    assert [step["step"] for step in kept.steps] == list(range(1, 21))
    assert kept.steps[0]["loss"] == pytest.approx(np.log(3))
    assert kept.baseline["val_loss"] == pytest.approx(np.log(3))
    frame = load_predictions(kept)
    truth = frame["label"].map(sentences.LABELS.index).to_numpy()
    again = metrics.score(frame[list(sentences.LABELS)].to_numpy(), truth)
    assert again.accuracy == pytest.approx(kept.final["val_accuracy"])
    assert again.loss == pytest.approx(kept.final["val_loss"])


def test_the_same_seed_gives_the_same_numbers(data, splits):
    first, second = (train(data, splits, EPOCHS=1, TRAIN_SUBSET=80, GROUP=7) for _ in range(2))
    assert (first.steps, first.final) == (second.steps, second.final)


def test_training_keeps_to_one_thread_so_that_a_busy_core_does_not_stall_it(data, splits, monkeypatch):
    threads = []
    measure = classifier._measure

    def watched(*given, **named):
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return measure(*given, **named)

    monkeypatch.setattr(classifier, "_measure", watched)
    train(data, splits, EPOCHS=1, TRAIN_SUBSET=80)
    classifier.scores(classifier.features(splits, SgdDials(EPOCHS=1, TRAIN_SUBSET=80)))
    assert set(threads) <= {1}


def test_the_decaying_schedule_divides_by_the_root_of_the_step(data, splits):
    run = train(data, splits, EPOCHS=1, TRAIN_SUBSET=80, SCHEDULER="invscaling")
    rates = np.array([step["learning_rate"] for step in run.steps])
    counted = 1 + 8 * np.arange(len(rates))
    assert rates == pytest.approx(rates[0] / np.sqrt(counted))


def test_logits_are_log_probabilities_of_the_three_yes_or_no_models(splits):
    features = classifier.features(splits, SgdDials(TRAIN_SUBSET=200))
    model = classifier.classifier(features.dials).fit(features.train, features.train_labels)
    ours = np.exp(classifier.logits(model, features.validation))
    assert ours == pytest.approx(model.predict_proba(features.validation), abs=1e-9)


def test_noise_flips_the_promised_share_and_leaves_the_original_alone(splits):
    noisy = sentences.flip_labels(splits.validation, 0.25)
    changed = (noisy["label"] != splits.validation["label"]).mean()
    assert changed == pytest.approx(0.25, abs=0.001)
    assert splits.validation["label"].equals(sentences.split(sentences.load()).validation["label"])


def test_training_noise_leaves_validation_alone(splits):
    clean, noisy = (classifier.features(splits, SgdDials(LABEL_NOISE=share)) for share in (0.0, 0.25))
    assert (clean.validation_labels == noisy.validation_labels).all()
    assert np.mean(clean.train_labels != noisy.train_labels) == pytest.approx(0.25)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in (2, 3, 4, 5))])
def test_noise_does_what_the_notebook_says(splits, seed):
    score = {}
    for where, (share, noisy_judge) in {"none": (0, False), "train": (0.25, False), "both": (0.25, True)}.items():
        dials = SgdDials(GROUP=seed, LABEL_NOISE=share, NOISY_VALIDATION=noisy_judge)
        features = classifier.features(splits, dials)
        for preset in PRESETS:
            tuned = dataclasses.replace(dials, LR_PRESET=preset)
            score[where, preset] = classifier.scores(dataclasses.replace(features, dials=tuned))

    def change(preset: str, key: str) -> float:
        return score["train", preset][key] - score["none", preset][key]

    def lead(where: str) -> float:
        return score[where, "JUST_RIGHT"]["val_f1_macro"] - score[where, "TOO_HIGH"]["val_f1_macro"]

    assert change("JUST_RIGHT", "val_f1_macro") < -0.05 and change("TOO_HIGH", "val_f1_macro") < -0.03
    assert change("TOO_HIGH", "val_loss") > 5 * change("JUST_RIGHT", "val_loss") > 0
    assert abs(change("TOO_LOW", "val_f1_macro")) < 0.01
    assert score["both", "JUST_RIGHT"]["val_accuracy"] < 0.7
    assert lead("train") > 0.05 and lead("both") < min(lead("train"), lead("none"))


@pytest.fixture(scope="module")
def two_weights(splits):
    return TwoWeights(classifier.features(splits, SgdDials()))


def test_the_two_words_are_telling_and_the_gradient_is_the_slope(two_weights):
    point, step = np.array([3.0, -2.0]), 1e-5
    slopes = [
        (two_weights.loss(point + step * axis) - two_weights.loss(point - step * axis)) / (2 * step)
        for axis in np.eye(2)
    ]
    assert two_weights.gradient(point) == pytest.approx(slopes, abs=1e-8)


def test_the_lowest_point_is_that_of_scikit_learns_logistic_regression(two_weights):
    from tuning.sgd.surface import SPRING

    strength = 1 / (SPRING * len(two_weights.truth))
    reference = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10).fit(
        two_weights.inputs, two_weights.truth
    )
    assert two_weights.lowest() == pytest.approx(reference.coef_[0], rel=1e-3)


def test_below_the_stable_limit_full_steps_settle_and_above_it_they_do_not(two_weights):
    limit, lowest = two_weights.stable_limit(), two_weights.lowest()

    def distance_after(rate: float) -> float:
        point = lowest + 1e-3
        for _ in range(400):
            point = point - rate * two_weights.gradient(point)
        return float(np.linalg.norm(point - lowest))

    assert distance_after(0.95 * limit) < 1e-4
    assert distance_after(1.05 * limit) > 1e-2


def test_the_presets_walk_as_the_text_says(two_weights):
    ends = {preset: two_weights.walk(rate).losses for preset, rate in two_weights.rates().items()}
    best = two_weights.loss(two_weights.lowest())
    assert ends["TOO_LOW"][-1] > 0.9 * ends["TOO_LOW"][0]
    assert ends["JUST_RIGHT"][-10:].max() < best + 0.03
    assert np.std(ends["TOO_HIGH"][-20:]) > 3 * np.std(ends["JUST_RIGHT"][-20:])
    assert ends["TOO_HIGH"][-10:].min() > ends["TOO_HIGH"][0]


def test_the_goal_of_the_dial_is_reached_by_a_range_of_rates_and_lost_by_doubling(two_weights):
    goal = two_weights.loss(two_weights.lowest()) + 0.02
    reached = {rate: two_weights.walk(rate).losses[-10:].max() <= goal for rate in 5.0 * 2.0 ** np.arange(7)}
    good = [rate for rate, there in reached.items() if there]
    assert 5.0 not in good and len(good) >= 3
    assert max(good) < two_weights.stable_limit() / 2 and not any(reached[rate] for rate in reached if rate > max(good))


def test_the_backup_lab_imports_no_torch():
    modules = "tuning.sgd.classifier, tuning.sgd.surface, tuning.figures.curves, tuning.notebook.headless"
    code = f"import sys, {modules}; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(paths.LAB)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not {"'torch'", "'transformers'", "'datasets'", "'evaluate'"} & set(done.stdout.strip("[]\n").split(", "))


WITHOUT_WORDS = {
    "emoji": ("\U0001f4c9", "\U0001f610", "\U0001f680"),
    "letters between blanks": ("跌 了 ", "平 稳 ", "涨 了 "),
    "no blanks": ("公司第一季度利润大幅下跌", "公司第一季度利润保持平稳", "公司第一季度利润大幅上涨"),
}


@pytest.mark.parametrize("kind", WITHOUT_WORDS)
def test_texts_without_words_are_learned_sign_by_sign_and_that_is_said(kind, tmp_path):
    path = tmp_path / "mine.csv"
    rows = [
        f"{text * (number + 1)},{label}"
        for number in range(20)
        for text, label in zip(WITHOUT_WORDS[kind], LABELS, strict=True)
    ]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    found = sentences.load(str(path))
    features = classifier.features(sentences.split(found), SgdDials())
    assert "each letter or sign counts as a word" in features.notices[0]
    assert classifier.scores(features)["val_accuracy"] > 0.8


def test_texts_with_words_keep_them(splits):
    features = classifier.features(splits, SgdDials())
    assert features.notices == ()
    assert "profit" in features.vectorizer.vocabulary_
