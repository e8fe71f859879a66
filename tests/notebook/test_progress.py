"""Checkpoints: what is done and what is missing, from what lies on disk, and never an exception."""

import json
import re

import pytest

from tuning import paths
from tuning.dials import Dials
from tuning.evidence import predictions, worksheet
from tuning.evidence.worksheet import TEMPLATE
from tuning.evidence.worksheet_blocks import DIFFERENCE, GO_ON
from tuning.notebook import activities, progress
from tuning.notebook.activities import NAMES
from tuning.notebook.progress import report
from tuning.room import adoption, share
from tuning.runs.store import ADOPTED_FILE

ANSWER = "The loss fell quickly at first, then each further epoch bought us almost nothing."
RUN_ID = "20260105-090000-just-right"


def missing(name: str) -> list[str]:
    """What a checkpoint calls missing, without the advice."""
    lines = report(name).splitlines()
    return [line.removeprefix("  [missing]  ").partition(":")[0] for line in lines if line.startswith("  [missing]")]


def done(name: str) -> int:
    return report(name).count("[done]")


def write(text: str) -> None:
    paths.work().mkdir(exist_ok=True)
    worksheet.worksheet_file().write_text(text, encoding="utf-8")


def answer(*places: str) -> None:
    """Write an answer under each heading of the worksheet."""
    lines = worksheet.read_worksheet().splitlines()
    for place in places:
        heading = f"## Part {place}:" if len(place) == 1 else f"### {place}."
        at = next(number for number, line in enumerate(lines) if line.startswith(heading))
        lines.insert(at + 3, ANSWER)
    write("\n".join(lines))


def fill(block: str, **fields: str) -> None:
    """Type behind the fields of a block: of ``Baseline``, or of the run that is named (an empty block becomes its)."""
    text = worksheet.read_worksheet()
    if f"- Run ID: {block}" not in text:
        text = text.replace("- Run ID:\n", f"- Run ID: {block}\n", 1)
    start = text.index(f"- Run ID: {block}")
    above, below = text[:start], text[start:]
    for name, value in fields.items():
        below = re.sub(rf"- {re.escape(name)}:.*", f"- {name}: {value}", below, count=1)
    write(above + below)


def introduce() -> None:
    """Fill in the top of the worksheet."""
    filled = worksheet.read_worksheet().replace("| Group and preset | |", "| Group and preset | Blue 4, TOO_LOW |")
    write(filled.replace("| Role (driver, logger, observer) | |", "| Role (driver, logger, observer) | logger |"))


def predicted(run):
    """Store a prediction for the dials of a run and give the run a start after it."""
    predictions.predict(Dials(**run.dials), "moving", 0.7, "the rate looks usual")
    run.started = "2099-01-01T09:00:00+00:00"
    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_an_empty_desk_has_a_title_and_a_count(name):
    lines = report(name).splitlines()
    assert lines[0] == activities.load(name).heading
    marked = [line for line in lines[1:-1] if not line.startswith(" " * 13)]
    assert marked
    assert all(line.startswith(("  [done]     ", "  [missing]  ")) for line in marked)
    assert lines[-1] == f"  {done(name)} of {len(marked)} done."


def test_the_first_checkpoint_makes_the_learners_copy():
    assert not worksheet.worksheet_file().exists()
    told = report("activity-1")
    assert "[done]     Your copy of the worksheet is" in told
    assert worksheet.worksheet_file().read_text(encoding="utf-8") == TEMPLATE.read_text(encoding="utf-8")


def test_a_checkpoint_changes_nothing_that_is_there():
    write("my own words")
    for name in NAMES:
        report(name)
    assert worksheet.worksheet_file().read_text(encoding="utf-8") == "my own words"


def test_activity_1_needs_its_four_answers():
    assert missing("activity-1") == [
        "A1, what happened in each curve",
        "A2, which dial first",
        "A3, what felt familiar",
        "A4, one curve for a colleague",
    ]
    answer("A1", "A2", "A3", "A4")
    assert missing("activity-1") == []
    assert report("activity-1").endswith("5 of 5 done. Complete: go on.")


def test_activity_2_needs_the_baseline_and_the_majority():
    assert len(missing("activity-2")) == 2
    fill("Baseline", **{"Val loss": "1.101", "Accuracy": "0.25", "F1-macro": "very low"})
    assert len(missing("activity-2")) == 2, "words in a field of numbers are no number"
    fill("Baseline", **{"F1-macro": "0.18"})
    assert [item.split(" ")[1] for item in missing("activity-2")] == ["majority"]
    fill("Baseline", Notes="majority: accuracy 0.57, macro-F1 0.24")
    assert missing("activity-2") == []


def test_a_baseline_that_the_code_knows_counts_but_not_as_the_majority(make_run, keep_run):
    keep_run(make_run())
    assert [item.split(" ")[1] for item in missing("activity-2")] == ["majority"]


def test_activity_3_follows_a_group_from_prediction_to_note(make_run, keep_run):
    run = make_run(dials={"GROUP": 4})
    assert len(missing("activity-3")) == 7
    introduce()
    assert len(missing("activity-3")) == 6
    keep_run(predicted(run))
    assert "A prediction, stored before its run" not in missing("activity-3")
    share.share_line(run, "Blue 4")
    worksheet.fill_worksheet()
    assert missing("activity-3") == [
        "A note of yours on the run (Part B, with its Run ID)",
        "What the difference between prediction and result tells you",
    ]
    fill("just-right", Notes="slower than expected, more epochs")
    fill("just-right", **{DIFFERENCE: "our anchor was too low"})
    assert missing("activity-3") == []


def test_a_prediction_made_after_the_run_does_not_count(make_run, keep_run):
    run = keep_run(make_run())
    predictions.predict(Dials(**run.dials), "moving")
    assert "A prediction, stored before its run" in missing("activity-3")


def test_a_group_without_a_number_that_shares_its_run_is_a_group(make_run, keep_run):
    run = keep_run(make_run())
    assert "All three presets" in report("activity-3")
    share.share_line(run, "Blue 4")
    told = report("activity-3")
    assert "All three presets" not in told
    assert "[done]     The run is shared with the room" in told


@pytest.mark.parametrize("group", [None, 1], ids=["shared", "shared and numbered"])
def test_who_writes_alone_stays_alone(make_run, keep_run, group):
    run = keep_run(make_run(dials={"GROUP": group}))
    share.share_line(run, "Blue 4")
    write(worksheet.read_worksheet().replace("| Group and preset | |", "| Group and preset | Alone, all three |"))
    assert "still to run: TOO_LOW, TOO_HIGH" in report("activity-3")


def test_a_learner_alone_runs_all_three_presets(make_run, keep_run):
    keep_run(make_run())
    assert "still to run: TOO_LOW, TOO_HIGH" in report("activity-3")
    for number, preset in enumerate(("TOO_LOW", "TOO_HIGH")):
        keep_run(make_run(dials={"LR_PRESET": preset}, run_id=f"20260105-09100{number}-other"))
    assert "[done]     All three presets (you work alone)" in report("activity-3")


def test_an_adopted_run_counts_as_the_learners(make_run, capsys):
    line = share.line(make_run(dials={"GROUP": 4}), "Blue 4", "moving", 0.7)
    adoption.adopt(line)
    capsys.readouterr()
    introduce()
    assert missing("activity-3") == [
        "A note of yours on the run (Part B, with its Run ID)",
        "What the difference between prediction and result tells you",
    ]


def test_activity_4_needs_a_run_and_three_texts(make_run, keep_run):
    assert len(missing("activity-4")) == 4
    keep_run(make_run())
    answer("B1", "C3", "C6")
    assert missing("activity-4") == []


def budget_run(make_run, **changed):
    steps = [{"step": 900, "epoch": 3.0, "loss": 0.5, "grad_norm": 1.0, "learning_rate": 1e-4}]
    data = make_run().data | {"train_used": 1600}
    return make_run(
        run_id="20260105-130000-budget", dials={"EPOCHS": 3, "TRAIN_SUBSET": 1600}, data=data, steps=steps, **changed
    )


def test_activity_5_needs_convergence_budget_and_the_test_part(make_run, keep_run):
    keep_run(make_run())
    assert len(missing("activity-5")) == 4
    fill("just-right", **{GO_ON: "go on, it still falls"})
    assert [item.split(" ")[0] for item in missing("activity-5")] == ["A", "Its", "C4,"]
    keep_run(budget_run(make_run))
    assert [item.split(" ")[0] for item in missing("activity-5")] == ["Its", "C4,"]
    opened = {"opened": "2026-01-05T13:50:00+00:00", "accuracy": 0.7, "f1_macro": 0.6, "loss": 0.7, "size": 250}
    keep_run(budget_run(make_run, test=opened))
    answer("C4")
    assert missing("activity-5") == []


def test_a_run_over_the_budget_does_not_count(make_run, keep_run):
    run = budget_run(make_run)
    run.data["train_used"] = 1601
    keep_run(run)
    assert any("budget round" in item for item in missing("activity-5"))


def test_activities_6_7_and_going_further_need_their_texts(make_run, keep_run):
    answer("C5")
    assert missing("activity-6") == []
    keep_run(make_run())
    answer("D")
    assert missing("going-further") == []
    answer("A4", "C1", "C2", "C3", "C4", "C6", "C7", "E")
    assert missing("activity-7") == ["Task 6"]
    fill("just-right", Notes="rate good, more sentences next")
    assert missing("activity-7") == []


# Whatever lies on the disk, a learner gets lines and no exception


@pytest.mark.parametrize("name", ["activity-9", "", "Activity 2", None])
def test_a_name_that_does_not_exist_gets_the_names_that_do(name):
    told = report(name)
    assert told.startswith(f"There is no checkpoint {name!r}.")
    assert "activity-1, activity-2" in told


def test_the_nearest_name_is_offered():
    assert "Did you mean activity-2?" in report("activity_2")


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / "run.json").write_text("{", encoding="utf-8"),
        lambda run: (run / "run.json").write_bytes(b"\xff\xfe\x00"),
        lambda run: (run / ADOPTED_FILE).write_text("[]", encoding="utf-8"),
        lambda run: (paths.runs() / "predictions_made.jsonl").write_text('{"made": 3}\n[', encoding="utf-8"),
        lambda run: worksheet.worksheet_file().write_bytes(b"\xff\x00 no table here \xe9"),
        lambda run: worksheet.worksheet_file().write_text("", encoding="utf-8"),
        lambda run: (worksheet.worksheet_file().unlink(), worksheet.worksheet_file().mkdir()),
        lambda run: (paths.share().mkdir(), (paths.share() / "x.json").write_bytes(b"\xff")),
    ],
    ids=[
        "half a record",
        "no text",
        "odd mark",
        "odd prediction",
        "odd worksheet",
        "empty worksheet",
        "a folder",
        "odd share",
    ],
)
def test_damage_becomes_a_line(make_run, keep_run, damage, capsys):
    run = keep_run(make_run())
    worksheet.fill_worksheet()
    damage(run.folder)
    progress.checkpoint()
    told = capsys.readouterr().out
    assert all(activities.load(name).heading in told for name in NAMES)
    assert "Traceback" not in told


def test_a_damaged_run_is_named_and_the_others_count(make_run, keep_run):
    keep_run(make_run())
    broken = keep_run(make_run(run_id="20260105-100000-broken"))
    (broken.folder / "run.json").write_text("{", encoding="utf-8")
    told = report("activity-4")
    assert "[done]     A run to compare" in told
    assert "[warning]  " in told
    assert "20260105-100000-broken" in told


def test_a_table_whose_heading_was_changed_is_named(make_run, keep_run):
    keep_run(make_run())
    write(worksheet.read_worksheet().replace("| About you | |", "| About me | |"))
    told = report("activity-3")
    assert 'the table with "About you" cannot be used (its heading was changed or removed)' in told
    assert told.count("[warning]") == 1


def test_somebody_who_typed_into_the_empty_form_is_told(tmp_path, monkeypatch):
    typed = TEMPLATE.read_text(encoding="utf-8").replace("**Your answer:**", f"**Your answer:**\n\n{ANSWER}", 1)
    form = tmp_path / TEMPLATE.name
    form.write_text(typed, encoding="utf-8")
    monkeypatch.setattr(worksheet, "TEMPLATE", form)
    assert "is the empty form, and somebody has typed into it" in report("activity-1")
    monkeypatch.undo()
    assert "empty form" not in report("activity-1")


def test_without_the_activities_the_name_is_the_title(tmp_path, monkeypatch):
    monkeypatch.setattr(activities, "FOLDER", tmp_path)
    assert report("activity-6").splitlines()[0] == "activity-6"


def test_several_checkpoints_are_printed_one_after_the_other(capsys):
    progress.checkpoint("activity-1", "activity-2")
    told = capsys.readouterr().out
    assert told.count(" done.") == 2
    assert told.index("Activity 1:") < told.index("Activity 2:")


def test_a_shared_line_of_another_run_does_not_count(make_run, keep_run):
    keep_run(make_run(dials={"GROUP": 4}))
    paths.share().mkdir()
    (paths.share() / "blue.json").write_text(json.dumps({"run_id": "other", "line": "W6W"}), encoding="utf-8")
    assert any("shared with the room" in item for item in missing("activity-3"))
    assert RUN_ID in {run.run_id for run in progress.Desk().runs}
