"""The handouts as pages to print: ``python3 workshop.py handouts`` writes them to ``my_work/handouts/``.

The cheat sheet and the glossary fit on one A4 page each; a test prints them in a browser and counts. The worksheet is
the empty form, with room to write by hand; a filled one is exported by `tuning.evidence.worksheet`. In ``large_print/``
lie the same handouts in 18 points; what the room needs comes from `maintain.room_cards`.
"""

import argparse
import re
import sys
from pathlib import Path

from maintain import room_cards
from maintain.site import linked
from tuning import paths
from tuning.command import one_line_errors
from tuning.errors import DocumentError
from tuning.evidence import worksheet
from tuning.files import free_name, sign, write_whole

FOLDER = paths.ROOT / "handouts"
ONE_PAGE = ("Cheat_Sheet", "Unit6_Maths_Words_Glossary")
LONGER = ("Fine_Tuning_in_Plain_English", "Tuning_Decision_Log_Template", "Optional_WandB")
FORM = "Activity_Worksheet"
ALL = (*ONE_PAGE, *LONGER, FORM)
LARGE_PRINT = "large_print"
# On paper Part B is tables, with as many rows as a learner alone needs and one for the budget round.
HAND_ROWS = 4
STYLE = """
@page { size: A4; margin: 11mm }
body { max-width: 46em; margin: 1em auto; font: 11pt/1.4 "Segoe UI", "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 1.5em; margin: 0 0 .3em; column-span: all }
h1 + p { column-span: all; margin-top: 0 }
h2 { font-size: 1.1em; margin: .8em 0 .2em; border-bottom: 1px solid #999; break-after: avoid }
p, ul, ol { margin: .2em 0 }
ul, ol { padding-left: 1.2em }
table { border-collapse: collapse; width: 100%; margin: .3em 0 }
th, td { border: 1px solid #aaa; padding: .1em .4em; text-align: left; vertical-align: top }
td:empty { height: 2em }
a { color: inherit; text-decoration: none }
code { font-family: Consolas, Menlo, monospace; font-size: .92em }
img { max-width: 100% }
table:has(img) { break-inside: avoid }
table:has(img) thead { display: none }
@media print { body { max-width: none; margin: 0 } }
"""
# Two columns; on a screen they stay one. No type is smaller than 11 points.
DENSE = """
@page { margin: 8mm 9mm }
@media print {
  body { columns: 2; column-gap: 6mm; font-size: 11pt; line-height: 1.22 }
  h1 { font-size: 1.25em }
  h2 { margin: .35em 0 .1em; font-size: 1.05em }
  p, ul, ol { margin: .1em 0 }
  th, td { padding: 0 .25em }
  code { font-size: 1em }
  h2 + p, h2 + table, ol, tr { break-inside: avoid }
}
"""
# On paper, what is filled in by hand needs room: below each prompt, and in each row of a wide table.
HAND = """
@media print {
  @page { size: A4 landscape }
  h3, h4, h2 + p, h3 + p { break-after: avoid }
  p:has(> strong:only-child) { min-height: 5.4em; break-inside: avoid }
  table { font-size: .85em; table-layout: fixed; break-inside: avoid }
  th:last-child { width: 24% }
  th:last-child:nth-child(2) { width: 75% }
  td:empty { height: 2.4em }
  img { max-height: 76mm }
}
"""
LARGE = """
body { font-size: 18pt; line-height: 1.5; max-width: 34em }
code { font-size: 1em }
pre { white-space: pre-wrap }
td:empty { height: 2.4em }
tr { break-inside: avoid }
"""
# Wide tables would not fit: Part B keeps its blocks. A curve has the whole width.
LARGE_HAND = """
td:has(img) { display: block }
table:has(img) { break-inside: auto }
th:last-child:nth-child(2) { width: 60% }
@media print {
  h3, h4, h2 + p, h3 + p { break-after: avoid }
  p:has(> strong:only-child) { min-height: 7em; break-inside: avoid }
}
"""


def page(name: str, large: bool = False) -> str:
    """One handout as a web page that needs nothing else.

    Parameters
    ----------
    name : str
        Of `ONE_PAGE` or `LONGER`, or `FORM`.
    large : bool
        In large print.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    DocumentError
        If the handout is missing or pandoc is not installed.
    """
    source = FOLDER / f"{name}.md"
    style = STYLE + (LARGE if large else DENSE if name in ONE_PAGE else "")
    style += (LARGE_HAND if large else HAND) if name == FORM else ""
    try:
        import pypandoc

        text = source.read_text(encoding="utf-8")
        if name == FORM and not large:
            text, _ = worksheet.filled(text, [], spare=HAND_ROWS)
        title = text.partition("\n")[0].lstrip("# ")
        options = [
            "--standalone",
            f"--metadata=pagetitle:{title}",
            "--metadata=lang:en-GB",
            "--metadata=document-css:false",
        ]
        body = pypandoc.convert_text(
            linked(text, f"handouts/{source.name}", {f"handouts/{other}.md" for other in ALL}, coach=False),
            "html5",
            format="gfm",
            extra_args=[*options, f"--variable=header-includes:<style>{style}</style>"],
            sandbox=True,
        )
    except ImportError:
        raise DocumentError("Pandoc is not installed here. Run: pip install pypandoc-binary") from None
    except OSError as problem:
        raise DocumentError(f"{paths.short(source)}: this handout cannot be read ({problem.strerror}).") from None
    body = re.sub(r'src="(\.\./assets/[^"]+)"', lambda match: f'src="{_picture(match[1])}"', body)
    return re.sub(r'href="(?:\.\./handouts/)?(\w+)\.md', r'href="\1.html', body)


def _picture(address: str) -> str:
    return room_cards.picture_address((FOLDER / address).resolve())


def write(folder: Path | None = None, room: str = room_cards.USUAL_ROOM) -> list[Path]:
    """Write all handouts, and what the room needs, as web pages.

    Parameters
    ----------
    folder : pathlib.Path, optional
        ``my_work/handouts/`` by default.
    room : str
        What the room card says.

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    DocumentError
        If a handout is missing or cannot be written, or pandoc is not installed.
    """
    folder = folder or paths.work() / "handouts"
    pages = {name: page(name) for name in ALL}
    pages |= {name: make(room) if name == "Room_Card" else make() for name, make in room_cards.PAGES.items()}
    pages |= {f"{LARGE_PRINT}/{name}": page(name, large=True) for name in ALL}
    written = []
    for name, text in pages.items():
        path = free_name(folder / f"{name}.html")
        try:
            write_whole(path, text)
            sign(path)
        except OSError as problem:
            raise DocumentError(
                f"{paths.short(path)} cannot be written ({problem.strerror}). Free some space, or make its folder"
                " writable."
            ) from None
        written.append(path)
    return written


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py handouts``."""
    parser = argparse.ArgumentParser(prog="workshop.py handouts", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--room",
        default=room_cards.USUAL_ROOM,
        help=f"the three words of the room card (default: {room_cards.USUAL_ROOM})",
    )
    for path in write(room=parser.parse_args(argv).room):
        print(paths.short(path))
    print("Open a page in a browser and print it (A4).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
