"""The slides of the day: what stands on them, when, whether it fits, and whether they are those of their source."""

import itertools
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from helpers.programs import program
from matplotlib.text import Text
from PIL import Image, ImageChops

from maintain.documents import markdown_blocks
from maintain.documents.day import clock, day, slides
from maintain.slides import deck, deck_pictures, slide_design, slide_finish, slide_source, table_fit
from tuning.errors import DocumentError
from tuning.notebook import activities
from tuning.room import budget_round

pptx = pytest.importorskip("pptx")
CAUSES = ("too high", "too low", "about right", "just right", "overfit", "collaps", "diverg", "too few", "too many")
CURLY = str.maketrans("'", "\u2019")
POINTS = 72
SLACK = 4 / POINTS


@pytest.fixture(scope="module")
def shown():
    return list(pptx.Presentation(str(deck.DECK)).slides)


@pytest.fixture(scope="module")
def planned():
    return slide_source.pages()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return {path.name: path for path in deck.build(folder)}


def texts(slide) -> list[str]:
    found = [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
    found += [cell.text for shape in slide.shapes if shape.has_table for row in shape.table.rows for cell in row.cells]
    return [line for text in found for line in re.split(r"[\n\v]", text)]


def notes(slide) -> str:
    return slide.notes_slide.notes_text_frame.text


def alts(slide) -> list[str]:
    return [
        shape._element._nvXxPr.cNvPr.get("descr")
        for shape in slide.shapes
        if shape.has_table or shape.shape_type == pptx.enum.shapes.MSO_SHAPE_TYPE.PICTURE
    ]


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


# What stands on the slides


def test_there_are_as_many_slides_as_the_source_has_and_a_room_can_bear(shown, planned):
    assert len(shown) == len(planned)
    assert 22 <= len(shown) <= 40
    for slide, page in zip(shown, planned, strict=True):
        assert re.sub(r"\s+", " ", slide.shapes.title.text_frame.text.replace("\v", " ")) == page.title


def test_the_source_read_without_pandoc_has_the_same_slides(planned):
    assert [slide.title.translate(CURLY) for slide in slides()] == [page.title for page in planned]
    assert [slide.number for slide in slides()] == list(range(1, 1 + len(planned)))
    assert [int(slide.attributes.get("task", 0)) for slide in slides()] == [page.task for page in planned]


def test_every_slide_has_its_time_and_a_talk_track_in_its_notes(shown, planned):
    for slide, page in zip(shown, planned, strict=True):
        when, _, track = notes(slide).partition("\n")
        assert when.startswith(f"{clock(page.begins)}, {page.minutes} minute"), page.title
        assert len(track.split()) > 40, page.title


def test_every_slide_stands_inside_its_task(planned):
    """The notes of content slides once said the end of their slot."""
    for page in planned:
        part = page.slot.moments[page.task - 1] if page.task else page.slot
        assert page.minutes > 0
        assert part.start <= page.begins < page.begins + page.minutes <= part.end, page.title
    for slot in day():
        own = [page for page in planned if page.slot == slot]
        assert own or slot.title == "Slack"
        if own and not slot.activity and len(slot.moments) == 1:
            assert sum(page.minutes for page in own) == slot.minutes, slot.title


def test_notes_say_the_task_and_its_time(shown, planned):
    for slide, page in zip(shown, planned, strict=True):
        if page.task:
            moment = page.slot.moments[page.task - 1]
            first = notes(slide).partition("\n")[0]
            assert f"{moment.name}, {clock(moment.start)} to {clock(moment.end)}." in first


def test_a_slide_of_a_break_says_when_it_ends(shown, planned):
    breaks = [slot for slot in day() if slot.title in ("Morning break", "Lunch", "Afternoon break")]
    assert [page.title for page in planned if page.slot in breaks] == [f"Back at {clock(slot.end)}" for slot in breaks]


@pytest.mark.parametrize("name", activities.NAMES)
def test_an_activity_opens_with_its_tasks_and_minutes(shown, planned, name):
    activity = activities.load(name)
    number = next(at for at, page in enumerate(planned) if page.slot.activity == activity)
    assert planned[number].title == activity.heading
    assert any(text.startswith(f"{activity.minutes} minutes, ") for text in texts(shown[number]))
    (table,) = [shape.table for shape in shown[number].shapes if shape.has_table]
    rows = [[cell.text for cell in row.cells] for row in table.rows][1:]
    assert [row[1:] for row in rows] == [
        [f"{at}. {task.name}", str(task.minutes)] for at, task in enumerate(activity.tasks, start=1)
    ]
    begins = itertools.accumulate((task.minutes for task in activity.tasks), initial=planned[number].slot.start)
    assert [row[0] for row in rows] == [clock(minute) for minute in begins][:-1]


def test_every_picture_and_table_has_alt_text(shown):
    described = [words for slide in shown for words in alts(slide)]
    assert len(described) > 20
    assert all(words and len(words) > 20 for words in described)
    pictures = [shape for slide in shown for shape in slide.shapes if hasattr(shape, "image")]
    assert len(pictures) == len(deck_pictures.PICTURES)


def test_no_letter_is_smaller_than_the_smallest(shown):
    xml = [slide._element for slide in shown]
    xml += [slide.slide_layout._element for slide in shown] + [shown[0].slide_layout.slide_master._element]
    sizes = [int(size) for part in xml for size in part.xpath(".//a:rPr/@sz | .//a:defRPr/@sz | .//a:endParaRPr/@sz")]
    assert min(sizes) == 100 * slide_design.SMALLEST
    scales = [part.xpath(".//a:normAutofit") for part in xml]
    assert not any(scales), "a box that shrinks its text would hide that the text does not fit"


@pytest.mark.parametrize("name", deck_pictures.PICTURES)
def test_no_letter_in_a_picture_is_smaller_than_the_smallest(name):
    figure = deck_pictures.PICTURES[name]().figure
    figure.draw_without_rendering()
    assert tuple(figure.get_size_inches()) == deck_pictures.SIZE, "the sizes of its letters are those on the slide"
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible()}
    assert min(sizes) >= slide_design.SMALLEST


def test_text_stays_text(shown):
    tables = [shape for slide in shown for shape in slide.shapes if shape.has_table]
    assert len(tables) > 12
    assert {table._element.xpath(".//a:tableStyleId")[0].text for table in tables} == {slide_design.TABLE_STYLE}
    assert {slide.slide_layout.name for slide in shown} < set(slide_design.LAYOUTS)
    for slide in shown:
        # An empty placeholder would ask for a click in front of the room.
        assert all(holder.has_text_frame is False or holder.text_frame.text for holder in slide.placeholders)


def test_nothing_before_the_reveal_says_which_curve_is_which(shown, planned):
    (reveal,) = [at for at, page in enumerate(planned) if page.reveal]
    before = [line for slide in shown[:reveal] for line in [*texts(slide), *notes(slide).splitlines(), *alts(slide)]]
    assert any("Curve A" in line for line in before)
    for line in before:
        if re.search(r"[Cc]urve [A-D]\b|curve_[a-d]|^[A-D]\b", line):
            assert not [cause for cause in CAUSES if cause in line.casefold()], line
        assert "coach_only" not in line
    told = " ".join([*texts(shown[reveal]), *alts(shown[reveal])])
    assert all(re.search(rf"{letter}: \w+", told) for letter in "ABCD")


def test_the_budget_is_the_boards(shown, planned):
    slide = next(slide for slide, page in zip(shown, planned, strict=True) if page.title == "The budget round")
    assert f"{budget_round.BUDGET:,} sentence-passes" in " ".join(texts(slide))
    (table,) = [shape.table for shape in slide.shapes if shape.has_table]
    rows = [[cell.text for cell in row.cells] for row in table.rows][1:]
    counted = [(sentences.replace(",", ""), epochs) for sentences, epochs, *_ in rows]
    products = [int(sentences) * int(epochs) for sentences, epochs in counted if sentences.isdigit()]
    assert products == [budget_round.BUDGET] * 3


def test_the_group_results_have_the_same_design():
    group, day = (members(slide_source.FOLDER / name) for name in ("Group_Results.pptx", "workshop.pptx"))
    assert group["ppt/theme/theme1.xml"].count(b"Workshop 6W") == 1
    for colour in slide_design.THEME.values():
        assert colour.encode() in group["ppt/theme/theme1.xml"]
        assert colour.encode() in day["ppt/theme/theme1.xml"]


# Whether it fits


def words_on_pages(printed: Path) -> list[list[tuple[str, tuple[float, ...]]]]:
    """Each page's words with their boxes (left, top, right, bottom) in inches."""
    tool = program("Poppler", "pdftotext")
    found = subprocess.run([tool, "-bbox", str(printed), "-"], capture_output=True, text=True, check=True).stdout
    box = re.compile(r'<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*?)</word>')
    return [
        [(word, tuple(float(edge) / POINTS for edge in edges)) for *edges, word in box.findall(page)]
        for page in found.split("<page ")[1:]
    ]


def boxes(slide) -> list[tuple[float, ...]]:
    return [
        tuple(
            edge / slide_finish.INCH
            for edge in (shape.left, shape.top, shape.left + shape.width, shape.top + shape.height)
        )
        for shape in slide.shapes
    ]


def outside(words, places) -> list[str]:
    """Words that are in no box."""
    return [
        word
        for word, (left, top, right, bottom) in words
        if not any(
            place[0] - SLACK <= left
            and right <= place[2] + SLACK
            and place[1] - SLACK <= top
            and bottom <= place[3] + SLACK
            for place in places
        )
    ]


def colliding(words) -> list[tuple[str, str]]:
    """Pairs of words that stand on each other."""
    return [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(words, 2)
        if min(a[2], b[2]) - max(a[0], b[0]) > SLACK and min(a[3], b[3]) - max(a[1], b[1]) > 2 * SLACK
    ]


def test_all_words_of_the_printed_deck_stay_in_their_boxes(shown):
    printed = words_on_pages(deck.PRINTED)
    assert len(printed) == len(shown)
    for slide, words in zip(shown, printed, strict=True):
        assert len(words) > 3
        assert not outside(words, boxes(slide)), slide.shapes.title.text_frame.text
        assert not colliding(words), slide.shapes.title.text_frame.text


def test_words_that_leave_their_box_are_found():
    box = [(1.0, 1.0, 3.0, 2.0)]
    assert outside([("in", (1.1, 1.1, 1.5, 1.4)), ("out", (2.8, 1.1, 3.2, 1.4))], box) == ["out"]
    assert colliding([("one", (1, 1, 2, 1.3)), ("two", (1.5, 1.1, 2.5, 1.4)), ("far", (5, 1, 6, 1.3))]) == [
        ("one", "two")
    ]


def test_boxes_stand_beside_each_other(shown):
    for slide in shown:
        # The accent lies on the band of the takeaway on purpose.
        own = [box for shape, box in zip(slide.shapes, boxes(slide), strict=True) if shape.name != "Accent"]
        assert all(box[0] >= 0 and box[2] <= slide_design.WIDTH and box[3] <= slide_design.HEIGHT for box in own)
        tall = [box for shape, box in zip(slide.shapes, boxes(slide), strict=True) if shape.has_table]
        for table, other in itertools.product(tall, own):
            if table != other:
                across = min(table[2], other[2]) - max(table[0], other[0])
                down = min(table[3], other[3]) - max(table[1], other[1])
                assert across <= SLACK or down <= SLACK, slide.shapes.title.text_frame.text


def test_a_table_gets_columns_for_its_longest_words_and_rows_for_its_lines():
    cells = [
        [table_fit.Cell("heading", bold=True), table_fit.Cell("b")],
        [table_fit.Cell("x"), table_fit.Cell("word " * 30)],
    ]
    fitted = table_fit.fit(cells, 4, 20, 5, shares=(1, 20))
    assert fitted.widths[0] >= table_fit.width("heading", 20, bold=True) + 2 * table_fit.SIDE
    assert sum(fitted.widths) == pytest.approx(4)
    assert fitted.heights[1] > 4 * fitted.heights[0]
    assert table_fit.fit(cells, 4, 20, 1) is None
    assert table_fit.fit(cells, 1, 20, 50) is None


def test_the_width_of_a_text_is_that_of_the_printed_font():
    # Arial 20: the word "training" is 7 letters of known width in thousandths of the size.
    assert table_fit.width("il", 20) == pytest.approx(2 * 222 * 20 / 72_000)
    assert table_fit.width("il", 20, bold=True) == pytest.approx(2 * 278 * 20 / 72_000)


# Whether the files are those of their source


def test_the_deck_is_the_one_of_its_source(built):
    for name, path in built.items():
        kept = slide_source.FOLDER / ("pictures" if path.suffix == ".png" else "") / name
        told = f"{name} is out of date: python3 workshop.py slides"
        if path.suffix == ".png":
            assert path.read_bytes() == kept.read_bytes(), told
        else:
            assert members(path) == members(kept), told
    assert markdown_blocks.filled(
        slide_source.SOURCE.read_text(encoding="utf-8"), slide_source.SOURCE
    ) == slide_source.SOURCE.read_text(encoding="utf-8")


def test_the_pdf_was_printed_from_this_deck(tmp_path):
    assert deck.printed_from(deck.DECK, deck.PRINTED), "workshop.pdf is out of date: python3 workshop.py slides"
    assert not deck.printed_from(slide_design.FILE, deck.PRINTED)
    assert not deck.printed_from(deck.DECK, tmp_path / "none.pdf")


def links(printed: Path) -> list[str]:
    """Addresses of a PDF as Poppler reads them."""
    tool = program("Poppler", "pdfinfo")
    found = subprocess.run([tool, "-url", str(printed)], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1] for line in found.splitlines()[1:]]


@pytest.mark.parametrize("name", sorted(path.name for path in slide_source.FOLDER.glob("*.p[dp]*")))
def test_no_link_leads_to_the_machine_that_built_a_file(name):
    path = slide_source.FOLDER / name
    if path.suffix == ".pdf":
        assert all(link.startswith("https://") for link in links(path))
        assert deck.dead_links(path) == []
    else:
        held = b"".join(members(path).values())
        targets = re.findall(rb'Target="([^"]+)" TargetMode="External"|TargetMode="External" Target="([^"]+)"', held)
        assert all(b"".join(pair).startswith(b"https://") for pair in targets)
        assert b'"file:' not in held


def test_links_to_the_machine_are_found(tmp_path):
    for content in (b"/URI(file:///home/ada/deck.html)", b"/URI (../assets/clinic.html)", bytes(Path.home())):
        (tmp_path / "a.pdf").write_bytes(b"%PDF-1.6 " + content)
        assert len(deck.dead_links(tmp_path / "a.pdf")) == 1
    (tmp_path / "a.pdf").write_bytes(b"/URI(https://github.com/)")
    assert deck.dead_links(tmp_path / "a.pdf") == []


# When something is wrong

SOURCE = """---
title: A day
slot: Welcome, safeguarding, wellbeing, objectives
notes: |
  Say.
---

## One {slot=Wrap minutes=WRAP}

BODY

::: notes
Say.
:::
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("slot=Wrap", "slot=Dinner"), "names the slot Dinner, which the day has not"),
        (
            ("minutes=WRAP", "minutes=14"),
            r"the slides of “Wrap” take 14 minutes and 0 of them have none; the day gives 15",
        ),
        (("minutes=WRAP", "minutes=soon"), "has minutes, a task or widths that are no numbers"),
        (("minutes=WRAP", "task=4"), "“One” names task 4 of “Wrap”, which has 3"),
        (("minutes=WRAP", "task=1 minutes=7"), "the slides of “Four new cases” take 7 minutes"),
        ((":::", ""), "the slide “One” has no notes"),
        (("BODY", "| a |\n|---|\n| b |\n\nBelow."), "3 headings|2 headings became 3 slides"),
        (("BODY", "| a |\n|---|\n" + "| b |\n" * 20), "the table on “One” does not fit its slide"),
        (
            ("minutes=WRAP}\n\nBODY", f"minutes=15 cards=true}}\n\n**B** {'long ' * 300}"),
            "the cards on “One” do not fit",
        ),
        (("BODY", "The [clinic](../assets/clinic.html)."), "the link ../assets/clinic.html on “One” would lead"),
        (("BODY", "Text with ![a picture](pictures/labels.png) in it."), "a picture on “One” was lost"),
    ],
)
def test_a_source_that_does_not_work_is_named(built, tmp_path, monkeypatch, change, told):
    source = SOURCE.replace(*change).replace("WRAP", "15").replace("BODY", "Text.")
    (tmp_path / "workshop.md").write_text(source, encoding="utf-8")
    monkeypatch.setattr(slide_source, "SOURCE", tmp_path / "workshop.md")
    monkeypatch.setattr(deck_pictures, "PICTURES", {})
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "labels.png").write_bytes(built["labels.png"].read_bytes())
    with pytest.raises(DocumentError, match=told):
        deck.build(tmp_path)


def test_without_libreoffice_the_pdf_is_named(monkeypatch):
    monkeypatch.setattr(deck.shutil, "which", lambda name: None)
    with pytest.raises(DocumentError, match="LibreOffice is not installed here"):
        deck.print_deck()


def test_the_command_makes_all_and_says_what_it_did_not(monkeypatch, capsys):
    monkeypatch.setattr(deck, "build", lambda: [deck.DECK])
    monkeypatch.setattr(deck.run_sheet, "print_sheet", lambda: deck.run_sheet.PRINTED)
    assert deck.main(["--no-pdf"]) == 0
    assert "slides/workshop.pdf was not printed again" in capsys.readouterr().out
    assert deck.main([]) == 0
    assert "slides/workshop.pdf is up to date" in capsys.readouterr().out


# In LibreOffice


@pytest.fixture(scope="module")
def printed_anew(tmp_path_factory):
    program("LibreOffice", "soffice", "libreoffice")
    return deck.print_deck(deck.DECK, tmp_path_factory.mktemp("printed") / "deck.pdf")


@pytest.mark.slow
def test_the_kept_pdf_says_what_the_deck_says_when_it_is_printed_again(printed_anew):
    anew, kept = words_on_pages(printed_anew), words_on_pages(deck.PRINTED)
    assert [[word for word, _ in page] for page in anew] == [[word for word, _ in page] for page in kept]


@pytest.mark.slow
def test_on_the_picture_of_each_slide_the_edges_are_free(shown, printed_anew, tmp_path):
    tool = program("Poppler", "pdftoppm")
    dots = 60
    subprocess.run([tool, "-r", str(dots), "-png", str(printed_anew), str(tmp_path / "s")], check=True)
    pictures = [Image.open(path).convert("L") for path in sorted(tmp_path.glob("s-*.png"))]
    assert len(pictures) == len(shown)
    for slide, picture in zip(shown, pictures, strict=True):
        wide, high = picture.size
        body = round(dots * 6.76), round(dots * 6.85)
        edges = [(0, 0, wide, 8), (wide - 15, 0, wide, high), (0, high - 4, wide, high)]
        if slide.slide_layout.name not in ("Title Slide", "Section Header", "Comparison"):
            edges += [(0, 0, 40, high), (0, body[0], wide, body[1])]
        else:
            # On the dark panel the outermost line is the panel's own colour from top to bottom.
            edges = edges[1:2]
        for edge in edges:
            part = picture.crop(edge)
            same = Image.new("L", part.size, part.getpixel((0, 0)))
            assert ImageChops.difference(part, same).getbbox() is None, slide.shapes.title.text_frame.text
