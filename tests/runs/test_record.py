"""The record of a run: what goes into the file, what comes out, and what is refused."""

import csv
import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from tuning import paths
from tuning.dials import Dials
from tuning.errors import RunError
from tuning.notebook import headless
from tuning.runs.record import FIRST_DIALS, SCHEMA_FILE, SCHEMA_VERSION, Run, check, finite, write_whole
from tuning.runs.scores import RecordedScores
from tuning.runs.store import (
    ADOPTED_FILE,
    WEIGHTS_KEPT,
    copy_results,
    finished_runs,
    forget_old_weights,
    last_run,
    likely_meant,
    load_predictions,
    matching_ids,
    new_folder,
    readable_runs,
    save_predictions,
)
from tuning.training import fit


def line_of(act, *args) -> str:
    """The text of the RunError that a call raises; it must be a single line."""
    with pytest.raises(RunError) as caught:
        act(*args)
    text = str(caught.value)
    assert text.splitlines() == [text]
    assert "Traceback" not in text
    return text


# Round trip


def test_a_record_comes_back_as_it_was_saved(make_run):
    run = make_run(test={"opened": "once", "accuracy": 0.7, "f1_macro": 0.6, "size": 250})
    path = run.save()
    assert path == paths.runs() / run.run_id / "run.json"
    assert Run.load(path) == run
    assert Run.load(path.parent) == run


def test_saving_twice_gives_the_same_bytes_and_leaves_no_other_file(make_run):
    run = make_run()
    first = run.save().read_bytes()
    assert run.save().read_bytes() == first
    assert [path.name for path in run.folder.iterdir()] == ["run.json"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
def test_a_number_that_is_not_finite_becomes_null_in_the_file(make_run, number):
    run = make_run()
    run.steps[3]["loss"] = number
    run.final["val_loss"] = number
    text = run.save().read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    kept = Run.load(run.folder)
    assert kept.steps[3]["loss"] is None
    assert kept.final["val_loss"] is None
    assert math.isnan(kept.step_losses()[3])
    assert len(kept.step_losses()) == len(run.steps)


def test_numpy_numbers_become_plain_ones():
    mixed = {"a": np.int64(3), "b": (np.float64(0.5), [np.float32("inf")]), "c": np.bool_(True), "d": "text", "e": None}
    assert finite(mixed) == {"a": 3, "b": [0.5, [None]], "c": True, "d": "text", "e": None}
    assert json.loads(json.dumps(finite(mixed))) == finite(mixed)


@pytest.mark.parametrize(("rate", "name"), [("TOO_HIGH", "TOO_HIGH"), (3e-4, "own")])
def test_the_preset_of_a_typed_rate_is_called_own(make_run, rate, name):
    assert make_run(dials={"LR_PRESET": rate}).preset == name


@pytest.mark.parametrize("name", [True, "", "zzz", "../elsewhere", "20260105-090000-just-rihgt"])
def test_a_run_that_is_not_here_is_named_with_the_nearest(make_run, keep_run, name):
    run = keep_run(make_run())
    assert last_run(run.run_id) == run
    told = line_of(last_run, name)
    assert told.startswith(f"No run here has the Run ID {str(name)!r}.")
    assert (run.run_id in told) == str(name).endswith("rihgt")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("20260105-090000-too-low", ["20260105-090000-too-low"]),
        ("TOO_LOW", ["20260105-090000-too-low"]),
        ("too-low-2 the second", ["20260105-090000-too-low-2"]),
        ("0900", ["20260105-090000-too-low", "20260105-090000-too-low-2"]),
        ("just-right", []),
        (" ", []),
    ],
)
def test_a_run_is_found_by_its_ending_in_the_worksheet_and_in_a_cell(make_run, keep_run, typed, meant):
    for ending in ("too-low", "too-low-2"):
        keep_run(make_run(run_id=f"20260105-090000-{ending}"))
    assert matching_ids(typed, [folder.name for folder in finished_runs()]) == meant
    if len(meant) == 1:
        assert last_run(typed).run_id == meant[0]
    else:
        told = line_of(last_run, typed)
        assert ("fits several runs" in told) == bool(meant)
        assert all(run_id in told for run_id in meant)


@pytest.mark.parametrize(
    ("notebooks", "meant"),
    [
        (["01", "04", "02", "04"], 0),
        (["script", "04", "04"], 0),
        (["02", "04"], 0),
        (["04", "01", "02", "02"], 1),
        (["01", "01", "04"], None),
        (["04", "04"], None),
        (["02", "02", "04"], None),
    ],
)
def test_an_ending_means_a_run_of_the_labs_before_a_variation_of_it(make_run, keep_run, notebooks, meant):
    runs = [
        keep_run(make_run(run_id=f"20260105-09000{place}-just-right", notebook=notebook))
        for place, notebook in enumerate(notebooks)
    ]
    if meant is None:
        assert len(likely_meant(runs)) > 1
        assert "fits several runs" in line_of(last_run, "just-right")
    else:
        assert likely_meant(runs) == [runs[meant]] == [last_run("just-right")]
    assert all(last_run(run.run_id) == run for run in runs), "the whole Run ID always means its run"


# Schema


def changed(record: dict, path: str, value) -> dict:
    """A record with one value set, by a path such as ``steps/0/loss``."""
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inner = record
    for part in way:
        inner = inner[part]
    inner[last] = value
    return record


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Run) if field.name != "unknown"])
def test_no_key_may_be_missing(make_run, key):
    record = dataclasses.asdict(make_run())
    del record[key]
    assert key in line_of(check, record, "a file")


@pytest.mark.parametrize(
    "part", ["", "encoder", "data", "machine", "steps/0", "epochs/0", "majority", "final", "timing", "dials"]
)
def test_a_field_of_a_later_version_is_kept_and_ignored(make_run, part):
    run = make_run()
    path = run.save()
    later = changed(json.loads(path.read_text(encoding="utf-8")), f"{part}/surprise".lstrip("/"), 1)
    path.write_text(json.dumps(later), encoding="utf-8")
    came = Run.load(path)
    assert came.step_losses().tolist() == run.step_losses().tolist()
    came.save()
    assert json.loads(path.read_text(encoding="utf-8")) == later


def test_a_record_of_the_first_version_is_read_with_what_it_was_made_with(make_run):
    run = make_run()
    path = run.save()
    first = json.loads(path.read_text(encoding="utf-8")) | {"schema_version": 1}
    for name in ("departures", "adapter"):
        del first[name]
    for name in FIRST_DIALS:
        first["dials"].pop(name, None)
    path.write_text(json.dumps(first), encoding="utf-8")
    came = Run.load(path)
    assert (came.schema_version, came.departures, came.adapter) == (SCHEMA_VERSION, [], None)
    made_with = {name: value for name, value in FIRST_DIALS.items() if name in Dials.names()}
    assert came.dials == run.dials | made_with
    came.save()
    assert Run.load(path) == came


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 3),
        ("schema_version", "1"),
        ("run_id", ""),
        ("run_id", "../elsewhere"),
        ("run_id", "=1+1"),
        ("notebook", "05"),
        ("dials/EPOCHS", "2"),
        ("dials/EPOCHS", 0),
        ("dials/GROUP", 13),
        ("dials/LR_PRESET", "MIDDLE"),
        ("dials/LR_PRESET", 0),
        ("learning_rate", 0),
        ("learning_rate", None),
        ("seed", -1),
        ("seed", 1.5),
        ("encoder/parameters", "many"),
        ("data/sha256", "0" * 63),
        ("data/rows", -1),
        ("data/label_counts", {"negative": 1}),
        ("machine/precision", "int8"),
        ("steps", {}),
        ("steps/0/loss", "0.5"),
        ("steps/0/loss", -0.1),
        ("steps/0/step", 0),
        ("epochs/0/val_accuracy", 1.5),
        ("epochs/0/epoch", 0),
        ("majority/label", "mixed"),
        ("final/val_f1_macro", True),
        ("final/gap_accuracy", -1.5),
        ("final/val_accuracy_interval", [0.1]),
        ("final/val_accuracy_interval", [0.1, None]),
        ("outcome", "fine"),
        ("diagnosis", {"verdict": "good"}),
        ("timing/tokens", 1.5),
        ("test", {}),
        ("departures", "optim"),
        ("departures", [None]),
        ("adapter", []),
        ("adapter", {"rank": "<b>"}),
        ("dials/LABEL_NOISE", 2),
    ],
)
def test_a_wrong_value_is_refused_and_the_place_is_named(make_run, path, value):
    text = line_of(check, changed(dataclasses.asdict(make_run()), path, value), "a file")
    assert text.startswith(f"a file: this is not a run of this workshop ({path}")


@pytest.mark.parametrize("record", [None, [], "text", 3, {}])
def test_what_is_no_record_at_all_is_refused(record):
    assert line_of(check, record, "a file").startswith("a file: this is not a run of this workshop")


def test_a_record_that_does_not_fit_is_not_saved(make_run):
    run = make_run()
    run.outcome = "fine"
    assert run.run_id in line_of(run.save)
    assert not run.folder.exists()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b'{"schema_version": 1',
        b"<html>not found</html>",
    ],
)
def test_a_damaged_file_gets_one_line(make_run, damage):
    path = make_run().save()
    path.write_bytes(damage)
    assert line_of(Run.load, path).endswith("run.json: this run is damaged (not JSON). Train again.")


def test_half_a_file_gets_one_line(make_run):
    path = make_run().save()
    path.write_bytes(path.read_bytes()[:700])
    assert "this run is damaged" in line_of(Run.load, path)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_have_is_damage(make_run, constant):
    path = make_run().save()
    path.write_text(re.sub(r'"loss": [0-9.]+', f'"loss": {constant}', path.read_text(), count=1))
    assert "this run is damaged" in line_of(Run.load, path)


def test_a_missing_file_gets_one_line(tmp_path):
    assert "this run cannot be opened (No such file or directory)" in line_of(Run.load, tmp_path / "run.json")


# Writing in one piece


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_whole(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new " * 100_000 + "\ud800")
    assert path.read_bytes() == b"old\n"
    assert list(path.parent.iterdir()) == [path]


KILLED = """\
import sys
from pathlib import Path
from tuning.runs.record import write_whole
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in "ab":
        write_whole(path, letter * 3_000_000)
"""


@pytest.mark.slow
def test_a_reader_and_a_crash_see_the_old_or_the_new_file(tmp_path):
    path = tmp_path / "file.txt"
    write_whole(path, "a" * 3_000_000)
    seen = set()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], cwd=paths.LAB, stdout=subprocess.PIPE, text=True
    ) as child:
        child.stdout.readline()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            text = path.read_text()
            seen.add((len(text), *set(text)))
        child.kill()
    text = path.read_text()
    assert seen | {(len(text), *set(text))} <= {(3_000_000, "a"), (3_000_000, "b")}


# Folders of runs


def test_two_runs_in_one_second_get_two_folders():
    made = [new_folder("TOO_HIGH") for _ in range(4)]
    assert len(set(made)) == 4
    assert all(folder.is_dir() and folder.parent == paths.runs() for folder in made)
    assert all(re.fullmatch(r"\d{8}-\d{6}-too-high(-\d)?", folder.name) for folder in made)


def test_the_newest_finished_run_comes_back(make_run, keep_run):
    # Neither the name nor the order of writing decides.
    keep_run(make_run(run_id="b-newest"), minutes=1)
    keep_run(make_run(run_id="c-oldest"), minutes=9)
    keep_run(make_run(run_id="a-middle"), minutes=5)
    assert [folder.name for folder in finished_runs()] == ["c-oldest", "a-middle", "b-newest"]
    assert last_run().run_id == "b-newest"
    assert last_run("c-oldest").run_id == "c-oldest"


OTHER_KERNEL = """
import sys
import numpy as np
from tuning.runs.record import Run
from tuning.runs.store import last_run, save_predictions
run = Run.load(last_run(sys.argv[1]).folder)
run.run_id, run.notebook = sys.argv[2:]
run.save()
save_predictions(run.folder, ["s1", "s2", "s3"], ["negative", "neutral", "positive"], np.eye(3))
print(last_run().run_id)
"""


def in_another_kernel(program: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=paths.LAB, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_run_of_another_kernel_does_not_push_aside_what_this_one_trained(make_run, keep_run):
    keep_run(make_run(run_id="mine"), minutes=5)
    assert in_another_kernel(OTHER_KERNEL, "mine", "theirs", "01") == "theirs"
    assert [folder.name for folder in finished_runs()] == ["mine", "theirs"]
    assert last_run().run_id == "mine"
    # A restarted kernel has trained nothing, and neither has this one in the backup lab.
    assert in_another_kernel("from tuning.runs.store import last_run; print(last_run().run_id)") == "theirs"
    in_another_kernel(OTHER_KERNEL, "mine", "their-backup", "02")
    assert last_run(backup=True).run_id == "their-backup"
    # Adopting is the learner's own act, in whichever notebook.
    make_run(run_id="of-the-group").save().with_name(ADOPTED_FILE).write_text("{}")
    assert last_run().run_id == "of-the-group"
    # Deleted by hand.
    for name in ("mine", "of-the-group"):
        shutil.rmtree(paths.runs() / name)
    assert last_run().run_id == "theirs"


def test_a_run_that_did_not_reach_its_end_is_passed_over(make_run, keep_run):
    keep_run(make_run(run_id="whole"), minutes=5)
    make_run(run_id="no-predictions").save()
    keep_run(make_run(run_id="no-record"))
    (paths.runs() / "no-record" / "run.json").unlink()
    assert last_run().run_id == "whole"


def test_without_a_run_it_is_said_what_to_do():
    assert line_of(last_run) == 'There is no recorded run yet. Run the section "Train" first.'


def test_a_run_that_is_not_there_is_named():
    assert "no-such-run" in line_of(last_run, "no-such-run")


def test_old_weights_are_forgotten_but_records_stay(make_run, keep_run):
    names = [f"run-{age}" for age in range(WEIGHTS_KEPT + 2)]
    for age, name in enumerate(names):
        keep_run(make_run(run_id=name), weights=True, minutes=age)
    forget_old_weights()
    with_weights = {name for name in names if (paths.runs() / name / "model").is_dir()}
    assert with_weights == set(names[:WEIGHTS_KEPT])
    assert {last_run(name).run_id for name in names} == set(names)
    assert all((paths.runs() / name / "predictions.csv").is_file() for name in names)


def test_results_are_copied_to_another_folder_and_onto_themselves(make_run, keep_run, tmp_path):
    run = keep_run(make_run())
    copy_results(run.folder, tmp_path / "new" / "out")
    copy_results(run.folder, run.folder)
    assert Run.load(tmp_path / "new" / "out") == run
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == ["predictions.csv", "run.json"]


@pytest.mark.parametrize("program", [headless.main, fit.main])
def test_a_place_where_nothing_can_be_written_is_told_before_the_work(tmp_path, capsys, program):
    place = tmp_path / "notes.txt"
    place.write_text("mine")
    for out in (place, place / "results"):
        assert program(["--out", str(out)]) == 2
        told = capsys.readouterr()
        assert re.fullmatch(rf"error: {re.escape(str(out))}: no results can be written there \(.+\)\..+\n", told.err)
        assert not told.out
    assert place.read_text() == "mine"
    assert not list(paths.runs().glob("2*"))


# Predictions


def test_predictions_come_back_as_they_were_saved(make_run, keep_run):
    logits = np.random.default_rng(0).normal(size=(9, 3))
    frame = load_predictions(keep_run(make_run(), logits=logits))
    assert frame.columns.tolist() == ["id", "label", "negative", "neutral", "positive"]
    assert frame["id"].tolist() == [f"s{row}" for row in range(9)]
    assert frame[["negative", "neutral", "positive"]].to_numpy().tolist() == logits.tolist()


def test_logits_of_a_diverged_run_come_back_too(diverged_run, keep_run):
    logits = np.array([[math.nan] * 3, [math.inf, 0, 1], [-math.inf, 2, math.nan]])
    found = load_predictions(keep_run(diverged_run, logits=logits))[["negative", "neutral", "positive"]]
    np.testing.assert_array_equal(found.to_numpy(), logits)


def test_an_id_that_looks_like_nothing_stays_an_id(make_run, keep_run):
    run = keep_run(make_run())
    path = run.folder / "predictions.csv"
    path.write_text(path.read_text().replace("s0,", "NA,").replace("s1,", "007,"))
    assert load_predictions(run)["id"].tolist() == ["NA", "007", "s2"]


@pytest.mark.parametrize(
    "damage",
    [
        None,
        "",
        "id,label\n1,neutral\n",
        "id,label,negative,neutral,positive\n1,neutral,one,two,three\n",
        "id,label,negative,neutral,positive\n1,mixed,1,2,3\n",
        'id,label,negative,neutral,positive\n1,"neutral,1,2,3\n',
        b"id,label,negative,neutral,positive\n\xff\xfe,neutral,1,2,3\n",
    ],
)
def test_damaged_predictions_get_one_line(make_run, keep_run, damage):
    run = keep_run(make_run())
    path = run.folder / "predictions.csv"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    assert line_of(load_predictions, run) == (f"{run.run_id}: its predictions.csv is missing or damaged. Train again.")


def test_a_clock_that_was_set_back_changes_no_order(make_run, keep_run):
    """An hour ahead, then right again: the later runs have older files, and the last of them is the newest run."""
    first = keep_run(make_run(run_id="20260105-100000-too-low"), weights=True)
    ahead = (first.folder / "run.json").stat().st_mtime + 3600
    for path in first.folder.rglob("*"):
        os.utime(path, (ahead, ahead))
    later = [
        keep_run(make_run(run_id=f"20260105-09000{number}-too-low"), weights=True) for number in range(WEIGHTS_KEPT)
    ]
    assert last_run().run_id == later[-1].run_id
    assert [folder.name for folder in finished_runs()] == [run.run_id for run in (first, *later)]
    forget_old_weights()
    assert not (first.folder / "model").exists()
    assert all((run.folder / "model").is_dir() for run in later)


@pytest.mark.parametrize(
    "name", ["experiment_log.csv.1.part", "predictions_made.jsonl", ".lock", "run_order.txt", "a b"]
)
def test_a_folder_that_is_not_named_as_runs_are_is_no_run(make_run, keep_run, name):
    run = keep_run(make_run())
    if not run.folder.with_name(name).exists():
        shutil.copytree(run.folder, run.folder.with_name(name))
    assert [folder.name for folder in finished_runs()] == [run.run_id]
    with pytest.raises(RunError, match="run_id"):
        make_run(run_id=name)


@pytest.mark.parametrize(
    "name", ["20260105-090000-just-right", "20260105-090000-0.0003", "20260105-090000-3e-05-2", "run-1"]
)
def test_the_names_that_runs_get_are_names_of_runs(make_run, name):
    assert make_run(run_id=name).run_id == name


@pytest.mark.parametrize("started", ["yesterday", "2026-01-05T09:00:00", "2026-01-05", "", "2026-13-05T09:00:00+00:00"])
def test_a_run_with_a_start_that_is_no_time_is_passed_over_and_said(make_run, keep_run, started):
    good = keep_run(make_run(run_id="good"))
    bad = keep_run(make_run(run_id="bad"))
    path = bad.folder / "run.json"
    path.write_text(path.read_text().replace("2026-01-05T09:00:00+00:00", started))
    runs, ((name, reason),) = readable_runs()
    assert [run.run_id for run in runs] == [good.run_id]
    assert name == "bad"
    assert "started" in reason


def test_an_id_that_a_spreadsheet_would_run_starts_no_formula_and_comes_back_as_it_was(make_run):
    run, ids = make_run(), ["=1+1", "+a", "-b", "@c", "\t=d", " =e", "'f", "7", "-8"]
    run.save()
    save_predictions(run.folder, ids, ["neutral"] * len(ids), np.zeros((len(ids), 3)))
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        cells = [row["id"] for row in csv.DictReader(file)]
    assert cells == ["'=1+1", "'+a", "'-b", "'@c", "'\t=d", "' =e", "'f", "7", "-8"]
    assert load_predictions(run)["id"].tolist() == ids


def test_scores_have_the_names_and_types_of_the_schema():
    scores = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]["scores"]["properties"]
    assert RecordedScores.__annotations__.keys() == scores.keys()
    counts = {key for key, kind in scores.items() if kind.get("$ref") == "#/$defs/count"}
    assert {key for key, kind in RecordedScores.__annotations__.items() if kind == int | None} == counts
