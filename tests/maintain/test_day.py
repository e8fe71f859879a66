"""The day: its fixed hours, its two paths, whether each part fits, and the sheet that the coach holds."""

import itertools
import re
import subprocess

import pytest
from helpers.programs import program

from maintain.documents import day as plan
from maintain.documents import reading
from maintain.documents.day import clock, day
from maintain.documents.time_blocks import run_sheet_rows
from maintain.slides import run_sheet
from tuning import paths
from tuning.errors import DocumentError
from tuning.notebook.activities import NAMES

PATHS = pytest.mark.parametrize("alone", [False, True], ids=["room", "alone"])


@PATHS
def test_the_day_keeps_its_fixed_hours_and_order(alone):
    slots = day(alone)
    begins = {slot.title: clock(slot.start) for slot in slots}
    assert (clock(slots[0].start), begins["Lunch"], clock(slots[-1].end)) == ("09:00", "12:00", "16:00")
    assert all(before.end == after.start for before, after in itertools.pairwise(slots))
    order = [name for name in NAMES if name != "going-further"]
    order.insert(order.index("activity-7"), "going-further")
    assert [slot.name for slot in slots if slot.activity] == order
    for slot in slots:
        assert slot.moments[0].start == slot.start
        assert slot.moments[-1].end == slot.end


def test_the_room_has_slack_that_is_no_activity():
    slack = [slot for slot in day() if slot.slack]
    assert {slot.start < 12 * 60 for slot in slack} == {True, False}
    assert sum(slot.minutes for slot in slack) >= 10


def test_the_two_rounds_that_are_compared_are_alike():
    rounds = [moment for slot in day() for moment in slot.moments if "four cases" in moment.name.casefold()]
    rounds += [moment for slot in day() for moment in slot.moments if moment.name == "Four new cases"]
    first, second = rounds
    assert (first.minutes, first.work) == (second.minutes, second.work)


@PATHS
def test_no_task_takes_longer_than_it_has(alone):
    """From the words of the documents and the notebooks, and the seconds of the recorded runs."""
    assert reading.outgrown(alone) == []


def test_a_task_that_outgrows_its_minutes_is_found(monkeypatch):
    monkeypatch.setattr(reading, "WORDS_A_MINUTE", 40)
    assert any(line.startswith("Activity 3: Group Learning Rate Experiment, ") for line in reading.outgrown())


def test_words_are_those_that_a_reader_meets():
    page = (
        "## A task\n\nRead [two words](../far/away.md) here.\n<details>\n<summary>Stuck?</summary>\nFolded part.\n"
        "</details>\n```python\nprint(1)\n```\n![alt text](a.png)\n"
        "<!-- figures: overview begin -->\nnot read\n<!-- figures: overview end -->\n"
    )
    assert reading.words(page) == 6
    assert reading.words(page, folded=True) == 9


def test_a_section_is_read_once():
    rows = {slot.name: own for slot, own in reading.estimates()}
    assert rows["activity-2"][1].cells > 0, "the dials are read in Activity 2"
    assert rows["activity-3"][0].cells == 0, "and only changed in Activity 3"


def test_the_plan_must_name_every_task(tmp_path, monkeypatch):
    text = plan.PLAN.read_text(encoding="utf-8")
    for broken, said in (
        (re.sub(r"    - .say: .Cover the label.*\n", "", text), "activity-2 has 6 tasks, and 5 moments here"),
        (text.replace("  alone: 60\n", ""), "not as its first lines say"),
    ):
        (tmp_path / "day.yaml").write_text(broken, encoding="utf-8")
        monkeypatch.setattr(plan, "PLAN", tmp_path / "day.yaml")
        with pytest.raises(DocumentError, match=said):
            day()


# The run sheet


def test_the_sheet_has_every_moment_with_one_sentence():
    rows = run_sheet_rows()
    moments = [moment for slot in day() for moment in slot.moments]
    assert [row[0] for row in rows] == [clock(moment.start) for moment in moments] + ["16:00"]
    for slot in day():
        assert slot.activity is None or all(moment.say for moment in slot.moments), slot.title
    late = [slot for slot in day() if slot.late]
    assert {slot.name for slot in day() if slot.activity} <= {slot.name for slot in late}


def test_the_printed_sheet_is_that_of_the_day(pdfinfo):
    said = subprocess.run([pdfinfo, str(run_sheet.PRINTED)], check=True, capture_output=True, text=True).stdout
    assert run_sheet.is_up_to_date(), "coach/run_sheet.pdf is out of date: python3 workshop.py slides"
    assert re.search(r"^Pages: +1$", said, re.MULTILINE)
    assert "594.96 x 841.92" in said


def test_nothing_on_the_printed_sheet_is_too_small():
    tool = program("Poppler", "pdftotext")
    told = subprocess.run(
        [tool, "-bbox", str(run_sheet.PRINTED), "-"], capture_output=True, text=True, check=True
    ).stdout
    heights = [float(low) - float(high) for high, low in re.findall(r'yMin="([\d.]+)".*?yMax="([\d.]+)"', told)]
    assert len(heights) > 300
    # The box of a word is as high as its letters' size, or a little higher.
    assert min(heights) >= run_sheet.SMALLEST
    assert str(paths.ROOT).encode() not in run_sheet.PRINTED.read_bytes()


def test_without_a_browser_the_sheet_is_named(monkeypatch):
    monkeypatch.setattr(run_sheet.shutil, "which", lambda name: None)
    with pytest.raises(DocumentError, match="Chromium is not installed here, so"):
        run_sheet.print_sheet()
