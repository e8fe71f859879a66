"""The documents as a site: every link leads somewhere, nothing of the coach's leaks, and anybody can read it."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from maintain import repository, site
from maintain.repository import RepositoryError
from tuning import paths

pytestmark = pytest.mark.slow
KEYS = ("coach/COACH_PLAYBOOK.md", "coach/marking_guide.md", "coach/playground_demo.md")


class Page(HTMLParser):
    """Names, links and loaded files of one page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if values.get("id"):
            self.names.add(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script", "source", "link"):
            self.loaded += [values[name] for name in ("src", "href") if values.get(name)]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Folder of the public site."""
    return site.build(tmp_path_factory.mktemp("site") / "pages").parent


def sentences(file: Path) -> list[str]:
    """Long runs of plain words in a Markdown file, by which it would be known again."""
    return [words for words in re.findall(r"(?:[A-Za-z,']+ ){9,}[A-Za-z]+", file.read_text(encoding="utf-8"))]


def test_every_link_leads_to_a_page_and_every_anchor_to_a_heading(built):
    pages = {file: Page(file) for file in built.rglob("*.html")}
    lost = []
    for file, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlparse(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            names = pages[target].names if target in pages else set()
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in names | {""}):
                lost.append(f"{file.relative_to(built)}: {link}")
    assert not lost
    assert not [link for page in pages.values() for link in page.loaded if urlparse(link).scheme in ("http", "https")]


def test_nothing_of_the_coach_is_on_the_public_site(built):
    text = re.sub(r"\s+", " ", " ".join(file.read_text(encoding="utf-8") for file in built.rglob("*.html")))
    text += (built / "searchindex.js").read_text(encoding="utf-8")
    sources = [paths.ROOT / page for part in site.published().values() for page in part]
    sources += [paths.ROOT / page for page in site.WHOLE_PAGES]
    public = re.sub(r"\s+", " ", " ".join(file.read_text(encoding="utf-8") for file in sources))
    for key in KEYS:
        own = set(sentences(paths.ROOT / key))
        assert own
        assert not [words for words in own if words in text and words not in public]
    assert not [file for file in built.rglob("*") if "explained" in file.name or "coach" in file.name.lower()]
    assert "curve_a_explained.png" in text, "the link to the key, which leads into the repository"


def test_the_coach_gets_the_playbook_too(tmp_path):
    first = site.build(tmp_path / "pages", coach=True)
    assert (first.parent / "coach" / "COACH_PLAYBOOK.html").is_file()


def test_folded_answers_and_tables_are_all_there(built):
    for page in ("activities/activity-3", "activities/activity-2", "TROUBLESHOOTING"):
        markdown = (paths.ROOT / f"{page}.md").read_text(encoding="utf-8")
        html = (built / f"{page}.html").read_text(encoding="utf-8")
        assert html.count("<details>") == markdown.count("<details>")
        assert html.count("<table") == len(re.findall(r"^\|(?:\s*:?-+:?\s*\|)+$", markdown, re.M))


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RepositoryError, match="holds files that are no site"):
        site.build(tmp_path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anybody_can_read_it_and_it_asks_nobody(built, browser, width, scheme):
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    pages = (
        sorted(built.rglob("*.html")) if scheme == "light" else [built / "index.html", built / "TROUBLESHOOTING.html"]
    )
    faults = []
    for file in pages:
        if file.parent.name == "assets":  # playground and clinic have tests of their own
            continue
        page.goto(file.as_uri())
        page.evaluate(axe)
        found = page.evaluate("async () => (await axe.run()).violations.map(one => [one.id, one.nodes[0].html])")
        faults += [(file.name, *fault) for fault in found]
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            faults.append((file.name, "wider than the screen"))
    context.close()
    assert not faults
    assert {urlparse(url).scheme for url in asked} <= {"file", "data", "blob"}


def test_the_search_works_without_a_server(built, browser):
    page = browser.new_page()
    page.goto((built / "search.html").as_uri() + "?q=gradient")
    page.locator("#search-results ul.search li").first.wait_for()
    assert page.locator("#search-results ul.search li").count() > 3
    page.close()


def test_another_repository_is_named_by_one_command(tmp_path, monkeypatch):
    old = repository.repository()
    for pattern in repository.FILES:
        for file in paths.ROOT.glob(pattern):
            target = tmp_path / file.relative_to(paths.ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert len(repository.move_to("someone/a-workshop")) >= 6
    assert repository.repository() == "someone/a-workshop"
    left = [file for file in tmp_path.rglob("*") if file.is_file() and old.split("/")[1] in file.read_text("utf-8")]
    assert not left
    repository.move_to(old)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            original = Path(__file__).resolve().parents[2] / file.relative_to(tmp_path)
            assert file.read_bytes() == original.read_bytes()
    for wrong in ("nobody", "a/b/c", "https://github.com/a/b"):
        with pytest.raises(RepositoryError, match="OWNER/NAME"):
            repository.move_to(wrong)
