"""The run sheet on one side of A4: ``coach/run_sheet.pdf``, printed from the rows of ``coach/run_sheet.md``."""

import hashlib
import html
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from maintain.documents.time_blocks import COLUMNS, run_sheet_rows
from tuning import paths
from tuning.errors import DocumentError

PRINTED = paths.ROOT / "coach" / "run_sheet.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PRINT_SECONDS = 120
# In points; nothing on the sheet is smaller.
SMALLEST = 9
STYLE = f"""
@page {{ size: A4; margin: 5mm 7mm }}
body {{ margin: 0; font: {SMALLEST}pt/1.06 Arial, "Liberation Sans", sans-serif }}
h1 {{ font-size: 11pt; margin: 0 0 1mm }}
table {{ border-collapse: collapse; width: 100%; table-layout: fixed }}
th, td {{ border-bottom: .4pt solid #aaa; padding: .38mm 1mm .38mm 0; text-align: left; vertical-align: top }}
tr.part td {{ border-top: 1pt solid #333 }}
tr.pause td {{ background: #eee }}
col.time {{ width: 10.5mm }} col.slide {{ width: 11.5mm }} col.what {{ width: 55mm }}
col.paste {{ width: 24mm }} col.late {{ width: 25mm }}
"""

_BOLD, _HTML_BOLD = re.compile(r"\*\*(.+?)\*\*"), r"<b>\1</b>"


def page() -> str:
    """The sheet as a web page that needs nothing else; its title ends with a short name of what it holds."""
    body = "\n".join(_row(row) for row in run_sheet_rows())
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    columns = "".join(f'<col class="{name}">' for name in ("time", "slide", "what", "say", "paste", "late"))
    table = f"<table><colgroup>{columns}</colgroup><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    name = f"sheet-{hashlib.sha256((STYLE + table).encode()).hexdigest()[:16]}"
    return (
        f'<!DOCTYPE html><html lang="en-GB"><head><meta charset="utf-8"><title>Run sheet, Workshop 6W, {name}</title>'
        f"<style>{STYLE}</style></head><body><h1>Run sheet · Workshop 6W, Optimisation in the Wild</h1>"
        f"{table}</body></html>"
    )


def _row(row: tuple[str, ...]) -> str:
    time, slide, what, say, paste, late = row
    kind = "part" if what.startswith("**") else "" if say else "pause"
    cells = (f"<b>{time}</b>", slide.replace(" to ", "\u2013"), *map(html.escape, (what, say, paste, late)))
    texts = "".join(f"<td>{_BOLD.sub(_HTML_BOLD, cell)}</td>" for cell in cells)
    return f'<tr class="{kind}">{texts}</tr>'


def fingerprint(text: str) -> str:
    """The short name of what a page holds; the printed sheet carries it in its title."""
    return re.search(r"sheet-[0-9a-f]{16}", text)[0]


def is_up_to_date(printed: Path = PRINTED) -> bool:
    """Whether the printed sheet holds what the day says."""
    return printed.is_file() and fingerprint(page()).encode() in printed.read_bytes()


def print_sheet(printed: Path = PRINTED) -> Path:
    """Print the sheet through a browser.

    Raises
    ------
    DocumentError
        If there is no browser, or it fails.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise DocumentError(f"Chromium is not installed here, so {paths.short(printed)} was not printed.")
    with tempfile.TemporaryDirectory() as scratch:
        source, made = Path(scratch, "sheet.html"), Path(scratch, "sheet.pdf")
        source.write_text(page(), encoding="utf-8")
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch}/profile"]
        command = [browser, *quiet, "--no-pdf-header-footer", f"--print-to-pdf={made}", source.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PRINT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise DocumentError(f"Chromium did not print {paths.short(printed)} in {PRINT_SECONDS} seconds.") from None
        if not made.is_file():
            reason = ["no reason", *done.stderr.strip().splitlines()][-1]
            raise DocumentError(f"Chromium did not print {paths.short(printed)} ({reason}).")
        shutil.copyfile(made, printed)
    return printed
