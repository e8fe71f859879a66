"""The drawing of the rooms says what the code imports, and the way of a row names what is there."""

import graphlib

import pytest

from maintain.documents import house_blocks
from tuning import paths
from tuning.errors import DocumentError

SMALL = {"base": set(), "data": {"base"}, "runs": {"base", "data"}, "audit": {"base"}}


def test_an_arrow_that_others_say_already_is_left_out():
    assert house_blocks.arrows(SMALL) == [("audit", "base"), ("data", "base"), ("runs", "data")]
    assert house_blocks.floors(SMALL) == {"base": 0, "data": 1, "audit": 1, "runs": 2}


def test_a_circle_cannot_be_drawn():
    with pytest.raises(graphlib.CycleError):
        house_blocks.floors(SMALL | {"base": {"runs"}})


def test_the_drawing_says_every_import_and_no_other():
    rooms = house_blocks.imports()
    assert {"base", "data", "runs", "training", "notebook", "maintain"} <= rooms.keys()

    def reached(ways: dict[str, set[str]], room: str) -> set[str]:
        return ways[room].union(*(reached(ways, used) for used in ways[room]))

    drawn = {room: {used for own, used in house_blocks.arrows(rooms) if own == room} for room in rooms}
    assert all(drawn[room] <= rooms[room] for room in rooms)
    assert {room: reached(drawn, room) for room in rooms} == {room: reached(rooms, room) for room in rooms}


def test_a_stop_that_is_gone_is_named(monkeypatch):
    monkeypatch.setattr(house_blocks, "WAY", (("data", "no_such_function"),))
    with pytest.raises(DocumentError, match="0 definitions of no_such_function in data"):
        house_blocks.BLOCKS["way-of-a-row"](paths.ROOT / "CONTRIBUTING.md")
