"""The worksheet: filled once, never at the cost of what somebody typed."""

import re
import sys
import zipfile

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import room_run

from tuning import folders, journal, worksheet, worksheet_export
from tuning.dials import Dials
from tuning.errors import WorksheetError
from tuning.log import WORKSHEET_COLUMNS
from tuning.markdown_tables import find_table
from tuning.worksheet import CONVERGENCE_COLUMNS, PREDICTION_COLUMNS, TEMPLATE, filled

TABLES = (WORKSHEET_COLUMNS, PREDICTION_COLUMNS, CONVERGENCE_COLUMNS)
TEXT = TEMPLATE.read_text(encoding="utf-8")


def rows(text: str, columns=WORKSHEET_COLUMNS) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in find_table(text, columns).rows]


def typed_characters_stay(old: str, new: str) -> bool:
    """Every character of the old text, blanks aside, stands in the new one in the same order."""
    left = iter(new)
    return all(character in left for character in old if not character.isspace())


# The template is the contract


@pytest.mark.parametrize("columns", TABLES)
def test_the_handout_has_each_table_once(columns):
    table = find_table(TEXT, columns)
    assert not isinstance(table, str)
    assert all(not "".join(row[1:]).strip() for row in table.rows)


def test_the_handout_has_all_its_parts():
    assert re.findall(r"^## (Part [A-E]|Task 6 mapping)", TEXT, re.MULTILINE) == [
        "Part A", "Part B", "Part C", "Part D", "Part E", "Task 6 mapping",
    ]  # fmt: skip
    assert re.findall(r"^### (A\d)\.", TEXT, re.MULTILINE) == ["A1", "A2", "A3", "A4"]
    assert re.findall(r"^### (C\d)\.", TEXT, re.MULTILINE) == [f"C{number}" for number in range(1, 8)]
    assert rows(TEXT)[0][0] == "Baseline"


# Filling


def test_filling_makes_the_learners_copy_and_leaves_the_handout(make_run, keep_run):
    keep_run(make_run())
    told = journal.fill_worksheet()
    assert "+| 20260105-090000-just-right |" in told
    assert worksheet.worksheet_file().is_file()
    assert TEMPLATE.read_text(encoding="utf-8") == TEXT


def test_baseline_and_run_are_written_with_their_numbers(make_run, keep_run):
    keep_run(make_run())
    journal.fill_worksheet()
    found = rows(worksheet.read_worksheet())
    assert found[0] == ["Baseline", "", "", "", "", "", "1.100", "1.100", "0.300", "0.200", "+0.010", "untrained head"]
    assert found[1] == [
        "20260105-090000-just-right", "JUST_RIGHT", "0.0001", "constant", "2", "800",
        "0.450", "0.600", "0.780", "0.760", "+0.040", "",
    ]  # fmt: skip
    convergence = rows(worksheet.read_worksheet(), CONVERGENCE_COLUMNS)[0]
    assert convergence == [
        "20260105-090000-just-right",
        "1.100",
        "0.700",
        "0.450",
        "-0.250",
        "still falling",
        "12.0",
        "",
    ]


def test_the_prediction_stands_beside_the_result(make_run, keep_run):
    journal.predict(Dials(), "stalled", 0.4)
    keep_run(make_run(started="2036-01-05T09:00:00+00:00", diagnosis={"verdict": "just right"}))
    journal.fill_worksheet()
    row = rows(worksheet.read_worksheet(), PREDICTION_COLUMNS)[0]
    assert (row[1], row[2], row[4], row[5]) == ("stalled", "0.40", "moving", "0.760")


def test_filling_again_changes_nothing_and_makes_no_backup(make_run, keep_run):
    keep_run(make_run())
    journal.fill_worksheet()
    before = worksheet.worksheet_file().read_bytes()
    assert "in it already" in journal.fill_worksheet()
    assert worksheet.worksheet_file().read_bytes() == before
    assert not (folders.work() / "backups").exists()


def test_more_runs_than_empty_rows_are_added_below(make_run):
    runs = [make_run(run_id=f"run-{number}") for number in range(1, 8)]
    text, notices = filled(TEXT, runs)
    assert notices == []
    for columns in TABLES:
        assert [row[0] for row in rows(text, columns) if row[0] != "Baseline"] == [f"run-{n}" for n in range(1, 8)]
    assert text.replace("\n", "").count("## Part C") == 1


def test_what_the_learner_typed_stays_to_the_last_character(make_run, keep_run):
    keep_run(make_run(run_id="run-1"), minutes=2)
    journal.fill_worksheet()
    path = worksheet.worksheet_file()
    mine = path.read_text(encoding="utf-8")
    mine = mine.replace("| +0.040 |   |", "| +0.040 | *good*, but \\| slow   |").replace(
        "Curves A to D", "Curves A to D (mine)"
    )
    mine = (
        mine.replace("**Your answer:**\n", "**Your answer:** It moved.   \n\n  - indented\t\n", 1)
        + "my last line, no end"
    )
    path.write_text(mine, encoding="utf-8")
    keep_run(make_run(run_id="run-2"))
    journal.fill_worksheet()
    after = path.read_text(encoding="utf-8")
    assert typed_characters_stay(mine, after)
    assert [line for line in mine.splitlines() if line.strip("| ") and line not in after.splitlines()] == []
    (kept,) = (folders.work() / "backups").iterdir()
    assert kept.read_text(encoding="utf-8") == mine


def test_a_row_filled_by_hand_is_left_alone(make_run):
    by_hand = "| run-1 | mine | | | | | | | 0.99 | | | hand |"
    text = TEXT.replace("|  |  |  |  |  |  |  |  |  |  |  |  |", by_hand, 1)
    new, _ = filled(text, [make_run(run_id="run-1")])
    assert by_hand in new
    assert [row[0] for row in rows(new)].count("run-1") == 1


@pytest.mark.parametrize("mark", ["~~run-1~~", "**run-1**", "`run-1`", "~~run-1 (group: Blue)~~", " run-1 "])
def test_a_marked_run_counts_as_there(make_run, mark):
    text = TEXT.replace("| Baseline |", f"| {mark} | | | | | | | | | | | |\n| Baseline |", 1)
    new, _ = filled(text, [make_run(run_id="run-1")])
    assert len(rows(new)) == len(rows(text))


def test_a_baseline_written_by_hand_stays(make_run):
    text = TEXT.replace("| Baseline |  |  |  |  |  |  |  |  |", "| Baseline |  |  |  |  |  |  |  | 0.31 |", 1)
    new, _ = filled(text, [make_run()])
    assert rows(new)[0][8] == "0.31"
    assert rows(new)[0][6] == ""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_ends_stay_as_they_are(make_run, ending):
    new, _ = filled(TEXT.replace("\n", ending), [make_run(run_id=f"run-{number}") for number in range(9)])
    assert set(re.findall(r"\r?\n", new)) == {ending}


def test_a_file_in_another_encoding_keeps_its_bytes(make_run, keep_run):
    folders.work().mkdir()
    raw = TEXT.replace("| Name | |", "| Name | René |").encode("cp1252")
    worksheet.worksheet_file().write_bytes(raw)
    keep_run(make_run())
    assert "just-right" in journal.fill_worksheet()
    assert "René".encode("cp1252") in worksheet.worksheet_file().read_bytes()


def test_a_byte_order_mark_and_line_ends_of_windows_stay(make_run, keep_run):
    folders.work().mkdir()
    worksheet.worksheet_file().write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    keep_run(make_run())
    assert "just-right" in journal.fill_worksheet()
    after = worksheet.worksheet_file().read_bytes()
    assert after.startswith(b"\xef\xbb\xbf# ")
    assert after.count(b"\n") == after.count(b"\r\n")


def test_a_file_that_is_no_plain_text_is_left_alone_in_one_line(make_run, keep_run):
    folders.work().mkdir()
    raw = TEXT.encode("utf-16")
    worksheet.worksheet_file().write_bytes(raw)
    keep_run(make_run())
    for cell in (journal.fill_worksheet, journal.evidence, journal.export_worksheet):
        with pytest.raises(WorksheetError, match="is no plain text in UTF-8"):
            cell()
    assert worksheet.worksheet_file().read_bytes() == raw


def test_a_damaged_run_does_not_stand_in_the_way_of_the_others(make_run, keep_run):
    for number in (1, 2):
        keep_run(make_run(run_id=f"run-{number}"))
    (folders.runs() / "run-1" / "run.json").write_text("damaged")
    told = journal.fill_worksheet()
    assert "+| run-2 |" in told
    assert "run-1/run.json: this run is damaged" in told.splitlines()[-1]
    assert journal.labs_compared().index.tolist() == ["run-2"]


def test_the_table_of_both_labs_says_what_each_run_was_trained_on(make_run, keep_run):
    keep_run(make_run(run_id="run-1"))
    noisy = make_run(run_id="run-2")
    noisy.notebook = "02"
    noisy.dials |= {"LABEL_NOISE": 0.25, "NOISY_VALIDATION": True}
    keep_run(noisy)
    table = journal.labs_compared()
    assert table["lab"].to_dict() == {"run-1": "main", "run-2": "backup"}
    assert (
        table.loc["run-2", "trained on"] == table.loc["run-1", "trained on"] + ", 25% of labels wrong, validation too"
    )


def test_a_worksheet_held_by_another_notebook_is_one_line(make_run, keep_run, monkeypatch):
    keep_run(make_run())
    folders.work().mkdir()
    monkeypatch.setattr(worksheet, "LOCK_SECONDS", 0.05)
    held = FileLock(worksheet.worksheet_file().with_suffix(".lock"))
    with held, pytest.raises(WorksheetError, match="held by another notebook"):
        journal.fill_worksheet()


BROKEN = {
    "heading changed": (lambda text: text.replace("| LR preset |", "| Preset |"), "changed or removed"),
    "column added": (
        lambda text: text.replace("| Gen. gap | Notes |", "| Gen. gap | Notes | Mine |"),
        "changed or removed",
    ),
    "table gone": (lambda text: text.replace("| Run ID | LR preset", "Run ID, LR preset"), "changed or removed"),
    "table twice": (lambda text: text + text, "it is there 2 times"),
    "line below gone": (
        lambda text: text.replace("|\n|---|---|---|---|---|---|---|---|---|---|---|---|", "|"),
        "line below",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_table_changed_beyond_recognition_is_left_alone_and_said(make_run, name):
    change, reason = BROKEN[name]
    text = change(TEXT)
    new, notices = filled(text, [make_run(run_id="run-1")])
    assert reason in notices[0]
    assert any(notice.startswith("| run-1 | JUST_RIGHT") for notice in notices)
    assert isinstance(find_table(new, WORKSHEET_COLUMNS), str)
    if name != "table twice":
        assert rows(new, CONVERGENCE_COLUMNS)[0][0] == "run-1"


BY_HAND = {
    "a bar in a note": ("| run-1 | | | | | | | | | | | fell | then rose |", "fell | then rose", ["run-1"]),
    "cells missing": ("| run-1 | mine |", "", []),
    "no last border": ("| run-1 | | | | | | | | | | | mine", "mine", []),
    "tabs": ("|\trun-1\t|\t" + "|\t" * 10 + "mine\t|", "mine", []),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_row_typed_by_hand_does_not_stand_in_the_way_of_the_others(make_run, name):
    typed, note, overfull = BY_HAND[name]
    text = TEXT.replace("|  |  |  |  |  |  |  |  |  |  |  |  |", typed, 1)
    new, notices = filled(text, [make_run(run_id="run-1"), make_run(run_id="run-2")])
    assert typed in new.splitlines()
    assert [row[0] for row in rows(new)][:3] == ["Baseline", "run-1", "run-2"]
    assert rows(new)[1][-1] == note
    assert find_table(new, WORKSHEET_COLUMNS).overfull == overfull
    assert notices == [
        f'The table "Experiments" of your worksheet: the row "{one}" has more than 12 cells.'
        r" Write \| for a bar that is text."
        for one in overfull
    ]


def test_a_heading_is_found_however_an_editor_set_it(make_run):
    text = TEXT.replace("| Run ID | LR preset |", "|  **Run\u00a0ID** |\tLR  Preset |", 1)
    new, notices = filled(text, [make_run(run_id="run-1")])
    assert (notices, rows(new)[1][0]) == ([], "run-1")


def test_a_name_with_a_border_in_it_stays_in_its_cell(make_run):
    run = make_run(run_id="run-1", dials={"LR_PRESET": "JUST_RIGHT"})
    run.dials["SCHEDULER"] = "a | b\n<script>"
    new, _ = filled(TEXT, [run])
    assert rows(new)[1][3] == r"a \| b &lt;script>"


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("|-~*` \n\r\tBaseline Run ID#x:é"), max_size=200), st.integers(0, len(TEXT)))
def test_whatever_is_typed_anywhere_it_stays(typed, at):
    text = TEXT[:at] + typed + TEXT[at:]
    new, _ = filled(text, RUNS)
    assert typed_characters_stay(text, new)
    assert filled(new, RUNS)[0] == new


RUNS: list = []


@pytest.fixture(autouse=True)
def two_runs(make_run):
    RUNS[:] = [make_run(run_id="run-1"), make_run(run_id="run-2")]


def test_a_file_that_cannot_be_written_is_one_line(make_run, keep_run, monkeypatch):
    keep_run(make_run())

    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worksheet, "_write", full)
    with pytest.raises(WorksheetError, match="No space left on device"):
        journal.fill_worksheet()


# Export


def test_the_worksheet_is_exported_without_anything_that_runs(make_run, keep_run):
    pytest.importorskip("pypandoc")
    keep_run(room_run(make_run, 3, "JUST_RIGHT"))
    journal.fill_worksheet()
    path = worksheet.worksheet_file()
    evil = (
        "<script>alert(1)</script> <img src=x onerror=alert(1)> ![x](http://x/y.png) [z](javascript:alert(1))"
        ' [z](a){onclick="a()"}\n'
    )
    path.write_text(
        path.read_text(encoding="utf-8").replace("**Your answer:**", f"**Your answer:** {evil}", 2), encoding="utf-8"
    )
    document, page = journal.export_worksheet()
    assert document.read_bytes()[:2] == b"PK"
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"<script|<img|<iframe|<[^>]*\son\w+=", text)
    assert "20260105-090300-just-right" in text
    assert len(re.findall("<table", text)) >= 4


def test_no_typed_word_is_lost_on_the_way_out(make_run, keep_run):
    """Pandoc drops the cells that a row has too many."""
    pytest.importorskip("pypandoc")
    keep_run(make_run())
    journal.fill_worksheet()
    path = worksheet.worksheet_file()
    text = path.read_text(encoding="utf-8").replace("| +0.040 |   |", "| +0.040 | fell | thenrose |", 1)
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    document, page = journal.export_worksheet()
    assert "thenrose" in page.read_text(encoding="utf-8")
    with zipfile.ZipFile(document) as parts:
        assert "thenrose" in parts.read("word/document.xml").decode()
    assert re.search(r"<h1\s[^>]*>Activity\sWorksheet", page.read_text(encoding="utf-8"))


def test_the_exported_tables_fit_their_page(make_run, keep_run):
    """Twelve columns need a page on its side, and no heading may be broken inside a word."""
    pytest.importorskip("pypandoc")
    keep_run(room_run(make_run, 3, "JUST_RIGHT"))
    journal.fill_worksheet()
    document, _ = journal.export_worksheet()
    with zipfile.ZipFile(document) as parts:
        xml = parts.read("word/document.xml").decode()
    width, height, left, right = (
        int(re.search(rf'<w:pg(?:Sz|Mar)[^>]* w:{key}="(\d+)"', xml)[1]) for key in ("w", "h", "left", "right")
    )
    assert width > height
    grids = [list(map(int, re.findall(r'w:w="(\d+)"', grid))) for grid in re.findall("<w:tblGrid>.*?</w:tblGrid>", xml)]
    (experiments,) = [grid for grid in grids if len(grid) == len(WORKSHEET_COLUMNS)]
    rooms = [(width - left - right) * part / sum(experiments) for part in experiments]
    # Nine points: a letter is about 100 twentieths of a point wide, and a cell has 108 of margin on either side.
    longest = [max(len(word) for word in re.split(r"[ -]", name)) for name in WORKSHEET_COLUMNS]
    assert [
        name
        for name, room, letters in zip(WORKSHEET_COLUMNS, rooms, longest, strict=True)
        if room < 216 + 100 * letters
    ] == []


def test_the_dashes_of_a_table_say_how_wide_its_columns_are():
    text = "| Run | What I learned | Notes |\r\n|---|:-:|---|\r\n| a-b | x | y |\r\n\r\n| no | table |\r\n"
    widened = worksheet_export._with_widths(text)
    assert [len(part) for part in widened.splitlines()[1].strip("|").split("|")] == [
        6,
        10,
        worksheet_export.WRITING_ROOM,
    ]
    assert [line for line in widened.splitlines() if "-|-" not in line] == [
        line for line in text.splitlines() if "-|" not in line
    ]


def test_a_file_that_word_has_open_is_one_line(make_run, keep_run):
    pytest.importorskip("pypandoc")
    keep_run(make_run())
    journal.fill_worksheet()
    worksheet.worksheet_file().with_suffix(".docx").mkdir()
    with pytest.raises(WorksheetError, match=r"\.docx cannot be written .*Word has it open") as told:
        journal.export_worksheet()
    assert "\n" not in str(told.value)


def test_export_without_a_worksheet_names_the_section():
    with pytest.raises(WorksheetError, match="Fill your worksheet"):
        journal.export_worksheet()


def test_export_without_pandoc_says_what_to_do(make_run, keep_run, monkeypatch):
    keep_run(make_run())
    journal.fill_worksheet()
    monkeypatch.setitem(sys.modules, "pypandoc", None)
    with pytest.raises(WorksheetError, match="pip install pypandoc-binary"):
        journal.export_worksheet()
