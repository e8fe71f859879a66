"""The group-results slide: native, editable, and filled from the board by one call."""

import dataclasses
import sys

import pytest
from helpers.rooms import RATES, room_lines, room_run

from maintain.slides import results_form
from tuning import paths
from tuning.errors import WorkshopError
from tuning.room import board as boards
from tuning.room import results_slide, share
from tuning.room.share import Gathered, Shared

pptx = pytest.importorskip("pptx")
SMALLEST = 18


@pytest.fixture
def filled(make_run):
    return pptx.Presentation(str(results_slide.fill(boards.collect("\n".join(room_lines(make_run))))))


def tables(presentation) -> list[list[list[str]]]:
    """The tables of results; the last page has one of its own for the conclusion."""
    found = []
    for page in presentation.slides:
        for shape in page.shapes:
            if shape.name == results_slide.TABLE:
                found.append([[cell.text for cell in row.cells] for row in shape.table.rows])
    return found


def test_thirty_runs_fill_three_pages_of_a_native_table(filled):
    found = tables(filled)
    assert [len(table) for table in found] == [results_slide.ROWS + 1] * 3
    assert all(tuple(table[0]) == boards.COLUMNS for table in found)
    runs = [row for table in found for row in table[1:] if row[0]]
    assert len(runs) == 30
    assert runs[0][:3] == ["Group 1", "TOO_LOW", "1e-06"]
    assert [page.shapes.title.text for page in filled.slides][:3] == [f"Group results ({n} of 3)" for n in (1, 2, 3)]


def test_a_page_holds_one_preset_where_that_takes_no_more_pages(make_run, filled):
    assert [{row[1] for row in table[1:] if row[0]} for table in tables(filled)] == [{preset} for preset in RATES]
    few = [share.line(room_run(make_run, group, preset), "One") for group in (1, 2) for preset in RATES]
    (table,) = tables(pptx.Presentation(str(results_slide.fill(boards.collect("\n".join(few))))))
    assert [row[1] for row in table[1:7]] == [preset for preset in RATES for _ in (1, 2)]


def test_the_curves_are_a_picture_with_words_inside_the_slide(filled):
    (picture,) = [shape for page in filled.slides for shape in page.shapes if shape.name == results_slide.PICTURE]
    assert picture.image.content_type == "image/png"
    assert "JUST_RIGHT: 10 runs" in picture._element._nvXxPr.cNvPr.get("descr")
    assert picture.left >= 0 and picture.left + picture.width <= filled.slide_width
    assert picture.top + picture.height <= filled.slide_height


def test_every_page_has_a_title_notes_and_letters_large_enough(filled):
    assert len(filled.slides) == 5
    for page in filled.slides:
        assert page.shapes.title.text
        assert len(page.notes_slide.notes_text_frame.text) > 40
        for shape in page.shapes:
            frames = [shape.text_frame] if shape.has_text_frame else []
            frames += [cell.text_frame for row in shape.table.rows for cell in row.cells] if shape.has_table else []
            sizes = [run.font.size.pt for frame in frames for part in frame.paragraphs for run in part.runs]
            assert min(sizes, default=SMALLEST) >= SMALLEST


def test_a_table_stays_above_the_lower_edge(filled):
    for page in filled.slides:
        for shape in page.shapes:
            if shape.has_table:
                assert shape.top + sum(row.height for row in shape.table.rows) < filled.slide_height
                assert sum(column.width for column in shape.table.columns) < filled.slide_width


def test_an_empty_board_gives_the_empty_form():
    found = pptx.Presentation(str(results_slide.fill(boards.collect())))
    assert len(found.slides) == 3
    assert not any(cell for row in tables(found)[0][1:] for cell in row)


def test_very_many_runs_become_one_row_per_rate(make_run):
    room = [room_run(make_run, group, preset) for group in range(1, 9) for preset in RATES]
    shared = [
        Shared("One", dataclasses.replace(room[at % len(room)], run_id=f"run-{at}"))
        for at in range(results_slide.MOST_PAGES * results_slide.ROWS + 12)
    ]
    found = pptx.Presentation(str(results_slide.fill(boards.sort(Gathered(shared)))))
    assert len(found.slides) == 3
    assert [row[0] for row in tables(found)[0][1:] if row[0]] == ["24 runs"] * 3


def test_a_long_name_is_shortened_so_that_its_row_keeps_its_height(make_run):
    run = room_run(make_run, 1, "JUST_RIGHT")
    board = boards.collect(share.line(run, "The very long name of a group of five"))
    name = tables(pptx.Presentation(str(results_slide.fill(board))))[0][1][0]
    assert (name, len(name) <= results_slide.LONGEST_NAME) == ("The very long…", True)


def test_the_form_in_the_repository_is_what_the_code_writes():
    new, kept = results_form.empty_form(), pptx.Presentation(str(results_slide.FORM))
    for one, other in zip(new.slides, kept.slides, strict=True):
        assert [shape.name for shape in one.shapes] == [shape.name for shape in other.shapes]
    assert tables(new) == tables(kept)


def test_filling_leaves_the_form_as_it_is(filled):
    assert filled is not None
    assert (paths.work() / "Group_Results.pptx").is_file()
    assert len(pptx.Presentation(str(results_slide.FORM)).slides) == 3


def test_a_form_without_its_shapes_is_named(make_run, monkeypatch, tmp_path):
    form = pptx.Presentation()
    form.slides.add_slide(form.slide_layouts[6])
    form.save(str(tmp_path / "form.pptx"))
    monkeypatch.setattr(results_slide, "FORM", tmp_path / "form.pptx")
    with pytest.raises(WorkshopError, match='its shape "results-table" is gone'):
        results_slide.fill(boards.collect())
    monkeypatch.setattr(results_slide, "FORM", tmp_path / "none.pptx")
    with pytest.raises(WorkshopError, match=r"none\.pptx is missing"):
        results_slide.fill(boards.collect())


def test_without_python_pptx_the_form_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pptx", None)
    with pytest.raises(WorkshopError, match=r"fill slides/Group_Results\.pptx by hand"):
        results_slide.fill(boards.collect())


def test_a_file_that_is_held_is_one_line(monkeypatch, tmp_path):
    target = tmp_path / "folder.pptx"
    target.mkdir()
    with pytest.raises(WorkshopError, match="cannot be written"):
        results_slide.fill(boards.collect(), target)


def test_a_slide_that_somebody_changed_is_kept_and_the_next_one_numbered(make_run):
    """Title and conclusion of Activity 4 were gone when notebook 03 was run again."""
    board = boards.collect("\n".join(room_lines(make_run)[:3]))
    path = results_slide.fill(board)
    assert results_slide.fill(board) == path
    changed = pptx.Presentation(str(path))
    changed.slides[0].shapes.title.text = "Our results"
    changed.save(str(path))
    second = results_slide.fill(board)
    assert second.name == "Group_Results-2.pptx"
    assert results_slide.fill(board) == second
    assert pptx.Presentation(str(path)).slides[0].shapes.title.text == "Our results"
