"""The reference runs and the curve pictures that are drawn from them."""

import pytest

from tuning import figures, reference
from tuning.diagnosis import diagnose

SPOILERS = (
    "too_high",
    "too_low",
    "just",
    "right",
    "overfit",
    "collapsed",
    "diverged",
    "stalled",
    "learning rate",
    "5e-3",
)


@pytest.mark.parametrize("name", reference.names())
def test_a_reference_run_is_named_right_by_the_rules_of_today(name):
    run = reference.load(name)
    verdict = diagnose(run).verdict
    assert verdict == run.diagnosis["verdict"]
    expected = {
        "too_low": {"too low"},
        "just_right": {"just right"},
        "too_high": {"too high", "collapsed", "diverged"},
        "over-training": {"overfitting"},
    }
    assert verdict in expected.get(name.partition("-seed")[0], {verdict})


def test_the_pictures_are_the_same_bytes_each_time_and_those_that_are_stored(tmp_path):
    for path in figures.write(tmp_path):
        stored = figures.ASSETS / path.relative_to(tmp_path)
        assert path.read_bytes() == stored.read_bytes(), path.name


@pytest.mark.parametrize("letter", figures.CURVES)
def test_a_picture_for_learners_gives_nothing_away(letter):
    text = (figures.ASSETS / f"curve_{letter}.svg").read_text(encoding="utf-8").casefold()
    assert not [word for word in SPOILERS if word in text]
    words = figures.neutral(reference.load(figures.CURVES[letter]), letter).words.casefold()
    assert not [word for word in SPOILERS if word in words]


def test_the_reference_runs_stay_small():
    assert sum(path.stat().st_size for path in reference.FOLDER.glob("*.json")) < 300_000
