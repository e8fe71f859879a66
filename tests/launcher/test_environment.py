"""The stamp that says that an installation is whole."""

import json

import pytest

from launcher.environment import Environment
from launcher.settings import MAIN


@pytest.fixture
def stamped(fresh) -> Environment:
    """Give an environment whose installation is complete: as in Codespaces, so that nothing is made."""
    environment = Environment(fresh.folder, MAIN, "codespaces")
    environment.home.mkdir()
    environment.stamp.write_text(json.dumps(environment.expected_stamp()), encoding="utf-8")
    assert environment.is_complete()
    return environment


def test_stamp_is_missing_torn_or_incomplete(stamped):
    text = stamped.stamp.read_text(encoding="utf-8")
    for broken in ("", text[: len(text) // 2], "[]", text.replace("true", "false")):
        stamped.stamp.write_text(broken, encoding="utf-8")
        assert not stamped.is_complete()
    stamped.stamp.unlink()
    assert not stamped.is_complete()


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_stamp_follows_what_the_files_ask_for(stamped, name):
    file = stamped.root / name
    file.write_bytes(b"# another remark\r\n\r\ntiny==1.0  # why\r\n")
    assert stamped.is_complete()
    file.write_text("tiny==2.0\n", encoding="utf-8")
    assert not stamped.is_complete()


def test_stamp_belongs_to_one_python(stamped):
    stamp = json.loads(stamped.stamp.read_text(encoding="utf-8"))
    for other in ({"python": "3.10"}, {"interpreter": "/elsewhere/python"}):
        stamped.stamp.write_text(json.dumps({**stamp, **other}), encoding="utf-8")
        assert not stamped.is_complete()
