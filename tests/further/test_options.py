"""What the options of Going Further share: Run 1, its variations, their comparison, and the schedules' pictures."""

import numpy as np
import pytest

from tuning.cost import estimate
from tuning.cost.workload import Speed
from tuning.data.labels import LABELS
from tuning.data.loading import load
from tuning.dials import TRAINED_PARTS, Dials, FrozenDials, FurtherDials
from tuning.encoder import finding as encoders
from tuning.errors import RunError
from tuning.evidence import experiment_log
from tuning.further import comparison, run_one, schedules, variations
from tuning.room.adoption import adopt
from tuning.room.share import line
from tuning.runs import energy
from tuning.runs.record import FURTHER_NOTEBOOK
from tuning.runs.store import ADAPTER, COMPARISON_FILE, last_run, save_predictions
from tuning.training import machine

SETUP = FurtherDials()
SPEED = Speed(step=0.05, token=2e-4, read=1e-4, fixed=1.0, source="a test")


@pytest.fixture
def kept(make_run, keep_run, monkeypatch, tmp_path):
    """Write runs as if they had been trained here with the embedded encoder; nothing is trained."""
    monkeypatch.setattr("tuning.runs.reference.FOLDER", tmp_path)
    encoder = encoders.find("embedded")

    def write(run_id: str = "run-1", minutes: float = 0, **changed):
        dials = FrozenDials(**({"MODEL": "embedded"} | changed.pop("dials", {})))
        values = dials.as_dict()
        if dials.TRAINED == "everything":
            values.pop("TRAINED")
        parts = {
            "run_id": run_id,
            "rate": encoder.rate(dials.LR_PRESET),
            "encoder": {"name": "e", "source": "embedded", "revision": encoder.revision, "parameters": 1},
            "versions": machine.versions(),
            "diagnosis": {"verdict": "just right", "reasons": [], "next_dial": ""},
            "seed": dials.seed,
        }
        run = make_run(**(parts | changed))
        run.dials = values
        run.data["sha256"] = load().sha256
        return keep_run(run, minutes=minutes, logits=changed.get("logits"))

    return write


@pytest.fixture
def no_training(monkeypatch):
    def refuse(dials, *rest, **more):
        raise AssertionError(f"trained: {dials}")

    monkeypatch.setattr("tuning.training.fit.fit", refuse)


def test_run_1_is_the_last_run_of_the_main_lab(kept, no_training):
    kept("run-1", minutes=9)
    kept("run-2", minutes=5)
    kept("run-3", notebook=FURTHER_NOTEBOOK)
    assert run_one.first(SETUP).run_id == "run-2"
    assert run_one.first(FurtherDials(RUN_1="run-1")).run_id == "run-1"
    assert last_run().run_id == "run-2"


def test_run_1_can_be_named_by_its_dials(kept, no_training, capsys):
    kept("run-1", minutes=9, dials={"EPOCHS": 1})
    kept("run-2", minutes=5)
    wanted = FurtherDials(DIALS={"EPOCHS": "1", "MODEL": "embedded"})
    assert run_one.first(wanted).run_id == "run-1"
    assert "run-1 is in your log already" in capsys.readouterr().out


def trained(monkeypatch) -> list:
    """Dials that would be trained; each training ends at once as an interrupted one does, and no speed is measured."""
    asked = []
    monkeypatch.setattr("tuning.cost.estimate.probe", lambda dials, encoder: SPEED)

    def stop(dials, *rest, **more):
        asked.append(dials)
        raise RunError("enough")

    monkeypatch.setattr("tuning.training.fit.fit", stop)
    return asked


def test_without_a_run_one_with_the_default_dials_is_trained(monkeypatch, kept, capsys):
    monkeypatch.setattr(encoders, "find", lambda model, find=encoders.find: find("embedded"))
    kept("run-1", notebook="02")
    asked = trained(monkeypatch)
    with pytest.raises(RunError, match="enough"):
        run_one.first(SETUP)
    assert asked == [Dials()]
    told = capsys.readouterr().out.splitlines()
    assert told[-2].startswith("There is no run of the main lab in your log yet, so Run 1 is trained now")
    assert told[-1].startswith("To do: 1 run, about ")


def test_an_adopted_run_is_trained_again_with_its_dials(monkeypatch, kept, make_run, capsys):
    theirs = make_run(dials={"GROUP": 7, "EPOCHS": 3, "MODEL": "embedded"}, run_id="run-7")
    adopt(line(theirs, "Blue 4"))
    asked = trained(monkeypatch)
    with pytest.raises(RunError, match="enough"):
        run_one.first(SETUP)
    assert [(dials.GROUP, dials.EPOCHS) for dials in asked] == [(7, 3)]
    assert "run-7 was adopted from Blue 4" in capsys.readouterr().out


def test_an_adopted_run_on_a_file_of_the_groups_own_cannot_be_repeated(kept, make_run):
    adopt(line(make_run(dials={"DATA": "mine.csv"}, run_id="run-7"), "Blue 4"))
    with pytest.raises(RunError, match="DATA was a file of the group's own"):
        run_one.first(SETUP)


@pytest.mark.parametrize("change", ["data", "encoder"])
def test_a_run_whose_material_has_changed_is_made_anew(monkeypatch, kept, change, capsys):
    run = kept("run-1")
    if change == "data":
        run.data["sha256"] = "1" * 64
    else:
        run.encoder["revision"] = "another"
    run.save()
    asked = trained(monkeypatch)
    with pytest.raises(RunError, match="enough"):
        run_one.first(SETUP)
    assert asked == [Dials(MODEL="embedded")]
    assert "Run 1 is one with the same dials, made here" in capsys.readouterr().out


def test_a_run_of_the_backup_lab_is_no_run_1(kept):
    kept("run-1", notebook="02")
    with pytest.raises(RunError, match="is a run of the backup lab"):
        run_one.first(FurtherDials(RUN_1="run-1"))


def test_a_run_that_trained_a_part_only_is_no_run_1(kept):
    kept("run-1", dials={"TRAINED": "head only"}, notebook=FURTHER_NOTEBOOK)
    with pytest.raises(RunError, match=r"run-1 trained a part of the model only \(head only\)"):
        run_one.first(FurtherDials(RUN_1="run-1"))


def test_a_forecast_counts_only_what_is_not_in_the_log(monkeypatch, kept):
    monkeypatch.setattr("tuning.cost.estimate.known", lambda dials, encoder: SPEED)
    run_1 = kept("run-1", minutes=9)
    kept("run-2", dials={"SCHEDULER": "linear"}, notebook=FURTHER_NOTEBOOK)
    constant, linear, cosine = ({"SCHEDULER": name} for name in ("constant", "linear", "cosine"))
    one = estimate.clock(SPEED.seconds(estimate.work(Dials(MODEL="embedded"))))
    told = variations.forecast(run_1, FurtherDials(WATTS=40, PRICE_PER_HOUR=2), constant, linear, cosine)
    assert told.startswith(f"To do: 1 run, about {one} (from a test), ")
    assert "at 40 W" in told
    assert "at 2 an hour" in told
    assert (
        variations.forecast(run_1, SETUP, constant, linear) == "To do: no training. All of it is in your log already."
    )
    seeds = variations.missing_seeds(run_1)
    assert seeds == [{"GROUP": 1}, {"GROUP": 2}]
    assert variations.forecast(run_1, SETUP, linear, *seeds).startswith("To do: 2 runs, ")
    work = estimate.Work(steps=100, tokens=1000, read=0, epochs=0)
    assert variations.forecast(run_1, SETUP, more=[work, work]).startswith(
        "To do: 2 trainings, most of them short, about 0:12"
    )


def test_freezing_is_forecast_shorter_the_less_learns(kept):
    encoder = encoders.find("embedded")
    parts = [FrozenDials(MODEL="embedded", TRAINED=part) for part in TRAINED_PARTS]
    seconds = [estimate.for_part(SPEED, dials, encoder).seconds(estimate.work(dials, encoder)) for dials in parts]
    assert seconds == sorted(seconds)
    lora = FrozenDials(MODEL="embedded", TRAINED="LoRA 8")
    assert seconds[0] < estimate.for_part(SPEED, lora, encoder).seconds(estimate.work(lora, encoder)) < seconds[-1]
    assert seconds[-1] == SPEED.seconds(estimate.work(Dials(MODEL="embedded"), encoder))
    # The way there is a third of the work with a token.
    assert estimate.for_part(SPEED, parts[0], encoder).token == pytest.approx(SPEED.token / 3)


def test_a_variation_is_found_in_the_log_and_not_trained_again(kept, no_training):
    run_1 = kept("run-1", minutes=9)
    linear = kept("run-2", dials={"SCHEDULER": "linear"}, notebook=FURTHER_NOTEBOOK)
    frozen = kept("run-3", dials={"TRAINED": "head only", "LR_PRESET": 1e-3}, notebook=FURTHER_NOTEBOOK)
    assert variations.vary(run_1, "constant", SCHEDULER="constant") is run_1
    assert variations.vary(run_1, "everything", TRAINED="everything") is run_1
    assert variations.vary(run_1, "linear", SCHEDULER="linear").run_id == linear.run_id
    assert variations.vary(run_1, "head", TRAINED="head only", LR_PRESET=1e-3).run_id == frozen.run_id


def test_a_run_whose_adapter_is_gone_is_trained_again(monkeypatch, kept):
    run_1 = kept("run-1", minutes=9)
    lora = kept("run-2", dials={"TRAINED": "LoRA 8"}, adapter={"kind": "LoRA"}, notebook=FURTHER_NOTEBOOK)
    (lora.folder / ADAPTER).mkdir()
    assert variations.vary(run_1, "LoRA", TRAINED="LoRA 8").run_id == lora.run_id
    (lora.folder / ADAPTER).rmdir()
    asked = trained(monkeypatch)
    with pytest.raises(RunError, match="enough"):
        variations.vary(run_1, "LoRA", TRAINED="LoRA 8")
    assert [dials.TRAINED for dials in asked] == ["LoRA 8"]


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "interrupted"},
        {"versions": {"torch": "1.0"}},
        {"rate": 9e-5},
        {"notebook": "02"},
    ],
)
def test_a_run_made_otherwise_is_no_variation(monkeypatch, kept, changed):
    run_1 = kept("run-1", minutes=9)
    kept("run-2", dials={"SCHEDULER": "linear"}, **changed)
    asked = trained(monkeypatch)
    with pytest.raises(RunError, match="enough"):
        variations.vary(run_1, "linear", SCHEDULER="linear")
    assert asked == [Dials(MODEL="embedded", SCHEDULER="linear")]


def test_a_preset_whose_rate_has_moved_keeps_the_rate_of_run_1(monkeypatch, kept):
    run_1 = kept("run-1", rate=3.3e-5)
    asked = trained(monkeypatch)
    with pytest.raises(RunError, match="enough"):
        variations.vary(run_1, "linear", SCHEDULER="linear")
    assert asked[0].LR_PRESET == 3.3e-5


def test_the_stop_button_stops_the_whole_cell(monkeypatch, kept):
    run_1 = kept("run-1")
    half = kept("run-2", dials={"EPOCHS": 9}, outcome="interrupted")
    monkeypatch.setattr("tuning.training.fit.fit", lambda *rest, **more: half)
    with pytest.raises(RunError, match="linear was stopped by hand"):
        variations.vary(run_1, "linear", SCHEDULER="linear")


def test_what_changed_is_said_by_dial(kept):
    run_1 = kept("run-1")
    other = kept("run-2", dials={"SCHEDULER": "linear", "GROUP": 2})
    assert comparison.changed(run_1, other) == "SCHEDULER = linear, GROUP = 2"
    assert comparison.changed(run_1, run_1) == "nothing"
    frozen = kept("run-3", dials={"TRAINED": "head only"})
    assert comparison.changed(run_1, frozen) == "TRAINED = head only"
    assert comparison.changed(run_1, kept("run-4", notebook="02")).startswith("another model")


def test_the_summary_has_a_row_for_each_run_and_its_assumptions(kept):
    run_1, linear = kept("run-1"), kept("run-2", dials={"SCHEDULER": "linear"})
    setup = FurtherDials(WATTS=60, PRICE_PER_HOUR=1.2)
    table = comparison.summary(run_1, {"constant": run_1, "linear": linear}, setup)
    assert table.index.tolist() == ["Run 1", "linear"]
    assert table["changed"].tolist() == ["nothing", "SCHEDULER = linear"]
    assert energy.WHOLE_RUN in table and "seconds" not in table
    assert table["energy"].tolist() == ["0.50 Wh at 60 W"] * 2
    assert table["money (at 1.2 an hour)"].tolist() == ["0.0100", "0.0100"]
    linear.timing["energy_wh"] = 0.25
    assert comparison.summary(run_1, {"linear": linear}, setup)["energy"].tolist()[1] == "0.25 Wh measured"


def test_the_text_for_the_worksheet_is_kept_with_the_run(kept):
    truth = [0, 1, 2] * 20
    run_1, linear = kept("run-1"), kept("run-2", dials={"SCHEDULER": "linear"})
    for run, wrong in ((run_1, 12), (linear, 3)):
        said = np.array([(label + (row < wrong)) % 3 for row, label in enumerate(truth)])
        ids = [f"s{row}" for row in range(60)]
        save_predictions(run.folder, ids, [LABELS[label] for label in truth], 5 * np.eye(3)[said])
    experiment_log.append(run_1)
    experiment_log.append(linear)
    text = comparison.for_worksheet("A", run_1, {"linear": linear}, FurtherDials(WATTS=60, PRICE_PER_HOUR=1.2))
    assert "Option: A, schedule comparison" in text
    assert "from Run 1 (run-1): Run 2, linear: SCHEDULER = linear (run-2)" in text
    assert "What happened: linear is better than Run 1 by 15.0 points of macro-F1; between" in text
    assert (linear.folder / COMPARISON_FILE).read_text() == text + "\n"
    # The log says the same, with the energy and cost that the notebook showed.
    rows = experiment_log.read_log().set_index("Run ID")
    assert rows.index.tolist() == ["run-1", "run-2"]
    told = rows.loc["run-2", "Notes"]
    assert told.startswith("Run 2 of option A; Run 1 is run-1. linear is better than Run 1 by 15.0 points of macro-F1;")
    assert told.endswith(": shown.")
    assert rows["Energy (Wh)"].tolist() == ["0.500", "0.500"]
    assert rows["Energy from"].tolist() == ["60 W assumed"] * 2
    assert rows["Cost"].tolist() == ["0.01000", "0.01000"]
    assert rows["Cost from"].tolist() == ["1.2 an hour assumed"] * 2


def test_options_of_one_run_are_kept_one_below_the_other(kept):
    run_1 = kept("run-1")
    first, second, again = (comparison.written(option, "changed", "so", run_1) for option in "GIG")
    assert first == again != second
    assert (run_1.folder / COMPARISON_FILE).read_text(encoding="utf-8") == f"{second}\n\n{again}\n"


def test_a_learners_note_in_the_log_stays_and_a_lost_row_comes_back(kept):
    run_1 = kept("run-1")
    experiment_log.amend(run_1, "mine")
    experiment_log.amend(run_1, "the notebook's", watts=40)
    rows = experiment_log.read_log()
    assert rows["Notes"].tolist() == ["mine"]
    assert rows["Energy from"].tolist() == ["40 W assumed"]


def test_the_introduction_warns_of_a_run_that_learned_nothing(kept):
    assert "will show little" not in run_one.introduction(kept("run-1"))
    stalled = kept("run-2", diagnosis={"verdict": "too low", "reasons": [], "next_dial": ""})
    assert "It has not learned what it could" in run_one.introduction(stalled)


def test_runs_that_differ_in_the_seed_alone(kept, make_run):
    run_1 = kept("run-1", minutes=9)
    kept("run-2", dials={"GROUP": 2})
    kept("run-3", dials={"GROUP": 3, "EPOCHS": 3})
    kept("run-4", dials={"GROUP": 4, "TRAINED": "head only"})
    kept("run-5", dials={"GROUP": 5}, rate=1e-3)
    kept("run-6", dials={"GROUP": 6}, outcome="diverged")
    kept("run-7", dials={"GROUP": 2}, minutes=5)
    assert [run.run_id for run in variations.same_but_seed(run_1)] == ["run-1", "run-2"]
    assert variations.another_seed(run_1) == 1
    assert variations.another_seed(run_1, [1, 2]) == 3


def test_missing_seeds_are_trained(monkeypatch, kept):
    run_1 = kept("run-1", minutes=9)
    kept("run-2", dials={"GROUP": 1})
    asked = trained(monkeypatch)
    with pytest.raises(RunError, match="enough"):
        variations.seeds(run_1)
    assert asked == [Dials(MODEL="embedded", GROUP=2)]
    assert [run.run_id for run in variations.seeds(run_1, least=2)] == ["run-1", "run-2"]


def test_the_backup_labs_run_comes_from_the_log_or_is_trained_in_seconds(kept, capsys):
    run_1 = kept("run-1", dials={"TRAIN_SUBSET": 60})
    run_1.data["train_used"] = 60
    made = variations.backup_run(run_1)
    assert "was trained now, in" in capsys.readouterr().out
    assert (made.notebook, made.data["train_used"]) == ("02", 60)
    assert variations.backup_run(run_1).run_id == made.run_id
    assert "From your log" in capsys.readouterr().out


# Pictures of option A


def test_schedules_are_told_with_where_their_rate_ends(make_run):
    runs = {}
    for name, ends in (("constant", 1.0), ("linear", 0.01)):
        run = make_run(dials={"SCHEDULER": name})
        for step, share in zip(run.steps, np.linspace(1, ends, len(run.steps)), strict=True):
            step["learning_rate"] = 1e-4 * share
        runs[name] = run
    words = schedules.tracks(runs).words
    assert "constant: rate ends at 1.0e-04, validation loss 0.60" in words
    assert "linear: rate ends at 1.0e-06" in words


@pytest.mark.parametrize(
    ("by_schedule", "by_seed", "apart", "told"),
    [
        ([0.70, 0.71, 0.72], [0.60, 0.70, 0.80], "by 1.3 points", "3 seeds by 13.3: no more than luck."),
        ([0.50, 0.80], [0.70, 0.71, 0.70, 0.71], "by 30.0 points", "4 seeds by 0.7: more than luck."),
    ],
)
def test_schedules_are_held_against_luck(by_schedule, by_seed, apart, told):
    found = schedules.verdict(by_schedule, by_seed)
    assert apart in found
    assert found.endswith(told)


def test_the_picture_of_schedules_and_seeds_says_its_verdict(make_run):
    by_schedule = {name: make_run(final={"val_f1_macro": f1}) for name, f1 in (("constant", 0.7), ("linear", 0.72))}
    seeds = [make_run(final={"val_f1_macro": f1}, dials={"GROUP": seed}) for seed, f1 in ((1, 0.6), (2, 0.8))]
    picture = schedules.against_seeds(by_schedule, seeds)
    assert picture.words == schedules.verdict([0.7, 0.72], [0.6, 0.8])
    assert picture.png().startswith(b"\x89PNG")
