"""The documents' generated blocks, and the regular shape of the activities."""

import json
import re
import unicodedata
from pathlib import Path

import pytest

from maintain import curve_figures
from maintain.documents import day_blocks, markdown_blocks, run_blocks
from tuning import paths
from tuning.dials import Dials
from tuning.errors import DocumentError
from tuning.evidence import markdown_tables
from tuning.notebook import activities
from tuning.notebook.activities import NAMES
from tuning.notebook.session import notebook_files
from tuning.room import budget_round
from tuning.runs import reference

CAUSES = (
    "too high",
    "too low",
    "about right",
    "just right",
    "over-fit",
    "overfit",
    "collaps",
    "diverg",
    "too many times",
)
NEXT = dict(zip(NAMES, [*NAMES[1:], "activity-7"], strict=True))
HERE = paths.ROOT / "activities" / "activity-2.md"


def text(name: str) -> str:
    return (activities.FOLDER / f"{name}.md").read_text(encoding="utf-8")


# Blocks


def test_every_block_is_up_to_date():
    assert [paths.short(path) for path in markdown_blocks.stale()] == []


def test_a_block_is_filled_and_its_surroundings_stay():
    old = "Before.\n<!-- figures: ksbs begin -->\nold\n<!-- figures: ksbs end -->\nAfter.\n"
    new = markdown_blocks.filled(old, HERE)
    assert new.startswith("Before.\n<!-- figures: ksbs begin -->\n| code |")
    assert new.endswith("|\n<!-- figures: ksbs end -->\nAfter.\n")
    assert "old" not in new
    assert markdown_blocks.filled(new, HERE) == new


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ("<!-- figures: presetz begin -->\n<!-- figures: presetz end -->", "no block presetz. Did you mean presets"),
        ("<!-- figures: presets begin -->", "a figures mark has no partner"),
        ("<!-- figures: presets begin -->\n<!-- figures: dials end -->", "a figures mark has no partner"),
    ],
)
def test_a_wrong_mark_is_named(marks, told):
    with pytest.raises(DocumentError, match=told):
        markdown_blocks.filled(marks, HERE)


def test_the_dials_table_has_every_dial_with_its_default():
    block = markdown_blocks.BLOCKS["dials"](HERE)
    for name in Dials.settable():
        default = getattr(Dials(), name)
        shown = '""' if default == "" else f"{default:g}" if isinstance(default, float) else default
        assert f"| `{name}` | `{shown}` |" in block


def test_the_room_holds_the_presets_at_default_dials_only():
    found = run_blocks.room()
    runs = [run for presets in found.values() for members in presets.values() for run in members]
    assert {run.preset for run in runs} == {"TOO_LOW", "JUST_RIGHT", "TOO_HIGH"}
    assert reference.load("over-training").run_id not in {run.run_id for run in runs}
    block = markdown_blocks.BLOCKS["room"](HERE)
    for lab, presets in found.items():
        assert f"**{lab}**" in block
        assert presets or "not recorded yet" in block


@pytest.mark.parametrize(
    ("values", "form", "unit", "shown"),
    [
        ([0.761, 0.734], ".2f", "", "0.73 to 0.76"),
        ([0.5, 0.501], ".2f", "", "0.50"),
        ([-0.001, None], "+.2f", "", "+0.00"),
        ([1.43, 34.41], "#.2g", "%", "1.4 to 34%"),
        ([0.0594, 0.0601], "#.2g", "%", "0.059 to 0.060%"),
        ([None], ".2f", "%", ""),
    ],
)
def test_a_range_is_written_from_lowest_to_highest(values, form, unit, shown):
    assert run_blocks.spread(values, form, unit) == shown


def test_a_bar_in_a_cell_makes_no_new_cell():
    assert markdown_tables.table(["a"], [["x | y"]]).splitlines()[2] == r"| x \| y |"


# The activities


@pytest.mark.parametrize("name", NAMES)
def test_headings_say_the_tasks_and_minutes_of_the_front_matter(name):
    activity, page = activities.load(name), text(name)
    assert re.findall(r"^# (.+)$", page, re.MULTILINE) == [activity.heading]
    found = re.findall(r"^## (?:📝|✅) Task (\d+): (.+) \((\d+) minutes\)$", page, re.MULTILINE)
    assert found == [(str(number), task.name, str(task.minutes)) for number, task in enumerate(activity.tasks, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_every_activity_has_the_same_parts_and_leads_on(name):
    page = text(name)
    for part in ("📋 Expected outputs", "✅", "🚀 Extension", "🎓 Complete"):
        assert re.search(rf"^## {part}", page, re.MULTILINE), part
    assert f"]({NEXT[name]}.md)" in page.partition("## 🎓 Complete")[2] or name == "activity-7"
    assert re.search(rf'checkpoint\("{name}"\)|Checkpoint: Activit(y|ies)|`checkpoint-', page)
    for block in ("overview", "keypoints"):
        assert page.count(f"<!-- figures: {block} begin -->") == 1
    assert page.count("<details>") == page.count("</details>") == page.count("<summary>")


@pytest.mark.parametrize("name", NAMES)
def test_the_front_matter_has_no_signs(name):
    front = text(name).split("---\n", 2)[1]
    assert front.isascii()


def test_signs_have_one_meaning_and_no_other_is_used():
    known = {sign.strip("\ufe0f") for sign in day_blocks.EMOJI}
    for folder in ("activities", "handouts"):
        for path in (paths.ROOT / folder).glob("*.md"):
            used = {sign for sign in path.read_text(encoding="utf-8") if unicodedata.category(sign) == "So"}
            assert used <= known, path.name


def test_nothing_before_the_end_of_activity_1_says_which_curve_is_which():
    pages = [text("activity-1"), (paths.ROOT / "handouts" / "Activity_Worksheet.md").read_text(encoding="utf-8")]
    for line in "\n".join(pages).splitlines():
        if re.search(r"[Cc]urve [A-D]\b|curve_[a-d]", line):
            assert not [cause for cause in CAUSES if cause in line.casefold()], line
    assert "coach_only" not in pages[0]


def test_the_budget_is_the_boards():
    assert f"**{budget_round.BUDGET:,} sentence-passes**" in text("activity-5")


@pytest.mark.parametrize("name", NAMES)
def test_cells_that_an_activity_names_exist(name):
    there = {
        cell["id"]
        for path in notebook_files().values()
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    }
    named = re.findall(r"cells? ((?:`[\w-]+`(?:, )?)+)", text(name))
    assert {cell for group in named for cell in re.findall(r"`([\w-]+)`", group)} <= there


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"minutes": 41}, "its tasks take 40 minutes and the front matter says 41"),
        ({"ksbs": "[K99]"}, "K99 is no KSB of this workshop"),
        ({"colour": "blue"}, "its front matter cannot be read"),
    ],
)
def test_a_front_matter_that_does_not_add_up_is_named(tmp_path, monkeypatch, wrong, told):
    page = text("activity-2")
    for key, value in wrong.items():
        page, count = re.subn(rf"^{key}: .*$", f"{key}: {value}", page, count=1, flags=re.MULTILINE)
        page = page if count else page.replace("---\n", f"---\n{key}: {value}\n", 1)
    (tmp_path / "activity-2.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(activities, "FOLDER", Path(tmp_path))
    with pytest.raises(DocumentError, match=told):
        activities.load("activity-2")


def test_an_activity_that_is_gone_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(activities, "FOLDER", tmp_path)
    with pytest.raises(DocumentError, match="this activity cannot be opened"):
        activities.load("activity-2")


def test_the_command_says_what_is_out_of_date_and_writes_it(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- figures: emoji begin -->\n<!-- figures: emoji end -->\n", encoding="utf-8")
    monkeypatch.setattr(markdown_blocks, "documents", lambda: [page])
    assert markdown_blocks.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert markdown_blocks.main([]) == 0
    assert "| 🎯 | learning objective |" in page.read_text(encoding="utf-8")
    assert markdown_blocks.main(["--check"]) == 0


IN_WORDS = {3: "three", 6: "six", 12: "twelve", 200: "two hundred"}


def test_settings_in_words_are_those_of_the_recorded_runs():
    calm, wrong = (reference.load(name).dials for name in curve_figures.OVER_EPOCHS.values())
    noise = f"{IN_WORDS[round(10 * wrong['LABEL_NOISE'])]} in ten training labels"
    assert curve_figures.CURVES["d"] == curve_figures.OVER_EPOCHS["wrong_labels"]
    for place, words in {
        "activities/activity-5.md": f"{IN_WORDS[calm['TRAIN_SUBSET']]} sentences, {IN_WORDS[calm['EPOCHS']]} times",
        "activities/activity-6.md": f"{IN_WORDS[wrong['EPOCHS']]} epochs, {noise} wrong",
        "coach/COACH_PLAYBOOK.md": f"{noise} of d",
    }.items():
        assert words in " ".join((paths.ROOT / place).read_text(encoding="utf-8").casefold().split()), place
