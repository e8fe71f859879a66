"""The documents as pages on the web: ``python3 workshop.py site``.

Sphinx builds them from the same Markdown that GitHub shows. It works on a copy, because it publishes every file that a
page links to, also one that was excluded: a link to a file that does not belong on the site leads to the repository
instead, so a coach's key is never copied. Pages for coaches come with ``--coach`` only.
"""

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from maintain.repository import HOST, RepositoryError, repository
from tuning import paths
from tuning.command import one_line_errors

FOLDER = paths.ROOT / "site"
PAGES = {
    "Start": ("README.md", "TROUBLESHOOTING.md"),
    "Activities": ("activities/*.md",),
    "Handouts": ("handouts/*.md",),
    "About": ("lab/data/README.md", ".github/SECURITY.md", "maintain/CHANGELOG.md"),
}
COACH_PAGES = {"For coaches": ("coach/*.md",)}
# Pages of their own, which Sphinx must leave as they are.
WHOLE_PAGES = ("assets/playground.html", "assets/clinic.html")
PICTURES = (".png", ".svg", ".gif", ".jpg")
COACH_ONLY = "assets/coach_only/"
MARK = ".workshop-site"
_LINK = re.compile(r"(?P<start>!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?P<target>[^)\s]+)(?P<end>(?:\s+\"[^\"]*\")?\))")
# A badge is a picture from somebody else's server; its words do as well.
_BADGE = re.compile(r"!\[([^\]]*)\]\(https?:[^)]*\)")
_FENCED = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.M | re.S)
CONFIGURATION = """\
project = "Optimisation in the Wild"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Optimisation in the Wild"
html_show_sourcelink = False
html_copy_source = False
html_extra_path = ["whole"]
exclude_patterns = ["whole"]
myst_enable_extensions = ["tasklist", "dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]
language = "en"
html_theme_options = {"top_of_page_buttons": []}
html_use_index = False
"""


def published(coach: bool = False) -> dict[str, list[str]]:
    """Pages of the site by heading, as paths from the repository's root."""
    parts = PAGES | (COACH_PAGES if coach else {})
    root = paths.ROOT
    return {
        title: [path.relative_to(root).as_posix() for pattern in patterns for path in sorted(root.glob(pattern))]
        for title, patterns in parts.items()
    }


def linked(text: str, page: str, pages: set[str], coach: bool) -> str:
    """The text of a page with every link leading somewhere on the site, or into the repository.

    Parameters
    ----------
    text : str
        Markdown.
    page : str
        Where it stands, from the repository's root.
    pages : set of str
        What is published.
    coach : bool
        Whether pictures for coaches are.
    """

    def lead(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or re.match(r"[a-z]+:", match["target"]):
            return match[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        picture = place.endswith(PICTURES) and (coach or not place.startswith(COACH_ONLY))
        if place in pages or place in WHOLE_PAGES or (picture and match["start"].startswith("!")):
            return match[0] if place != "README.md" else match[0].replace(target, _up(page) + "index.md")
        kind = "tree" if (paths.ROOT / place).is_dir() else "blob"
        where = f"{HOST}{repository()}/{kind}/main/{place}" + (f"#{anchor}" if anchor else "")
        return f"{match['start']}{where}{match['end']}"

    parts, end = [], 0
    for fence in _FENCED.finditer(text):
        parts += [_LINK.sub(lead, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(lead, text[end:])])


def _up(page: str) -> str:
    return "../" * page.count("/")


def stage(folder: Path, coach: bool) -> None:
    """Copy what the site is made of into a folder of its own, with links as the site needs them."""
    parts = published(coach)
    pages = {page for part in parts.values() for page in part}
    for page in pages:
        text = linked((paths.ROOT / page).read_text(encoding="utf-8"), page, pages, coach)
        text = _BADGE.sub(r"\1", text)
        text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
        file = folder / ("index.md" if page == "README.md" else page)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_whole_page_links(text, page), encoding="utf-8")
        for picture in re.findall(r"!\[[^\]]*\]\(([^)\s:]+)[)\s]", text):
            source = (paths.ROOT / page).parent / picture
            target = folder / posixpath.normpath(posixpath.join(posixpath.dirname(page), picture))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for page in WHOLE_PAGES:
        target = folder / "whole" / page
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.ROOT / page, target)
    contents = [
        f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n"
        + "\n".join(page.removesuffix(".md") for page in part if page != "README.md")
        + "\n```\n"
        for title, part in parts.items()
    ]
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write("\n" + "\n".join(contents))
    (folder / "conf.py").write_text(CONFIGURATION, encoding="utf-8")


def _whole_page_links(text: str, page: str) -> str:
    """Links to playground and clinic in HTML: Sphinx would offer the file for download."""
    for whole in WHOLE_PAGES:
        here = posixpath.relpath(whole, posixpath.dirname(page) or ".")
        text = re.sub(rf"\[([^\[\]]+)\]\({re.escape(here)}((?:[?#][^)\s]*)?)\)", rf'<a href="{here}\2">\1</a>', text)
    return text


def build(out: Path = FOLDER, coach: bool = False) -> Path:
    """Build the site anew.

    Parameters
    ----------
    out : pathlib.Path
        Folder of the pages; an older site in it is replaced.
    coach : bool
        With the pages for coaches.

    Returns
    -------
    pathlib.Path
        The first page.

    Raises
    ------
    RepositoryError
        If the folder holds something else, or Sphinx found a fault in a page.
    """
    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise RepositoryError(f"{paths.short(out)} holds files that are no site. Choose another folder with --out.")
    with tempfile.TemporaryDirectory() as scratch:
        source, fresh = Path(scratch, "source"), Path(scratch, "site")
        stage(source, coach)
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(source), str(fresh)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONUTF8": "1"})
        if done.returncode:
            raise RepositoryError("The site was not built: " + done.stderr.replace(str(source) + os.sep, "").strip())
        for page in fresh.rglob("*.html"):
            if page.relative_to(fresh).as_posix() not in WHOLE_PAGES:
                page.write_text(accessible(page.read_text(encoding="utf-8")), encoding="utf-8")
        for left in (".buildinfo", ".doctrees", "objects.inv"):
            shutil.rmtree(fresh / left, ignore_errors=True) if (fresh / left).is_dir() else (fresh / left).unlink(True)
        (fresh / MARK).touch()
        (fresh / ".nojekyll").touch()  # GitHub would leave out folders that begin with an underscore
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(fresh, out)
    return out / "index.html"


# What furo and docutils leave to a screen reader or a keyboard without a name, and what it becomes.
_MENDED = (
    ("<pre>", '<pre tabindex="0">'),
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ('<p class="caption" role="heading">', '<p class="caption">'),
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="All pages">'),
    ('<aside class="toc-drawer">', '<aside class="toc-drawer" aria-label="On this page">'),
    ('<th class="head"><p></p></th>', "<td></td>"),
    ('<input class="task-list-item-checkbox"', '<input aria-label="done" class="task-list-item-checkbox"'),
)


def accessible(page: str) -> str:
    """A built page in which whatever scrolls can be reached by keyboard, and every part has a name."""
    for old, new in _MENDED:
        page = page.replace(old, new)
    if "<h1" not in page:  # the page of the search
        page = re.sub(r"(<article[^>]*>)", r'\1<h1 class="visually-hidden">Search</h1>', page, count=1)
    return page


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py site``."""
    parser = argparse.ArgumentParser(prog="workshop.py site", description=__doc__.splitlines()[0])
    parser.add_argument("--coach", action="store_true", help="with the pages for coaches, which hold the answers")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the pages (default: site)")
    options = parser.parse_args(argv)
    first = build(options.out, options.coach)
    print(f"Open {paths.short(first)} in a browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
