"""Error analysis: tags, confidence, calibration, and what two models say of each other's mistakes."""

import numpy as np
import pandas as pd
import pytest

from tuning.data.labels import LABELS
from tuning.data.loading import load, split
from tuning.errors import RunError
from tuning.further import error_analysis
from tuning.runs.store import save_predictions


@pytest.fixture(scope="module")
def validation() -> pd.DataFrame:
    return split(load()).validation


@pytest.fixture
def answered(make_run, validation):
    """Write a run over the bundled validation sentences with given logits."""

    def write(logits: np.ndarray, run_id: str = "run-1"):
        run = make_run(run_id=run_id, dials={"DATA": "bundled"})
        run.data["sha256"] = load().sha256
        run.save()
        save_predictions(run.folder, validation["id"].tolist(), validation["label"].tolist(), logits)
        return run

    return write


def logits_for(frame: pd.DataFrame, right: np.ndarray, margin: float = 3.0) -> np.ndarray:
    """Logits that say the label where `right`, else the next label."""
    truth = np.array([LABELS.index(label) for label in frame["label"]])
    return margin * np.eye(3)[np.where(right, truth, (truth + 1) % 3)]


@pytest.fixture
def half_right(answered, validation):
    right = np.random.default_rng(0).random(len(validation)) < 0.5
    return answered(logits_for(validation, right)), right


def test_each_sentence_has_its_tags_and_what_was_said(half_right, validation):
    run, right = half_right
    frame = error_analysis.sentences(run)
    assert frame["right"].tolist() == right.tolist()
    assert frame["sentence"].tolist() == validation["sentence"].tolist()
    assert frame["phenomenon"].tolist() == validation["phenomenon"].tolist()
    top = np.exp(3) / (np.exp(3) + 2)
    assert frame["confidence"].tolist() == pytest.approx([top] * len(frame))
    assert frame["of_label"][right].to_numpy() == pytest.approx(top)
    assert frame["margin"].to_numpy() == pytest.approx((np.exp(3) - 1) / (np.exp(3) + 2))


def test_errors_by_tag_add_up_and_have_wilsons_interval(half_right):
    from tuning.runs.metrics import accuracy_interval

    frame = error_analysis.sentences(half_right[0])
    table = error_analysis.by_tag(frame, "phenomenon")
    assert table["sentences"].sum() == len(frame)
    assert table["errors"].sum() == (~frame["right"]).sum()
    assert table["share"].is_monotonic_decreasing
    first = table.iloc[0]
    assert (first["low"], first["high"]) == pytest.approx(
        accuracy_interval(int(first["errors"]), int(first["sentences"]))
    )


def test_the_picture_names_what_stands_out_and_nothing_else(answered, validation):
    wrong = (validation["phenomenon"] == "negation").to_numpy()
    words = error_analysis.tag_picture(error_analysis.sentences(answered(logits_for(validation, ~wrong)))).words
    assert "negation (phenomenon) 100%" in words
    assert "hedged" not in words


def test_the_most_confident_mistakes_come_first(answered, validation):
    right = np.ones(len(validation), dtype=bool)
    right[[3, 7, 11]] = False
    logits = logits_for(validation, right)
    logits[7] *= 3
    found = error_analysis.confident(error_analysis.sentences(answered(logits)))
    assert found.index[0] == str(validation["id"][7])
    assert len(found) == 3


def test_five_sentences_to_discuss_are_mistakes_of_different_phenomena(half_right):
    frame = error_analysis.sentences(half_right[0])
    found = error_analysis.to_discuss(frame)
    assert len(found) == 5
    assert found["phenomenon"].is_unique
    assert not frame.loc[found.index, "right"].any()
    assert found["phenomenon"].tolist() == error_analysis.by_tag(frame, "phenomenon").index[:5].tolist()


def test_data_without_tags_still_gives_sentences_and_says_what_is_missing(half_right, capsys):
    frame = error_analysis.sentences(half_right[0]).drop(columns=["phenomenon", "style"])
    assert len(error_analysis.to_discuss(frame)) == 5
    capsys.readouterr()
    assert error_analysis.tagged(error_analysis.sentences(half_right[0]))
    assert capsys.readouterr().out == ""
    assert not error_analysis.tagged(frame)
    assert "have no columns phenomenon and style, so this step is left out" in capsys.readouterr().out
    with pytest.raises(RunError, match="have no column phenomenon"):
        error_analysis.tag_picture(frame)


def test_a_perfect_model_has_no_mistakes_to_show(answered, validation):
    frame = error_analysis.sentences(answered(logits_for(validation, np.ones(len(validation), dtype=bool))))
    assert error_analysis.confident(frame).empty
    assert error_analysis.to_discuss(frame).empty
    assert error_analysis.doubted(frame, frame).empty
    assert error_analysis.sources(frame, frame)["errors"].tolist() == [0, 0, 0]


def test_the_calibration_error_of_a_known_case():
    confidence = np.array([0.55] * 10 + [0.95] * 10)
    right = np.array([1] * 5 + [0] * 5 + [1] * 9 + [0])
    assert error_analysis.calibration_error(confidence, right) == pytest.approx(0.05)
    table = error_analysis.bins(confidence, right)
    assert table["accuracy"].tolist() == [0.5, 0.9]
    assert table["sentences"].tolist() == [10, 10]


def test_the_calibration_error_is_that_of_the_definition():
    draw = np.random.default_rng(5)
    confidence = draw.uniform(1 / 3, 1, 600)
    right = draw.random(600) < confidence**2
    table = error_analysis.bins(confidence, right)
    by_hand = ((table["accuracy"] - table["confidence"]).abs() * table["sentences"]).sum() / 600
    assert error_analysis.calibration_error(confidence, right) == pytest.approx(by_hand)


def test_a_model_that_is_right_as_often_as_it_claims_shows_about_the_error_of_luck():
    draw = np.random.default_rng(6)
    confidence = draw.uniform(0.4, 1, 600)
    luck = error_analysis.luck_in_calibration(confidence)
    honest = [error_analysis.calibration_error(confidence, draw.random(600) < confidence) for _ in range(50)]
    assert np.mean(honest) == pytest.approx(luck, rel=0.1)
    assert error_analysis.calibration_error(confidence, draw.random(600) < confidence - 0.2) > 3 * luck


def test_calibration_is_told_with_its_direction(answered, validation):
    boastful = error_analysis.sentences(answered(logits_for(validation, np.arange(len(validation)) % 2 == 0, margin=6)))
    assert error_analysis.reliability(boastful).words.endswith("too sure of itself.")
    modest = error_analysis.sentences(answered(logits_for(validation, np.arange(len(validation)) % 10 > 0, margin=0.5)))
    assert error_analysis.reliability(modest).words.endswith("too modest.")


def test_a_second_seed_sorts_the_mistakes(answered, validation):
    size = len(validation)
    first = np.ones(size, dtype=bool)
    first[:30] = False
    second = first.copy()
    second[:10] = True
    logits, witness = logits_for(validation, first), logits_for(validation, second)
    # Ten of the mistakes of both are close calls.
    witness[10:20] *= 0.05
    frames = [error_analysis.sentences(answered(one, f"run-{name}")) for name, one in (("1", logits), ("2", witness))]
    assert error_analysis.sources(*frames)["errors"].to_dict() == {"model": 10, "border": 10, "data": 10}


def test_labels_worth_a_second_look_are_doubted_by_both(answered, validation):
    right = np.ones(len(validation), dtype=bool)
    right[:8] = False
    sure, unsure = logits_for(validation, right, 5), logits_for(validation, right, 5)
    unsure[:4] *= 0.1
    frames = [error_analysis.sentences(answered(one, f"run-{name}")) for name, one in (("1", sure), ("2", unsure))]
    found = error_analysis.doubted(*frames, count=20)
    assert set(found.index) == set(validation["id"].astype(str)[4:8])


def test_two_models_side_by_side_differ_most_where_they_differ(answered, validation):
    wrong = (validation["phenomenon"] == "reversal").to_numpy()
    frames = {
        "one": error_analysis.sentences(answered(logits_for(validation, ~wrong), "run-1")),
        "other": error_analysis.sentences(
            answered(logits_for(validation, np.ones(len(validation), dtype=bool)), "run-2")
        ),
    }
    table = error_analysis.side_by_side(frames)
    assert table.index[0] == "reversal"
    assert table.iloc[0]["one"].startswith("100% (")
    assert table.iloc[0]["other"].startswith("0% (0% to")


def test_a_diverged_run_and_changed_sentences_are_refused(answered, validation, make_run):
    run = answered(np.full((len(validation), 3), np.nan))
    with pytest.raises(RunError, match="this run diverged"):
        error_analysis.sentences(run)
    run.data["sha256"] = "1" * 64
    with pytest.raises(RunError, match="has changed since this run"):
        error_analysis.sentences(run)
