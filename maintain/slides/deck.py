"""The slides of the day: ``python3 workshop.py slides`` makes ``slides/workshop.pptx`` and ``.pdf`` from the Markdown.

``slides/workshop.md`` is the source. Pandoc puts its text into the layouts of ``slides/reference.pptx``; afterwards
python-pptx adds what pandoc cannot: alt text, table columns that fit, the foot of each slide. The PDF is printed from
that very PowerPoint by LibreOffice. The time of every slide comes from the front matter of the activities.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maintain.slides import deck_pictures, results_form, run_sheet, slide_design
from maintain.slides.slide_finish import finish
from maintain.slides.slide_source import FOLDER, SOURCE, parsed, plan, source_text
from tuning import paths
from tuning.command import one_line_errors
from tuning.errors import DocumentError
from tuning.files import write_whole
from tuning.room import results_slide

if TYPE_CHECKING:
    from pptx.presentation import Presentation

DECK = FOLDER / "workshop.pptx"
PRINTED = FOLDER / "workshop.pdf"
# Pandoc writes this date instead of the hour of the day, so that the same source gives the same file.
EPOCH = "1735689600"
PRINT_SECONDS = 300
DPI = 150


def build(folder: Path = FOLDER) -> list[Path]:
    """Write the source's blocks, the pictures, the design, the deck and the empty group-results slides.

    Parameters
    ----------
    folder : pathlib.Path
        Where to.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    DocumentError
        If the source does not fit the day, its tables do not fit their slides, or a file cannot be written.
    """
    text = source_text()
    if folder == FOLDER and text != SOURCE.read_text(encoding="utf-8"):
        write_whole(SOURCE, text)
    reference, deck = folder / slide_design.FILE.name, folder / DECK.name
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    words = {}
    for name, picture in deck_pictures.draw():
        (folder / "pictures" / name).write_bytes(picture.png(dpi=DPI))
        words[name] = picture.words
    slide_design.save(slide_design.reference(), reference)
    tree = parsed(text)
    pages = plan(tree, words)
    presentation = _converted(tree, reference, folder)
    finish(presentation, pages)
    slide_design.save(presentation, deck)
    presentation.core_properties.keywords = fingerprint(deck)
    slide_design.save(presentation, deck)
    form = folder / results_slide.FORM.name
    slide_design.save(results_form.empty_form(reference), form)
    pictures = [folder / "pictures" / name for name in words]
    return [*pictures, reference, deck, form]


def fingerprint(deck: Path) -> str:
    """A short name of what a deck holds; the printed deck carries it too, so that the two cannot drift unseen."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(deck) as members:
        for name in sorted(members.namelist()):
            if name != "docProps/core.xml":
                digest.update(name.encode() + b"\0" + members.read(name))
    # Without a space: LibreOffice takes keywords apart.
    return f"deck-{digest.hexdigest()[:16]}"


def printed_from(deck: Path, printed: Path) -> bool:
    """Whether a PDF was printed from just this deck."""
    return printed.is_file() and fingerprint(deck).encode("utf-16-be").hex().upper().encode() in printed.read_bytes()


def dead_links(printed: Path) -> list[str]:
    """Links of a PDF that lead to a file of the machine that printed it, and any folder of that machine in it."""
    content = printed.read_bytes()
    links = [link.decode("latin-1") for link in re.findall(rb"/URI\s*\(((?:[^()\\]|\\.)*)\)", content)]
    folders = [
        folder for folder in {str(paths.ROOT), str(Path.home())} if len(folder) > 1 and folder.encode() in content
    ]
    return [link for link in links if not link.startswith("https://")] + folders


def print_deck(deck: Path = DECK, printed: Path = PRINTED) -> Path:
    """Print a deck as PDF through LibreOffice.

    Raises
    ------
    DocumentError
        If LibreOffice is missing or fails, or the PDF names a place on this machine.
    """
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        raise DocumentError(
            f"LibreOffice is not installed here, so {paths.short(printed)} was not printed."
            " Install it, or open the deck in PowerPoint and save it as PDF."
        )
    with tempfile.TemporaryDirectory() as scratch:
        # A profile of its own: an office that is open on this machine would refuse a second one.
        profile = f"-env:UserInstallation={Path(scratch, 'profile').as_uri()}"
        kind = 'pdf:impress_pdf_Export:{"UseTaggedPDF":{"type":"boolean","value":"true"}}'
        command = [office, profile, "--headless", "--convert-to", kind, "--outdir", scratch, str(deck)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PRINT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise DocumentError(f"LibreOffice did not print {paths.short(deck)} in {PRINT_SECONDS} seconds.") from None
        made = Path(scratch, f"{deck.stem}.pdf")
        if not made.is_file():
            reason = ["no reason", *(done.stderr or done.stdout).strip().splitlines()][-1]
            raise DocumentError(f"LibreOffice did not print {paths.short(deck)} ({reason}).")
        if dead := dead_links(made):
            raise DocumentError(f"{paths.short(deck)}: its PDF would name a place on this machine ({dead[0]}).")
        shutil.copyfile(made, printed)
    return printed


def _converted(tree: dict[str, Any], reference: Path, folder: Path) -> "Presentation":
    import pypandoc
    from pptx import Presentation

    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, DECK.name)
        options = ["--slide-level=2", f"--reference-doc={reference}", f"--resource-path={folder}"]
        before = os.environ.get("SOURCE_DATE_EPOCH")
        os.environ["SOURCE_DATE_EPOCH"] = EPOCH
        try:
            pypandoc.convert_text(json.dumps(tree), "pptx", format="json", outputfile=str(made), extra_args=options)
        except RuntimeError as problem:
            raise DocumentError(f"{paths.short(SOURCE)}: pandoc cannot make slides of it ({problem}).") from None
        finally:
            if before is None:
                del os.environ["SOURCE_DATE_EPOCH"]
            else:
                os.environ["SOURCE_DATE_EPOCH"] = before
        return Presentation(str(made))


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py slides``."""
    parser = argparse.ArgumentParser(prog="workshop.py slides", description=__doc__.splitlines()[0])
    parser.add_argument("--no-pdf", action="store_true", help="make the PowerPoint only; the PDF stays as it is")
    options = parser.parse_args(argv)
    for path in build():
        print(paths.short(path))
    if options.no_pdf:
        print(f"{paths.short(PRINTED)} was not printed again.")
    elif printed_from(DECK, PRINTED):
        print(f"{paths.short(PRINTED)} is up to date.")
    else:
        print(paths.short(print_deck()))
    if not options.no_pdf and not run_sheet.is_up_to_date():
        print(paths.short(run_sheet.print_sheet()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
