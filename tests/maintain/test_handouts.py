"""The handouts as printed pages: the cheat sheet and the glossary take one A4 page each, in readable type."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from maintain import handouts, repository, room_cards
from tuning import paths
from tuning.errors import DialError, DocumentError

A4 = "594.96 x 841.92"
LANDSCAPE = "841.92 x 594.96"
# Pages of A4 that the coach prints, and their smallest type in points.
PRINTED = {
    "Cheat_Sheet": (1, 11),
    "Unit6_Maths_Words_Glossary": (1, 11),
    "Room_Card": (1, 28),
    "Curves_A_to_D": (4, 18),
    "Group_Cards": (4, 14),
    "Working_Stuck": (1, 20),
}
# The smallest type on the page in points; a superscript or a picture's own letters do not count.
SMALLEST = """() => Math.min(...[...document.querySelectorAll("body *")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((element) => parseFloat(getComputedStyle(element).fontSize) * 0.75))"""
SPILLED = """() => [...document.querySelectorAll("section, td, p")]
    .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth
        || element.tagName === "SECTION" && element.scrollHeight > element.clientHeight + 1)
    .map((element) => element.textContent)"""


class Page(HTMLParser):
    """What a page loads, where it leads, and the names of its places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.pictures: list[dict] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        values = dict(attributes)
        self.places.add(values.get("id", ""))
        if tag in ("script", "link", "iframe"):
            self.loaded.append(tag)
        elif tag == "img":
            self.pictures.append(values)
        elif tag == "a" and values.get("href"):
            self.links.append(values["href"])


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[Path, Page]:
    """Every printed page, read."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in handouts.write(tmp_path_factory.mktemp("printed"))}


def test_every_handout_and_every_card_is_written(written):
    sources = {path.stem for path in handouts.FOLDER.glob("*.md")}
    large = {path.stem for path in written if path.parent.name == handouts.LARGE_PRINT}
    assert large == sources
    assert {path.stem for path in written} == sources | set(room_cards.PAGES)


def test_a_page_needs_nothing_from_outside_and_its_pictures_have_words(written):
    for path, page in written.items():
        text = path.read_text(encoding="utf-8")
        assert not page.loaded, path
        assert 'lang="en-GB"' in text
        assert all(picture["src"].startswith("data:image/") and picture["alt"] for picture in page.pictures)
    curves = {path.stem: len(page.pictures) for path, page in written.items() if page.pictures}
    assert curves == {"Activity_Worksheet": 4, "Curves_A_to_D": 4}


def test_every_link_leads_to_a_printed_page_or_into_the_repository(written):
    lost = []
    for path, page in written.items():
        for link in page.links:
            parts = urlparse(link)
            if parts.scheme:
                inside = parts.path.partition("/blob/main/")[2]
                if repository.repository() in link and not (paths.ROOT / unquote(inside)).is_file():
                    lost.append((path.name, link))
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target not in written or (parts.fragment and parts.fragment not in written[target].places):
                lost.append((path.name, link))
    assert not lost


def test_the_curves_do_not_give_their_answers_away(written):
    for path in written:
        if path.stem in ("Curves_A_to_D", "Activity_Worksheet"):
            text = re.sub(r'src="[^"]*"', "", path.read_text(encoding="utf-8")).casefold()
            curves = "\n".join(line for line in text.splitlines() if re.search("curve [a-d]", line))
            assert curves and not re.search("too (high|low)|right|over-?fit|verdict|collapsed", curves)


def test_group_cards_agree_with_the_playbook_and_a_room_card_with_its_dials():
    playbook = (paths.ROOT / "coach" / "COACH_PLAYBOOK.md").read_text(encoding="utf-8")
    for preset in ("TOO_LOW", "JUST_RIGHT", "TOO_HIGH"):
        groups = [str(group) for group in range(1, 13) if room_cards.preset_of(group) == preset]
        assert f"`{preset}` for {', '.join(groups)}" in " ".join(playbook.split())
    assert 'ROOM = "distilbert bundled bf16"' in room_cards.room_card("bf16 distilbert bundled")
    with pytest.raises(DialError):
        room_cards.room_card("embedded bundled fp99")


def test_a_handout_that_is_gone_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(handouts, "FOLDER", tmp_path)
    with pytest.raises(DocumentError, match=r"Cheat_Sheet\.md: this handout cannot be read \(No such file"):
        handouts.page("Cheat_Sheet")


def pages(chromium: str, pdfinfo: str, html: str, folder) -> str:
    """Print a page in a browser; what pdfinfo says about the PDF."""
    source, target = folder / "page.html", folder / "page.pdf"
    source.write_text(html, encoding="utf-8")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command = [chromium, *quiet, "--no-pdf-header-footer", f"--print-to-pdf={target}", source.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return subprocess.run([pdfinfo, str(target)], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", PRINTED)
def test_it_takes_its_pages_in_readable_type_and_nothing_spills(browser, pdfinfo, tmp_path, written, name):
    (file,) = (path for path in written if path.stem == name and path.parent.name != handouts.LARGE_PRINT)
    count, points = PRINTED[name]
    page = browser.new_page()
    page.emulate_media(media="print")
    page.goto(file.as_uri())
    assert page.evaluate(SMALLEST) >= points - 0.01
    assert not page.evaluate(SPILLED)
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True, print_background=True)
    page.close()
    told = subprocess.run([pdfinfo, tmp_path / "page.pdf"], check=True, capture_output=True, text=True).stdout
    assert re.search(rf"^Pages: +{count}$", told, re.MULTILINE), told
    assert A4 in told or LANDSCAPE in told


@pytest.mark.parametrize("name", handouts.ALL)
def test_large_print_is_eighteen_points(browser, written, name):
    (file,) = (path for path in written if path.stem == name and path.parent.name == handouts.LARGE_PRINT)
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # A4 between its margins
    page.emulate_media(media="print")
    page.goto(file.as_uri())
    assert page.evaluate(SMALLEST) >= 17.99
    assert not page.evaluate(SPILLED)
    page.close()


@pytest.mark.parametrize("name", handouts.ONE_PAGE)
@pytest.mark.parametrize("font", ["", "DejaVu Sans"], ids=["usual font", "wide font"])
def test_it_prints_on_one_page(chromium, pdfinfo, tmp_path, name, font):
    html = handouts.page(name)
    told = pages(chromium, pdfinfo, html.replace('"Segoe UI"', f'"{font}"') if font else html, tmp_path)
    assert re.search(r"^Pages: +1$", told, re.MULTILINE), told
    assert A4 in told


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    blocked = tmp_path / "my_work"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("WORKSHOP_WORK", str(blocked))
    monkeypatch.setattr(handouts, "page", lambda name, large=False: "")
    assert handouts.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
