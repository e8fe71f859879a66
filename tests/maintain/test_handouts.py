"""The handouts as printed pages: the cheat sheet and the glossary take one A4 page each."""

import re
import subprocess
from html.parser import HTMLParser

import pytest

from maintain import handouts
from tuning.errors import DocumentError

ALL = (*handouts.ONE_PAGE, *handouts.LONGER, handouts.FORM)
A4 = "594.96 x 841.92"


class Addresses(HTMLParser):
    """What a browser would fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attributes) -> None:
        if tag in ("script", "img", "link", "iframe"):
            self.found.append(tag)


@pytest.mark.parametrize("name", ALL)
def test_a_page_needs_nothing_from_outside(name):
    page = handouts.page(name)
    reader = Addresses()
    reader.feed(page)
    assert not reader.found
    assert '<html xmlns="http://www.w3.org/1999/xhtml" lang="en-GB"' in page
    assert page.count("<h1") == 1


def test_every_handout_is_written(tmp_path):
    written = handouts.write(tmp_path)
    assert {path.stem for path in written} == {path.stem for path in handouts.FOLDER.glob("*.md")}
    assert all(path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>") for path in written)


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
    monkeypatch.setattr(handouts, "page", lambda name: "")
    assert handouts.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
