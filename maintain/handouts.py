"""The handouts as pages to print: ``python3 workshop.py handouts`` writes them to ``my_work/handouts/``.

The cheat sheet and the glossary fit on one A4 page each; a test prints them in a browser and counts. The worksheet is
the empty form, with room to write by hand; a filled one is exported by `tuning.evidence.worksheet`.
"""

import argparse
import sys
from pathlib import Path

from tuning import paths
from tuning.command import one_line_errors
from tuning.errors import DocumentError
from tuning.evidence import worksheet
from tuning.files import free_name, sign, write_whole

FOLDER = paths.ROOT / "handouts"
ONE_PAGE = ("Cheat_Sheet", "Unit6_Maths_Words_Glossary")
LONGER = ("Fine_Tuning_in_Plain_English", "Tuning_Decision_Log_Template", "Optional_WandB")
FORM = "Activity_Worksheet"
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
a { color: inherit; text-decoration: none }
code { font-family: Consolas, Menlo, monospace; font-size: .92em }
@media print { body { max-width: none; margin: 0 } }
"""
# Two columns of small but readable type; on a screen they stay one column.
DENSE = """
@media print {
  body { columns: 2; column-gap: 7mm; font-size: 10.2pt; line-height: 1.3 }
  h2 { margin: .55em 0 .15em }
  h2 + p, h2 + table, ol, tr { break-inside: avoid }
}
"""
# On paper, what is filled in by hand needs room: below each prompt, and in each row of a wide table.
HAND = """
@media print {
  @page { size: A4 landscape }
  h3, h2 + p, h3 + p { break-after: avoid }
  p:has(> strong:only-child) { min-height: 5.4em; break-inside: avoid }
  table { font-size: .85em; table-layout: fixed; break-inside: avoid }
  th:last-child { width: 24% }
  th:last-child:nth-child(2) { width: 75% }
  td:empty { height: 2.4em }
}
"""


def page(name: str) -> str:
    """One handout as a web page that needs nothing else.

    Parameters
    ----------
    name : str
        Of `ONE_PAGE` or `LONGER`, or `FORM`.

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
    style = STYLE + (DENSE if name in ONE_PAGE else HAND if name == FORM else "")
    try:
        import pypandoc

        text = source.read_text(encoding="utf-8")
        if name == FORM:
            text, _ = worksheet.filled(text, [], spare=HAND_ROWS)
        title = text.partition("\n")[0].lstrip("# ")
        options = [
            "--standalone",
            f"--metadata=pagetitle:{title}",
            "--metadata=lang:en-GB",
            "--metadata=document-css:false",
        ]
        body = pypandoc.convert_text(
            text,
            "html5",
            format="gfm",
            extra_args=[*options, f"--variable=header-includes:<style>{style}</style>"],
            sandbox=True,
        )
    except ImportError:
        raise DocumentError("Pandoc is not installed here. Run: pip install pypandoc-binary") from None
    except OSError as problem:
        raise DocumentError(f"{paths.short(source)}: this handout cannot be read ({problem.strerror}).") from None
    return body


def write(folder: Path | None = None) -> list[Path]:
    """Write all handouts as web pages.

    Parameters
    ----------
    folder : pathlib.Path, optional
        ``my_work/handouts/`` by default.

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
    written = []
    for name in (*ONE_PAGE, *LONGER, FORM):
        path, text = free_name(folder / f"{name}.html"), page(name)
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
    argparse.ArgumentParser(prog="workshop.py handouts", description=__doc__.splitlines()[0]).parse_args(argv)
    for path in write():
        print(paths.short(path))
    print("Open a page in a browser and print it (A4).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
