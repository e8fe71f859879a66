"""The worksheet: the learner alone changes it, and the filled copy loses nothing that somebody typed."""

import html
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.rooms import room_run
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning import paths
from tuning.dials import Dials
from tuning.errors import WorksheetError
from tuning.evidence import predictions, run_tables, task6, worksheet, worksheet_export
from tuning.evidence.log_rows import WORKSHEET_COLUMNS
from tuning.evidence.markdown_tables import find_table
from tuning.evidence.worksheet import CONVERGENCE_COLUMNS, PREDICTION_COLUMNS, TEMPLATE, filled, filled_file
from tuning.evidence.worksheet_blocks import FIELDS, find_blocks, is_number

TABLES = (WORKSHEET_COLUMNS, PREDICTION_COLUMNS, CONVERGENCE_COLUMNS)
TEXT = TEMPLATE.read_text(encoding="utf-8")


def rows(text: str, columns=WORKSHEET_COLUMNS) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in find_table(text, columns).rows]


def typed(field: str, value: str, block: str = "- Run ID:\n", text: str = TEXT) -> str:
    """The worksheet after somebody has typed behind a field of the first empty block of runs, or of another block."""
    at = text.index(f"- {field}:", text.index(block))
    return text[:at] + f"- {field}: {value}" + text[at + len(f"- {field}:") :]


def about(run_id: str, field: str, value: str, text: str = TEXT) -> str:
    return typed("Run ID", run_id, text=typed(field, value, text=text))


# The template is the contract


def test_the_form_has_a_block_for_the_baseline_and_for_runs_with_all_fields_in_their_order():
    blocks = find_blocks(TEXT)
    assert [block.typed["Run ID"] for block in blocks] == ["Baseline", "", ""]
    lines = TEXT.splitlines()
    for block, fields in zip(blocks, (WORKSHEET_COLUMNS, FIELDS, FIELDS), strict=True):
        named = [line[2:].partition(":")[0] for line in lines[block.first : block.end] if line.startswith("- ")]
        assert named == list(fields)


def test_the_form_is_narrow_enough_for_the_pane_beside_the_notebook():
    assert max(map(len, TEXT.splitlines())) <= 120


def test_the_handout_has_all_its_parts():
    assert re.findall(r"^## (Part [A-E]|Task 6 mapping)", TEXT, re.MULTILINE) == [
        "Part A", "Part B", "Part C", "Part D", "Part E", "Task 6 mapping",
    ]  # fmt: skip
    assert re.findall(r"^### (A\d)\.", TEXT, re.MULTILINE) == ["A1", "A2", "A3", "A4"]
    assert re.findall(r"^### (C\d)\.", TEXT, re.MULTILINE) == [f"C{number}" for number in range(1, 8)]


# One writer for each file


def test_the_learners_copy_is_made_once_and_never_written_again(make_run, keep_run):
    keep_run(make_run())
    worksheet.fill_worksheet()
    own = worksheet.worksheet_file()
    assert own.read_bytes() == TEMPLATE.read_bytes()
    before = own.stat().st_mtime_ns
    keep_run(make_run(run_id="run-2"))
    worksheet.fill_worksheet()
    task6.evidence()
    assert own.stat().st_mtime_ns == before, "an open editor would ask whose version to lose"


def test_filling_says_what_it_wrote_from_what_and_what_to_press(make_run, keep_run):
    keep_run(make_run())
    worksheet.fill_worksheet()
    os.utime(worksheet.worksheet_file(), (0, 0))
    lines = worksheet.fill_worksheet().splitlines()
    assert lines[0].endswith("Activity_Worksheet_filled.md, with 1 run.")
    assert re.search(r"Activity_Worksheet\.md, saved at \d\d:\d\d\.$", lines[1])
    assert "Ctrl+S" in lines[2] and "run this cell again" in lines[2]
    assert lines[3].startswith("No note of yours yet on 20260105-090000-just-right.")


def test_a_filled_copy_that_somebody_changed_is_kept(make_run, keep_run):
    keep_run(make_run())
    worksheet.fill_worksheet()
    worksheet.fill_worksheet()
    assert not filled_file().with_name("Activity_Worksheet_filled-2.md").exists()
    mine = filled_file().read_text(encoding="utf-8") + "typed into the wrong file"
    filled_file().write_text(mine, encoding="utf-8")
    assert "Activity_Worksheet_filled-2.md" in worksheet.fill_worksheet()
    assert filled_file().read_text(encoding="utf-8") == mine


# Filling


def test_baseline_and_run_are_written_with_their_numbers(make_run):
    text, _ = filled(TEXT, [make_run()])
    assert rows(text) == [
        ["Baseline", "", "", "", "", "", "1.100", "1.100", "0.300", "0.200", "+0.010", "untrained head; tiny"],
        [
            "20260105-090000-just-right", "JUST_RIGHT", "0.0001", "constant", "2", "800",
            "0.450", "0.600", "0.780", "0.760", "+0.040", "",
        ],
    ]  # fmt: skip
    assert rows(text, CONVERGENCE_COLUMNS) == [
        ["20260105-090000-just-right", "1.100", "0.700", "0.450", "-0.250", "still falling", "12.0", ""]
    ]


def test_the_prediction_stands_beside_the_result(make_run, keep_run):
    predictions.predict(Dials(), "stalled", 0.4)
    keep_run(make_run(started="2036-01-05T09:00:00+00:00", diagnosis={"verdict": "just right"}))
    worksheet.fill_worksheet()
    row = rows(filled_file().read_text(encoding="utf-8"), PREDICTION_COLUMNS)[0]
    assert (row[1], row[2], row[4], row[5]) == ("stalled", "0.40", "moving", "0.760")


def test_every_run_has_one_row_in_each_table(make_run):
    runs = [make_run(run_id=f"run-{number}") for number in range(1, 8)]
    text, _ = filled(TEXT, runs)
    for columns in TABLES:
        assert [row[0] for row in rows(text, columns) if row[0] != "Baseline"] == [f"run-{n}" for n in range(1, 8)]
    assert "- LR value:" not in text, "the empty blocks give way to the tables"
    assert text.count("## Part C") == 1


def test_typed_sentences_join_the_numbers_of_their_run(make_run):
    text = about("just-right", "Notes", "fell fast \\| then slow,\n  as I had expected", TEXT)
    text = typed("What the difference tells us", "nothing yet", text=text, block="- Run ID: just-right")
    text = typed("Go on or stop, and why", "stop: flat", text=text, block="- Run ID: just-right")
    text = typed("Notes", "majority: 0.57", text=text, block="- Run ID: Baseline")
    new, notices = filled(text, [make_run()])
    assert notices == []
    assert rows(new)[0][-1] == "majority: 0.57"
    assert rows(new)[1][8:] == ["0.780", "0.760", "+0.040", r"fell fast \| then slow, as I had expected"]
    assert rows(new, PREDICTION_COLUMNS)[0][-1] == "nothing yet"
    assert rows(new, CONVERGENCE_COLUMNS)[0][-1] == "stop: flat"


@pytest.mark.parametrize("name", ["JUST_RIGHT", "just-right", " **just-right** ", "20260105-090000-just-right"])
def test_a_run_is_known_by_its_id_or_by_a_part_that_no_other_has(make_run, name):
    low = make_run(run_id="20260105-091000-too-low")
    new, notices = filled(about(name, "Notes", "my note"), [make_run(), low])
    assert rows(new)[1][-1] == "my note"
    assert len(notices) == 1, "on the other run"


def test_a_name_that_fits_two_runs_and_a_block_without_a_name_are_said_and_kept(make_run):
    runs = [make_run(run_id="run-1-low"), make_run(run_id="run-2-low")]
    new, notices = filled(about("low", "Notes", "which one"), runs)
    assert notices[0] == 'Run ID "low" of Part B fits several runs: run-1-low, run-2-low. Write the whole of it.'
    assert [row[-1] for row in rows(new)] == ["untrained head; tiny", "", "", "which one"]
    new, notices = filled(typed("Notes", "whose"), runs)
    assert notices[0].startswith("A block of Part B has no Run ID.")
    assert rows(new)[-1][-1] == "whose"


def test_a_run_that_was_struck_through_stays_struck(make_run):
    new, _ = filled(about("~~run-1~~", "Notes", "wrong data"), [make_run(run_id="run-1")])
    assert rows(new)[1][0] == "~~run-1~~"


def test_a_run_written_by_hand_is_a_row_of_its_own(make_run):
    new, _ = filled(about("from a neighbour", "Accuracy", "0.99"), [make_run(run_id="run-1")])
    assert [row[0] for row in rows(new)] == ["Baseline", "run-1", "from a neighbour"]
    assert rows(new)[2][8] == "0.99"
    assert len(rows(new, CONVERGENCE_COLUMNS)) == 1


def test_a_number_that_differs_from_the_record_stays_below_the_tables(make_run):
    new, _ = filled(about("run-1", "Accuracy", "0.99"), [make_run(run_id="run-1")])
    assert rows(new)[1][8] == "0.780"
    assert "- Accuracy: 0.99" in new
    for rounded in ("0.78", "0.8", ".78"):
        new, _ = filled(about("run-1", "Accuracy", rounded), [make_run(run_id="run-1")])
        assert "- Accuracy:" not in new, "copied from a table with fewer places"


@pytest.mark.parametrize("note", ["fell fast", "0.7 or so", "1 2", "none", ""])
def test_a_note_in_a_field_of_numbers_is_not_a_number(note):
    assert not is_number(note)
    assert all(map(is_number, ("0.7", " 1.101 ", "-0.04", "+0,02", "78 %", ".5")))


@pytest.mark.parametrize("raw", [TEXT.encode("cp1252"), b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()])
def test_a_worksheet_saved_by_any_editor_is_read_and_left_as_it_is(make_run, keep_run, raw):
    paths.work().mkdir()
    raw = raw.replace(b"| Name | |", b"| Name | Ren\xe9 |")
    worksheet.worksheet_file().write_bytes(raw)
    keep_run(make_run())
    worksheet.fill_worksheet()
    assert rows(filled_file().read_text(encoding="utf-8"))[1][0] == "20260105-090000-just-right"
    assert worksheet.worksheet_file().read_bytes() == raw


def test_a_file_that_is_no_plain_text_is_left_alone_in_one_line(make_run, keep_run):
    paths.work().mkdir()
    raw = TEXT.encode("utf-16")
    worksheet.worksheet_file().write_bytes(raw)
    keep_run(make_run())
    for cell in (worksheet.fill_worksheet, task6.evidence, worksheet_export.export_worksheet):
        with pytest.raises(WorksheetError, match="is not plain text in UTF-8"):
            cell()
    assert worksheet.worksheet_file().read_bytes() == raw


def test_a_damaged_run_does_not_stand_in_the_way_of_the_others(make_run, keep_run):
    for number in (1, 2):
        keep_run(make_run(run_id=f"run-{number}"))
    (paths.runs() / "run-1" / "run.json").write_text("damaged")
    told = worksheet.fill_worksheet()
    assert [row[0] for row in rows(filled_file().read_text(encoding="utf-8"))] == ["Baseline", "run-2"]
    assert "run-1/run.json: this run is damaged" in told.splitlines()[-1]
    assert run_tables.labs_compared().index.tolist() == ["run-2"]


def test_the_table_of_both_labs_says_what_each_run_was_trained_on(make_run, keep_run):
    keep_run(make_run(run_id="run-1"))
    noisy = make_run(run_id="run-2")
    noisy.notebook = "02"
    noisy.dials |= {"LABEL_NOISE": 0.25, "NOISY_VALIDATION": True}
    keep_run(noisy)
    table = run_tables.labs_compared()
    assert table["lab"].to_dict() == {"run-1": "main", "run-2": "backup"}
    assert (
        table.loc["run-2", "trained on"] == table.loc["run-1", "trained on"] + ", 25% of labels wrong, validation too"
    )


@pytest.mark.parametrize("text", ["", "my own words", TEXT + TEXT, TEXT.replace("- Run ID:", "- Run:")])
def test_a_worksheet_without_its_form_still_gets_the_tables(make_run, text):
    new, _ = filled(text, [make_run(run_id="run-1")])
    assert "run-1" in [row[0] for row in rows(new)]
    assert all(line in new for line in text.splitlines() if "Answer" in line or "own" in line)


def test_a_name_with_a_border_in_it_stays_in_its_cell(make_run):
    run = make_run(run_id="run-1", dials={"LR_PRESET": "JUST_RIGHT"})
    run.dials["SCHEDULER"] = "a | b\n<script>"
    new, _ = filled(TEXT, [run])
    assert rows(new)[1][3] == r"a \| b &lt;script>"


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet=st.sampled_from("|-~*` \n\r\tBaseline Run ID#x:é"), max_size=200),
    st.text(alphabet=st.sampled_from("|-~*` \n\r\tBaseline Run ID#x:é"), max_size=20),
    st.integers(0, len(TEXT)),
)
def test_whatever_is_typed_anywhere_its_words_are_in_the_filled_copy(before, after, at):
    new, _ = filled(TEXT[:at] + before + " zebra " + after + TEXT[at:], RUNS)
    assert "zebra" in new
    assert {"run-1", "run-2"} <= {row[0].strip("~") for row in rows(new)}


RUNS: list = []


@pytest.fixture(autouse=True)
def two_runs(make_run):
    RUNS[:] = [make_run(run_id="run-1"), make_run(run_id="run-2")]


def test_a_file_that_cannot_be_written_is_one_line(make_run, keep_run, monkeypatch):
    keep_run(make_run())

    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worksheet, "write_whole", full)
    with pytest.raises(WorksheetError, match="No space left on device"):
        worksheet.fill_worksheet()


# Export


def test_the_worksheet_is_exported_without_anything_that_runs(make_run, keep_run):
    pytest.importorskip("pypandoc")
    keep_run(room_run(make_run, 3, "JUST_RIGHT"))
    worksheet.fill_worksheet()
    path = worksheet.worksheet_file()
    evil = (
        "<script>alert(1)</script> <img src=x onerror=alert(1)> ![x](http://x/y.png) [z](javascript:alert(1))"
        ' [z](a){onclick="a()"}\n'
    )
    path.write_text(
        path.read_text(encoding="utf-8").replace("**Your answer:**", f"**Your answer:** {evil}", 2), encoding="utf-8"
    )
    document, page = worksheet_export.export_worksheet()
    assert document.name == "Activity_Worksheet_filled.docx"
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
    worksheet.fill_worksheet()
    path = worksheet.worksheet_file()
    text = about("just-right", "Notes", "fell | thenrose") + "\n| a | b |\n|---|---|\n| c | fell | thensank |\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    document, page = worksheet_export.export_worksheet()
    with zipfile.ZipFile(document) as parts:
        exported = page.read_text(encoding="utf-8"), parts.read("word/document.xml").decode()
    assert all("thenrose" in text and "thensank" in text for text in exported)
    assert re.search(r"<h1\s[^>]*>Activity\sWorksheet", page.read_text(encoding="utf-8"))


LINKS = (
    "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(2)) [c](data:text/html,x) [d](file:///etc/passwd) [e](//host/x)"
    " [f](vbscript:x) [g][ref] <javascript:alert(3)> [h](<\\\\host\\share>) [i](Cheat_Sheet.md) [ok](https://example.org)"
    " [k](ms-word:ofe|u|http://x) [l]( javascript:alert(4)) [m](&#106;avascript:alert(5)) ![n](file:///etc/x.png)"
    "\n\n[ref]: javascript:alert(6)\n"
)


def exported(document: Path, page: Path) -> tuple[str, str]:
    """The text of the page, and all parts of the Word file."""
    with zipfile.ZipFile(document) as parts:
        inside = "\n".join(parts.read(name).decode() for name in parts.namelist() if name.endswith((".xml", ".rels")))
    return page.read_text(encoding="utf-8"), inside


def test_links_that_do_something_are_dropped_from_both_files():
    pytest.importorskip("pypandoc")
    worksheet.own_copy()
    path = worksheet.worksheet_file()
    path.write_text(path.read_text(encoding="utf-8") + "\n" + LINKS, encoding="utf-8")
    page, inside = exported(*worksheet_export.export_worksheet())
    targets = {*re.findall(r'href="([^"]*)"', page), *re.findall(r'Target="([^"]*)" TargetMode="External"', inside)}
    assert targets <= {"https://example.org"} | {target for target in targets if target.startswith("#")}
    assert "https://example.org" in page and "https://example.org" in inside
    assert not re.search("instrText[^<]*<?[^>]*HYPERLINK", inside)


NOTES = ["- lower than I thought", "-- and -0.02 ...", "--- so", "-", '"quoted" it\'s', "=1+1", "+ more"]


def test_a_note_keeps_its_letters_on_the_way_out():
    pytest.importorskip("pypandoc")
    worksheet.own_copy()
    path = worksheet.worksheet_file()
    rows = "".join(f"| run-{place} | {note} |\n" for place, note in enumerate(NOTES))
    table = f"\n\n| Run | Notes |\n|---|---|\n{rows}| - | - |\n| after | it |\n"
    path.write_text(path.read_text(encoding="utf-8") + table, encoding="utf-8")
    page, inside = exported(*worksheet_export.export_worksheet())
    shown = html.unescape(re.sub(r"\s+", " ", page)), html.unescape(inside)
    for note in [*NOTES, "after"]:
        assert f"<td>{note}</td>" in shown[0] or re.search(rf"<td[^>]*>{re.escape(note)}</td>", shown[0]), note
        assert re.search(rf">{re.escape(note)}<", shown[1]), note
    assert len(re.findall(r"<td[^>]*>-</td>", shown[0])) == 3


def test_what_was_typed_into_an_exported_file_stays():
    pytest.importorskip("pypandoc")
    worksheet.own_copy()
    document, page = worksheet_export.export_worksheet()
    assert worksheet_export.export_worksheet() == [document, page]
    document.write_bytes(document.read_bytes() + b"typed in Word")
    typed = document.read_bytes()
    second, again = worksheet_export.export_worksheet()
    assert (second.name, again) == ("Activity_Worksheet_filled-2.docx", page)
    assert document.read_bytes() == typed


@pytest.mark.parametrize(("number", "words"), [(28, "No space left on device"), (30, "Read-only file system")])
def test_an_export_that_cannot_be_written_is_one_line(monkeypatch, number, words):
    pytest.importorskip("pypandoc")
    worksheet.own_copy()

    def refuse(path, content):
        raise OSError(number, words)

    monkeypatch.setattr(worksheet_export, "write_whole", refuse)
    with pytest.raises(WorksheetError, match=words) as told:
        worksheet_export.export_worksheet()
    assert "\n" not in str(told.value)


CELLS = {
    "a break": ("one<br>two<BR/>three<br /> four", "one|two|three|four"),
    "a bar": (r"left \| right", "left \u00a6 right"),
    "a bar in code": ("`p|q` or ``r | s``", "p\u00a6q or r \u00a6 s"),
    "a bar in code, as a table wants it": (r"`p\|q`", "p\u00a6q"),
    "a break in code": ("`<br>`", "<br>"),
    "a lonely backtick": ("it`s", "it`s"),
}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_breaks_and_bars_of_a_cell_come_out_as_they_were_meant(make_run, keep_run, place):
    pytest.importorskip("pypandoc")
    keep_run(make_run())
    worksheet.fill_worksheet()
    path = worksheet.worksheet_file()
    rows = [
        [typed if at == place else "it`s" if "it" in typed else "x" for at in range(3)] for typed, _ in CELLS.values()
    ]
    table = "\n".join(["| a | b | zz |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    path.write_text(path.read_text(encoding="utf-8") + f"\n{table}\n", encoding="utf-8")
    document, page = worksheet_export.export_worksheet()
    shown = page.read_text(encoding="utf-8").partition("zz</th>")[2].partition("</thead>")[2]
    for row, (_, meant) in zip(re.findall(r"<tr.*?</tr>", shown, re.DOTALL), CELLS.values(), strict=True):
        columns = re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        assert len(columns) == 3
        text = re.sub(r"<br\s*/?>\s*", "|", columns[place].replace("|", "\u00a6"))
        assert " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split()) == meant
    with zipfile.ZipFile(document) as parts:
        assert len(re.findall("<w:br ?/>", parts.read("word/document.xml").decode())) == 3


def test_the_exported_tables_fit_their_page(make_run, keep_run):
    """Twelve columns need a page on its side, and no heading may be broken inside a word."""
    pytest.importorskip("pypandoc")
    keep_run(room_run(make_run, 3, "JUST_RIGHT"))
    worksheet.fill_worksheet()
    document, _ = worksheet_export.export_worksheet()
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
    worksheet.fill_worksheet()
    worksheet.filled_file().with_suffix(".docx").mkdir()
    with pytest.raises(WorksheetError, match=r"\.docx cannot be written .*Word has it open") as told:
        worksheet_export.export_worksheet()
    assert "\n" not in str(told.value)


def test_export_without_a_worksheet_names_the_section():
    with pytest.raises(WorksheetError, match="Fill your worksheet"):
        worksheet_export.export_worksheet()


def test_export_without_pandoc_says_what_to_do(make_run, keep_run, monkeypatch):
    keep_run(make_run())
    worksheet.fill_worksheet()
    monkeypatch.setitem(sys.modules, "pypandoc", None)
    with pytest.raises(WorksheetError, match="pip install pypandoc-binary"):
        worksheet_export.export_worksheet()


def test_the_filled_copy_names_encoders_and_opened_test_parts(make_run):
    opened = {"opened": "2026-01-05T14:05:00+00:00", "accuracy": 0.7, "f1_macro": 0.66}
    runs = [make_run(run_id="run-1"), make_run(run_id="run-2", test=opened)]
    text, _ = worksheet.filled(worksheet.read_template(), runs)
    assert "Encoder tiny: run-1, run-2." in text
    assert "Test part of run-2, opened 2026-01-05 14:05: accuracy 0.700, macro-F1 0.660." in text
    assert "Test part of run-1" not in text


def test_the_filled_copy_has_every_heading_once_and_its_table_can_stand_alone(make_run):
    text, _ = worksheet.filled(worksheet.read_template(), [make_run()])
    parts = text.partition("### Experiments")[2].partition("### B1")[0]
    headings = re.findall(r"^#+ (.+)$", f"### Experiments{parts}", re.MULTILINE)
    assert len(headings) == len(set(headings))
    table = worksheet.worksheet_table(make_run())
    assert find_table(table, WORKSHEET_COLUMNS).rows[-1][0].strip() == make_run().run_id
    assert all(line in text for line in table.splitlines()[:3])
