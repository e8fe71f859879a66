"""The coach's pages beside the playbook agree with the worksheet and the day."""

import re

import pytest

from maintain import room_cards
from maintain.documents import coach_blocks
from maintain.documents.day import day
from tuning import paths
from tuning.dials import PRESETS
from tuning.evidence import worksheet

GUIDE = (paths.ROOT / "coach" / "marking_guide.md").read_text(encoding="utf-8")
FORM = worksheet.read_template()
HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
PARTS = [title for title in HEADING.findall(FORM) if title != "Task 6 mapping"]


def section(title: str) -> str:
    """What stands below a heading of the guide, up to the next one."""
    return re.split(r"^#{2,3} ", GUIDE.partition(f"# {title}\n")[2], flags=re.MULTILINE)[0]


def test_the_marking_guide_has_the_worksheets_parts_in_their_order():
    assert [title for title in HEADING.findall(GUIDE) if title in PARTS] == PARTS


@pytest.mark.parametrize("title", [title for title in PARTS if re.match(r"[A-C]\d\.|Part [BDE]", title)])
def test_each_part_names_the_ksbs_that_the_worksheet_maps_to_it(title):
    code = re.match(r"(?:Part )?(\w\d?)", title)[1]
    served = {ksb for ksb, places in coach_blocks.parts_of_ksbs().items() if code in (p.strip("()") for p in places)}
    named = re.search(r"\*\*((?:[KSB]\d+(?:, )?)+)\.?\*\*", section(title))
    assert set(named[1].split(", ") if named else ()) == served


@pytest.mark.parametrize(
    "title", [title for title in PARTS if title.startswith(("Part D", "Part E")) or "Part" not in title]
)
def test_each_part_says_what_passes_and_what_does_not_with_an_example_of_both(title):
    text = section(title)
    assert "| a pass shows | not yet enough |" in text
    passes, fails = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)[-1]
    assert len(passes.split()) > 5 and len(fails.split()) > 2
    for prompt in re.findall(r"^\*\*(.+:)\*\*$", FORM.partition(title)[2].partition("\n## ")[0], re.MULTILINE):
        assert prompt in ("Your answer:", "Option (its letter):") or f"**{prompt}**" in text


def test_every_ksb_is_served_by_a_part():
    assert all(coach_blocks.parts_of_ksbs().values())


def test_the_half_day_takes_three_hours_of_the_days_own_tasks():
    parts = coach_blocks.half_day()
    assert 170 <= sum(minutes for *_, minutes in parts) <= 180
    assert all(minutes for *_, minutes in parts)
    starts = [start for start, *_ in parts]
    assert starts == sorted(starts)


@pytest.mark.parametrize("groups", range(4, 13))
def test_two_groups_share_each_preset_that_groups_run(groups):
    numbers, coach = coach_blocks.numbers_for(groups)
    presets = [room_cards.preset_of(number) for number in numbers]
    assert len(set(numbers)) == groups
    assert {*presets, *coach} == {*PRESETS}
    assert all(presets.count(preset) >= 2 for preset in presets)


def test_a_remote_day_keeps_lunch_and_its_end_and_a_second_coach_has_the_first_hour():
    names = [slot.name for slot in day()]
    starts = {slot.name: start for start, slot, _ in coach_blocks.remote_day()}
    assert starts["Lunch"] == 12 * 60
    assert 15 * 60 + 50 <= sum(coach_blocks.remote_day()[-1][::2]) <= 16 * 60
    named = {*coach_blocks.REMOTE, *coach_blocks.REMOTE_WITHOUT, *coach_blocks.SECOND_COACH}
    assert named <= {*names}
    assert {name for name in names if name.startswith(("activity", "going"))} <= coach_blocks.REMOTE.keys()
    assert list(coach_blocks.SECOND_COACH) == names[: len(coach_blocks.SECOND_COACH)]
