"""The reference runs and the curve pictures that are drawn from them."""

import json

import pytest

from maintain import clinic_cases, curve_figures, redraw, reference_runs
from tuning.errors import EncoderError, RunError
from tuning.runs import reference
from tuning.runs.diagnosis import diagnose

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


@pytest.mark.parametrize("name", [*reference.names(), *reference.names(reference_runs.FP32)])
def test_a_reference_run_is_named_right_by_the_rules_of_today(name):
    run = reference.load(name)
    verdict = diagnose(run).verdict
    assert verdict == run.diagnosis["verdict"]
    expected = {
        "too_low": {"too low"},
        "just_right": {"just right"},
        "too_high": {"too high", "collapsed", "diverged"},
        "over-training": {"overfitting"},
        "over-fitting": {"overfitting"},
    }
    assert verdict in expected.get(name.removeprefix(reference_runs.FP32).partition("-seed")[0], {verdict})


def test_the_pictures_are_the_same_bytes_each_time_and_those_that_are_stored(tmp_path):
    for path in curve_figures.write(tmp_path):
        stored = curve_figures.ASSETS / path.relative_to(tmp_path)
        assert path.read_bytes() == stored.read_bytes(), path.name


@pytest.mark.parametrize("letter", curve_figures.CURVES)
def test_a_picture_for_learners_gives_nothing_away(letter):
    text = (curve_figures.ASSETS / f"curve_{letter}.svg").read_text(encoding="utf-8").casefold()
    assert not [word for word in SPOILERS if word in text]
    words = curve_figures.neutral(reference.load(curve_figures.CURVES[letter]), letter).words.casefold()
    assert not [word for word in SPOILERS if word in words]


def test_distilberts_runs_stand_beside_the_built_in_encoders_and_not_in_their_place():
    own, embedded = (
        {name for name in reference_runs.plan(model) if not name.startswith(reference_runs.BACKUP)}
        for model in ("distilbert", "embedded")
    )
    assert {name.replace(reference_runs.DISTILBERT, "") for name in own} == embedded
    assert not own & embedded
    assert reference_runs.thinning("distilbert-sweep-01") == reference_runs.SWEEP_THINNING
    assert reference_runs.thinning("distilbert-just_right-seed1") == reference_runs.WHOLE


@pytest.fixture
def with_distilbert(tmp_path, monkeypatch):
    """All records, and each of the main lab's once more in DistilBERT's name."""
    for name in reference.names():
        record = json.loads((reference.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        (tmp_path / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
        if not name.startswith(reference_runs.BACKUP):
            record["encoder"]["name"], record["run_id"] = "distilbert-base-uncased", f"{record['run_id']}-d"
            (tmp_path / f"distilbert-{name}.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    return tmp_path


def test_curves_and_clinic_are_drawn_from_distilbert_once_all_of_its_runs_are_there(with_distilbert, tmp_path):
    assert {run.encoder["name"] for run in curve_figures.curve_runs().values()} == {"distilbert-base-uncased"}
    assert {run.encoder["name"] for run in clinic_cases.recorded().values()} == {"distilbert-base-uncased"}
    assert all(name.startswith(reference_runs.FP32) for name in redraw.missing())
    written = redraw.draw(tmp_path / "drawn")
    assert {"curve_d.png", "clinic.html"} <= {path.name for path in written}
    (with_distilbert / "distilbert-sweep-01.json").unlink()
    assert {run.encoder["name"] for run in curve_figures.curve_runs().values()} == {"all-MiniLM-L6-v2"}
    assert "sweep-01" in redraw.missing()


def test_curves_that_would_show_one_cause_twice_are_named(with_distilbert):
    (with_distilbert / "distilbert-too_low-seed3.json").write_bytes(
        (with_distilbert / "distilbert-just_right-seed3.json").read_bytes()
    )
    with pytest.raises(RunError, match="C just right"):
        redraw.draw(with_distilbert / "drawn")


def test_no_other_encoder_is_recorded_in_the_place_of_distilbert(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKSHOP_MODELS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    before = reference.names()
    with pytest.raises(EncoderError, match="one of the encoder that was asked for"):
        reference_runs.record("distilbert", ["too_low-seed1"])
    assert reference.names() == before


def test_the_readmes_picture_is_of_a_run_under_way_without_its_preset():
    run = reference.load(curve_figures.LIVE)
    picture = curve_figures.live(run)
    top = picture.figure.axes[0]
    assert top.get_title(loc="left") == ""
    assert max(top.lines[0].get_xdata()) < run.steps[-1]["step"] <= top.get_xlim()[1]
    assert curve_figures.LIVE not in curve_figures.CURVES.values()


def test_the_reference_runs_stay_small():
    assert sum(path.stat().st_size for path in reference.FOLDER.glob("*.json")) < 2_000_000


def test_runs_that_a_curve_is_drawn_from_are_kept_whole():
    drawn = {*curve_figures.CURVES.values(), curve_figures.LIVE}
    for name in drawn | {name for name in reference.names() if reference_runs.thinning(name) == reference_runs.WHOLE}:
        steps = [step["step"] for step in reference.load(name).steps]
        assert steps == list(range(1, len(steps) + 1)), name
