"""The experiment log, the worksheet's row and the tables: no run is lost, and no number is made up."""

import csv
import itertools
import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest

from tuning import paths
from tuning.errors import RunError
from tuning.evidence import experiment_log, run_tables, worksheet
from tuning.evidence.log_rows import LOG_COLUMNS, WORKSHEET_COLUMNS
from tuning.runs.diagnosis import diagnose
from tuning.runs.record import Run

PROCESSES = 4


def raw_rows() -> list[list[str]]:
    """The log as a plain CSV reader sees it, header first."""
    with experiment_log.log_file().open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def ids() -> list[str]:
    return experiment_log.read_log()["Run ID"].tolist()


# The log


def test_without_a_run_the_log_is_empty_but_has_its_columns():
    log = experiment_log.read_log()
    assert log.empty
    assert log.columns.tolist() == list(LOG_COLUMNS)


def test_the_worksheets_columns_come_first(make_run):
    experiment_log.append(make_run())
    header = raw_rows()[0]
    assert header == list(LOG_COLUMNS)
    assert header[:12] == list(WORKSHEET_COLUMNS)
    assert len(set(header)) == len(header)


def test_a_run_is_logged_once_however_often_it_is_appended(make_run):
    run = make_run(run_id="run-1")
    for _ in range(3):
        experiment_log.append(run)
    experiment_log.append(make_run(run_id="run-2"))
    assert ids() == ["run-1", "run-2"]


def test_a_run_that_is_appended_again_has_its_new_numbers(make_run):
    experiment_log.append(make_run(run_id="run-1"))
    experiment_log.append(make_run(run_id="run-1", final={"val_accuracy": 0.9}))
    assert experiment_log.read_log()["Accuracy"].tolist() == ["0.900"]


def test_a_row_holds_what_is_needed_to_repeat_the_run(make_run):
    run = make_run(dials={"GROUP": 5, "EPOCHS": 3, "SCHEDULER": "cosine"}, diagnosis={"verdict": "just right"})
    experiment_log.append(run)
    row = experiment_log.read_log().iloc[0].to_dict()
    assert (
        row
        | {
            "Run ID": run.run_id,
            "LR preset": "JUST_RIGHT",
            "LR value": "0.0001",
            "Scheduler": "cosine",
            "Epochs": "3",
            "Train subset": "800",
            "Train loss (end)": "0.450",
            "Val loss": "0.600",
            "Accuracy": "0.780",
            "F1-macro": "0.760",
            "Gen. gap": "+0.040",
            "Notes": "",
            "Outcome": "completed",
            "Verdict": "just right",
            "Group": "5",
            "Seed": "5",
            "Batch size": "8",
            "Data SHA-256": "0" * 64,
            "Precision": "fp32",
            "Versions": "torch=2.13.0 transformers=5.23.0",
        }
        == row
    )


def test_numbers_that_a_diverged_run_lacks_stay_empty(diverged_run):
    experiment_log.append(diverged_run)
    row = experiment_log.read_log().iloc[0]
    assert (row["Train loss (end)"], row["Val loss"]) == ("", "")
    assert (row["Outcome"], row["LR preset"], row["Accuracy"]) == ("diverged", "TOO_HIGH", "0.780")
    assert "nan" not in experiment_log.log_file().read_text().lower()
    assert "None" not in experiment_log.log_file().read_text()


def test_a_note_written_into_the_log_survives_the_next_run(make_run):
    experiment_log.append(make_run(run_id="run-1"))
    rows = raw_rows()
    rows[1][LOG_COLUMNS.index("Notes")] = 'good, "really";\nnot luck'
    with experiment_log.log_file().open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
    experiment_log.append(make_run(run_id="run-2"))
    assert ids() == ["run-1", "run-2"]
    assert experiment_log.read_log()["Notes"].tolist() == ['good, "really";\nnot luck', ""]


EDITS = {
    "emptied": lambda text: "",
    "other header": lambda text: text.replace("Run ID", "Run", 1),
    "columns in another order": lambda text: text.replace("LR preset,LR value", "LR value,LR preset", 1),
    "semicolons": lambda text: text.replace(",", ";"),
    "row cut short": lambda text: text[:-60],
    "note with a comma and no quotes": lambda text: text.replace("+0.040,,", "+0.040,good, but slow,"),
    "not UTF-8": lambda text: text.replace("just-right", "just-r\udce9ght"),
    "not a table": lambda text: "<html><body>Log in first</body></html>",
}


# What is left of the first run's id; nothing where the file is no log any more.
STILL_READ = {
    "columns in another order": "20260105-090000-just-right",
    "semicolons": "20260105-090000-just-right",
    "row cut short": "20260105-090000-just-right",
    "note with a comma and no quotes": "20260105-090000-just-right",
    "not UTF-8": "20260105-090000-just-réght",
}


@pytest.mark.parametrize("name", EDITS)
def test_a_file_that_was_edited_is_kept_aside_and_what_can_be_read_goes_on(make_run, capsys, name):
    experiment_log.append(make_run(run_id="20260105-090000-just-right"))
    edited = EDITS[name](experiment_log.log_file().read_text()).encode("utf-8", "surrogateescape")
    experiment_log.log_file().write_bytes(edited)
    experiment_log.append(make_run(run_id="run-2"))
    aside = experiment_log.log_file().with_name("experiment_log_kept_aside_1.csv")
    assert aside.read_bytes() == edited
    assert ids() == [*filter(None, [STILL_READ.get(name)]), "run-2"]
    (said,) = capsys.readouterr().out.splitlines()
    assert "experiment_log.csv was" in said
    assert "kept as experiment_log_kept_aside_1.csv" in said


@pytest.mark.parametrize("name", [name for name in EDITS if name not in STILL_READ])
def test_reading_a_file_edited_beyond_recognition_is_one_line(make_run, name):
    experiment_log.append(make_run(run_id="20260105-090000-just-right"))
    edited = EDITS[name](experiment_log.log_file().read_text()).encode("utf-8", "surrogateescape")
    experiment_log.log_file().write_bytes(edited)
    with pytest.raises(RunError, match="cannot be read as a log") as told:
        experiment_log.read_log()
    assert "\n" not in str(told.value)
    assert experiment_log.log_file().read_bytes() == edited


NOTES = {"run-1": 'good, "really"; 5 £ well spent\nand not luck', "run-2": "- 0.02 lower; why?", "run-3": "=1+1"}


def columns_of(rows: list[list[str]], names: list[str]) -> list[list[str]]:
    places = [rows[0].index(name) for name in names]
    return [[row[place] for place in places] for row in rows]


def as_excel(rows: list[list[str]]) -> list[list[str]]:
    """Numbers as a German Excel writes them: a comma, no plus sign, no zeros at the end, a long hash as a number."""

    def written(cell: str) -> str:
        try:
            return f"{float(cell):g}".replace(".", ",")
        except ValueError:
            return cell

    return [rows[0], *([written(cell) for cell in row] for row in rows[1:])]


FORMS = {
    "semicolons": (lambda rows: as_excel(rows), ";", "utf-8-sig"),
    "semicolons, old Windows": (lambda rows: rows, ";", "cp1252"),
    "tabs in UTF-16": (lambda rows: rows, "\t", "utf-16"),
    "UTF-16 without its mark": (lambda rows: rows, "\t", "utf-16-le"),
    "a column added in front": (lambda rows: [[f"mine {at}", *row] for at, row in enumerate(rows)], ",", "utf-8"),
    "a column added at the end": (lambda rows: [[*row, f"mine {at}"] for at, row in enumerate(rows)], ",", "utf-8"),
    "columns removed": (lambda rows: columns_of(rows, ["Run ID", "Accuracy", "Notes"]), ",", "utf-8"),
    "columns moved": (lambda rows: columns_of(rows, ["Notes", *sorted(set(rows[0]) - {"Notes"})]), ",", "utf-8"),
    "sorted by a column": (lambda rows: [rows[0], *sorted(rows[1:], reverse=True)], ";", "utf-8-sig"),
    "a title above": (lambda rows: [["My runs", *[""] * len(rows[0])], [], *rows], ",", "utf-8"),
    "blank columns and rows": (lambda rows: [[*row, "", ""] for row in rows] + [["", ""]], ",", "utf-8"),
    "names in capitals": (lambda rows: [[name.upper() + " " for name in rows[0]], *rows[1:]], ",", "utf-8"),
    "a line below the table": (lambda rows: [*rows, ["Mean of all"] + [""] * (len(rows[0]) - 1)], ";", "utf-8"),
}


@pytest.mark.parametrize("name", FORMS)
def test_notes_survive_every_form_in_which_a_spreadsheet_saves_the_log(make_run, keep_run, name):
    for run_id in NOTES:
        experiment_log.append(keep_run(make_run(run_id=run_id, data=make_run().data | {"sha256": "1" * 64})))
    before = experiment_log.read_log().drop(columns="Notes")
    rows = raw_rows()
    for row in rows[1:]:
        row[LOG_COLUMNS.index("Notes")] = NOTES[row[0]]
    form, separator, encoding = FORMS[name]
    with experiment_log.log_file().open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows(form(rows))
    shown = experiment_log.read_log().set_index("Run ID")["Notes"].to_dict()
    assert {run_id: shown[run_id] for run_id in NOTES} == NOTES
    experiment_log.append(make_run(run_id="run-4"))
    after = experiment_log.read_log().set_index("Run ID")
    assert {run_id: after.loc[run_id, "Notes"] for run_id in NOTES} == NOTES
    kept = after.loc[before["Run ID"], [column for column in before if column != "Run ID"]].reset_index()
    assert kept[before.columns.tolist()].equals(before)
    if "added" in name:
        assert after.loc[[*NOTES], "mine 0"].tolist() == ["mine 1", "mine 2", "mine 3"]
    assert ("Mean of all" in after.index) == (name == "a line below the table")
    # From now on it is our form again, and nothing more is set aside.
    experiment_log.append(make_run(run_id="run-5"))
    assert len(list(paths.runs().glob("experiment_log_kept_aside_*"))) == (name != "a column added at the end")
    raw = {row[0]: row[LOG_COLUMNS.index("Notes")] for row in raw_rows()[1:]}
    assert (raw["run-2"], raw["run-3"]) == ("'- 0.02 lower; why?", "'=1+1")


@pytest.mark.parametrize("note", ["good, but slow", "one, two, three", ", and", "a;b,c"])
def test_a_note_with_commas_and_no_quotation_marks_is_kept_whole(make_run, keep_run, note):
    experiment_log.append(keep_run(make_run()))
    experiment_log.log_file().write_text(experiment_log.log_file().read_text().replace("+0.040,,", f"+0.040,{note},"))
    experiment_log.append(make_run(run_id="run-2"))
    assert experiment_log.read_log()["Notes"].tolist() == [note, ""]


def test_a_rebuilt_log_that_cannot_be_written_leaves_the_one_that_is_there(make_run, keep_run, monkeypatch):
    for number in range(6):
        experiment_log.append(keep_run(make_run(run_id=f"run-{number}")))
    edited = experiment_log.log_file().read_text().replace(",", ";").replace("Run ID", "Which")
    experiment_log.log_file().write_text(edited)
    written = experiment_log.write_whole

    def full(path, content):
        if path == experiment_log.log_file():
            raise OSError(28, "No space left on device")
        written(path, content)

    monkeypatch.setattr(experiment_log, "write_whole", full)
    with pytest.raises(RunError, match="No space"):
        experiment_log.append(keep_run(make_run(run_id="run-6")))
    assert experiment_log.log_file().read_text() == edited
    monkeypatch.setattr(experiment_log, "write_whole", written)
    experiment_log.append(make_run(run_id="run-6"))
    assert sorted(ids()) == [f"run-{number}" for number in range(7)]


@pytest.mark.parametrize(
    "raw", [b"\x89PNG\r\n\x00\xff", b"\x00" * 2_000, b'"' + b"x" * 200_000, "Run ID".encode("utf-16")]
)
def test_reading_any_bytes_is_one_line(raw):
    experiment_log.log_file().parent.mkdir()
    experiment_log.log_file().write_bytes(raw)
    with pytest.raises(RunError, match="cannot be read as a log"):
        experiment_log.read_log()


def test_a_log_of_its_header_alone_is_empty(make_run):
    experiment_log.log_file().parent.mkdir()
    experiment_log.log_file().write_text(",".join(LOG_COLUMNS) + "\n")
    assert experiment_log.read_log().empty
    experiment_log.append(make_run(run_id="run-1"))
    assert ids() == ["run-1"]


def test_a_log_that_cannot_be_opened_is_one_line():
    experiment_log.log_file().mkdir(parents=True)
    with pytest.raises(RunError, match="cannot be opened"):
        experiment_log.read_log()


def test_a_new_log_begins_with_the_runs_on_this_machine(make_run, keep_run, capsys):
    for number in (1, 2):
        keep_run(make_run(run_id=f"run-{number}"), minutes=10 - number)
    (paths.runs() / "run-1" / "run.json").write_text("damaged")
    experiment_log.log_file().write_text("edited")
    experiment_log.append(make_run(run_id="run-3"))
    assert ids() == ["run-2", "run-3"]
    assert "begins with the 1 runs on this machine" in capsys.readouterr().out


def test_a_second_edited_file_does_not_replace_the_first(make_run):
    for number in (1, 2, 3):
        experiment_log.log_file().parent.mkdir(parents=True, exist_ok=True)
        experiment_log.log_file().write_text(f"edited {number}")
        experiment_log.append(make_run())
    kept = sorted(paths.runs().glob("experiment_log_kept_aside_*.csv"))
    assert [path.read_text() for path in kept] == ["edited 1", "edited 2", "edited 3"]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", '=HYPERLINK("a","b")', " =1", "\t=1", "\uff1d1", "-inf", "+1_0"],
)
def test_a_cell_that_a_spreadsheet_would_run_is_defused(make_run, text):
    run = make_run()
    run.data["path"] = text
    for _ in range(2):
        experiment_log.append(run)
        experiment_log.append(make_run(run_id="run-2"))
    rows = raw_rows()
    assert {row[LOG_COLUMNS.index("Data")] for row in rows[1:]} == {"'" + text, "sentences.csv"}


@pytest.mark.parametrize("gap", [-0.25, 0.04])
def test_a_signed_number_is_no_formula(make_run, gap):
    experiment_log.append(make_run(final={"gap_accuracy": gap}))
    assert experiment_log.read_log()["Gen. gap"].tolist() == [f"{gap:+.3f}"]


def test_a_log_that_was_begun_before_there_were_departures_goes_on(make_run):
    experiment_log.append(make_run())
    table = experiment_log.read_log().drop(columns=list(experiment_log._ADDED_LATER)).assign(Notes="mine")
    table.to_csv(experiment_log.log_file(), index=False)
    experiment_log.append(make_run(run_id="second", departures=["optim: adamw_torch_fused, sgd"]))
    rows = experiment_log.read_log()
    assert rows["Notes"].tolist() == ["mine", ""]
    assert rows["Departures"].tolist() == ["", "optim: adamw_torch_fused, sgd"]
    assert [path.name for path in paths.runs().glob("*kept_aside*")] == []


def append_many(record: dict, name: str, rows: int, barrier) -> None:
    barrier.wait()
    for number in range(rows):
        experiment_log.append(Run(**record | {"run_id": f"{name}-{number}"}))


@pytest.mark.parametrize(
    "rows", [pytest.param(20, marks=pytest.mark.slow), pytest.param(500, marks=[pytest.mark.slow, pytest.mark.full])]
)
def test_four_processes_at_once_lose_no_row(make_run, rows):
    record = vars(make_run())
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    names = [f"process-{number}" for number in range(PROCESSES)]
    children = [context.Process(target=append_many, args=(record, name, rows, barrier)) for name in names]
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=600)
    assert [child.exitcode for child in children] == [0] * PROCESSES
    assert sorted(ids()) == sorted(f"{name}-{number}" for name in names for number in range(rows))
    for name in names:
        own = [run_id for run_id in ids() if run_id.startswith(name + "-")]
        assert own == [f"{name}-{number}" for number in range(rows)]
    assert {path.name for path in paths.runs().iterdir()} <= {"experiment_log.csv", "experiment_log.lock"}


def keep_appending(record: dict, name: str, finished: int) -> None:
    """Append rows until somebody kills this process; say each finished row's id through a pipe."""
    for number in itertools.count():
        experiment_log.append(Run(**record | {"run_id": f"{name}-{number}"}))
        os.write(finished, f"{name}-{number}\n".encode())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="killing a forked process needs Linux or macOS")
@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.full])])
def test_a_kill_at_any_moment_costs_no_finished_row(make_run, kills):
    rng, record, finished = random.Random(3), vars(make_run()), set()
    began = time.perf_counter()
    experiment_log.append(make_run())
    # On a busy machine a row takes longer, and some must be finished before the kill.
    longest = min(0.1 + 5 * (time.perf_counter() - began), 1.0)
    for number in range(kills):
        if number % 50 == 0:
            # A longer log makes a kill in the middle of writing likelier; one without end only makes it slow.
            experiment_log.log_file().unlink(missing_ok=True)
            finished.clear()
        reader, writer = os.pipe()
        child = multiprocessing.get_context("fork").Process(
            target=keep_appending, args=(record, f"kill-{number}", writer)
        )
        child.start()
        os.close(writer)
        time.sleep(rng.uniform(0.0, longest))
        child.kill()
        child.join(timeout=30)
        with open(reader, encoding="utf-8") as told:
            finished.update(told.read().split())
        found = ids()
        assert finished <= set(found)
        # The last row may have got in just before its name was told.
        assert len(found) == len(set(found)) <= len(finished) + 1 + number
    assert finished
    experiment_log.append(make_run(run_id="afterwards"))
    assert {path.name for path in paths.runs().iterdir()} == {"experiment_log.csv", "experiment_log.lock"}


@pytest.mark.parametrize(("number", "text"), [(28, "No space left on device"), (13, "Permission denied")])
def test_a_log_that_cannot_be_written_is_one_line_and_stays_as_it_was(make_run, monkeypatch, number, text):
    experiment_log.append(make_run(run_id="run-1"))
    before = experiment_log.log_file().read_bytes()

    def refuse(path, content):
        raise OSError(number, text)

    monkeypatch.setattr(experiment_log, "write_whole", refuse)
    with pytest.raises(RunError, match=text) as told:
        experiment_log.append(make_run(run_id="run-2"))
    assert "append(last_run('run-2'))" in str(told.value)
    assert experiment_log.log_file().read_bytes() == before


def test_every_dial_of_a_run_is_in_its_row(make_run):
    run = make_run(dials={"AGREEMENT": "75"})
    experiment_log.append(run)
    assert experiment_log.read_log()["Other dials"].tolist() == [
        "AGREEMENT=75 LABEL_NOISE=0.0 PRECISION=auto SPEED=fast"
    ]


def test_a_note_survives_when_its_run_is_logged_again(make_run):
    experiment_log.append(make_run(run_id="run-1"))
    rows = raw_rows()
    rows[1][LOG_COLUMNS.index("Notes")] = "mine"
    with experiment_log.log_file().open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    experiment_log.append(make_run(run_id="run-1", final={"val_accuracy": 0.9}))
    assert experiment_log.read_log().loc[0, ["Accuracy", "Notes"]].tolist() == ["0.900", "mine"]


def test_the_log_lies_where_the_runs_lie(workshop_folders: Path):
    assert experiment_log.log_file() == workshop_folders / "runs" / "experiment_log.csv"


# The worksheet's row


@pytest.mark.parametrize("row", [worksheet.worksheet_row, worksheet.baseline_row])
def test_a_worksheet_row_has_a_cell_for_every_column(make_run, diverged_run, row):
    for run in (make_run(), diverged_run, make_run(losses=[], epochs=[], final=None, baseline={}, majority={})):
        text = row(run)
        assert text.startswith("| ") and text.endswith(" |")
        assert len(text.strip("|").split("|")) == len(WORKSHEET_COLUMNS) == 12
        assert not [word for word in ("None", "nan") if word in text]


def test_a_worksheet_row_says_what_the_run_did(make_run):
    cells = [cell.strip() for cell in worksheet.worksheet_row(make_run()).strip("|").split("|")]
    assert cells[1:] == [
        "JUST_RIGHT", "0.0001", "constant", "2", "800", "0.450", "0.600", "0.780", "0.760", "+0.040", "",
    ]  # fmt: skip


def test_empty_numbers_stay_empty_in_the_row_of_a_diverged_run(diverged_run):
    cells = [cell.strip() for cell in worksheet.worksheet_row(diverged_run).strip("|").split("|")]
    assert cells[6:8] == ["", ""]


def test_the_baseline_row_says_that_the_head_is_untrained(make_run):
    cells = [cell.strip() for cell in worksheet.baseline_row(make_run()).strip("|").split("|")]
    assert (cells[0], cells[6], cells[-1]) == ("Baseline", "1.100", "untrained head; tiny")
    assert cells[1:6] == [""] * 5


# Tables


def test_before_and_after_stand_under_the_majority_class(make_run):
    found = run_tables.before_after(make_run())
    assert found.index.tolist() == ["majority class", "before training", "after training"]
    assert found.loc["majority class", "accuracy"] == "0.520"
    assert found.loc["majority class", "accuracy gap"] == ""
    assert found.loc["after training", "accuracy"] == "0.780 (0.72 to 0.83)"
    assert found.loc["after training", "accuracy gap"] == "+0.040 (-0.03 to +0.11)"


def test_the_table_of_a_diverged_run_has_empty_losses(diverged_run):
    found = run_tables.before_after(diverged_run)
    assert found.loc["after training", ["validation loss", "training loss"]].tolist() == ["", ""]
    assert found.loc["before training", "validation loss"] == "1.100"


def test_the_closed_test_part_has_no_score(make_run):
    closed = run_tables.validation_and_test(make_run())
    assert closed.loc["test"].tolist() == ["", "", "", "never"]
    opened = run_tables.validation_and_test(
        make_run(
            test={"opened": "once", "accuracy": 0.7, "accuracy_interval": [0.64, 0.75], "f1_macro": 0.6, "size": 250}
        )
    )
    assert opened.loc["test"].tolist() == ["0.700 (0.64 to 0.75)", "0.600", 250, "once"]


def test_the_verdict_is_told_with_its_reasons_and_the_next_dial(make_run):
    run = make_run()
    run.diagnosis = diagnose(run).as_dict()
    lines = run_tables.verdict_text(run).splitlines()
    assert lines[0] == "Verdict: just right"
    assert lines[1:-1] == run.diagnosis["reasons"]
    assert lines[-1].startswith("Next dial: ")
