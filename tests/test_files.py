"""What a person changed is never written over: the new version gets a number."""

import pytest

from tuning import handouts
from tuning.files import AS_WRITTEN, free_name, sign


def test_a_file_as_the_code_left_it_is_written_again(tmp_path):
    path = tmp_path / "Slide.pptx"
    assert free_name(path) == path
    path.write_bytes(b"one")
    sign(path)
    assert free_name(path) == path


def test_a_changed_file_stays_and_the_next_one_gets_a_number(tmp_path):
    path = tmp_path / "Slide.pptx"
    path.write_bytes(b"one")
    sign(path)
    path.write_bytes(b"one, and a title")
    second = free_name(path)
    assert second.name == "Slide-2.pptx"
    second.write_bytes(b"two")
    sign(second)
    assert free_name(path) == second
    second.write_bytes(b"two, and a conclusion")
    assert free_name(path).name == "Slide-3.pptx"


@pytest.mark.parametrize("damage", [None, "", "[1]", "\0"])
def test_a_file_of_which_nothing_is_known_counts_as_changed(tmp_path, damage):
    path = tmp_path / "Slide.pptx"
    path.write_bytes(b"one")
    sign(path)
    if damage is None:
        (tmp_path / AS_WRITTEN).unlink()
    else:
        (tmp_path / AS_WRITTEN).write_text(damage, encoding="utf-8")
    assert free_name(path).name == "Slide-2.pptx"


def test_a_printed_handout_that_was_changed_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(handouts, "page", str)
    first = handouts.write(tmp_path)
    assert handouts.write(tmp_path) == first
    first[0].write_text("with a note of the coach", encoding="utf-8")
    again = handouts.write(tmp_path)
    assert again == [first[0].with_name(f"{first[0].stem}-2.html"), *first[1:]]
    assert first[0].read_text(encoding="utf-8") == "with a note of the coach"
