"""The learner's worksheet: found, filled, shown as a difference, and exported.

``handouts/Activity_Worksheet.md`` is the contract: the three tables of its Part B are found by their headings. The
learner's own copy lies in ``my_work/``. Filling writes into empty cells and adds rows; a character that somebody typed
is never changed, and the file as it was is kept in ``my_work/backups/``.
"""

import dataclasses
import difflib
import itertools
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from tuning import folders
from tuning.diagnosis import convergence
from tuning.errors import WorksheetError
from tuning.log import WORKSHEET_COLUMNS, baseline_values, number, signed, worksheet_values
from tuning.prediction import prediction_of, result_word
from tuning.run import BACKUP_NOTEBOOK, Run, adopted_from, readable_runs, write_whole

TEMPLATE = folders.ROOT / "handouts" / "Activity_Worksheet.md"
PREDICTION_COLUMNS = (
    "Run ID",
    "Predicted",
    "Predicted F1",
    "Predicted at",
    "What happened",
    "F1-macro",
    "What the difference tells us",
)
CONVERGENCE_COLUMNS = (
    "Run ID",
    "Loss before training",
    "Loss, last but one epoch",
    "Loss, last epoch",
    "Change",
    "State",
    "Seconds per epoch",
    "Go on or stop, and why",
)
# Page, letters and lines of the Word file: pandoc takes them from here, and Word can change them here.
STYLE = Path(__file__).with_name("worksheet_style.docx")
BASELINE = "baseline"
LOCK_SECONDS = 30
# Letters: no column takes more room than the first, and the last one never has less than the second.
WIDEST, WRITING_ROOM = 24, 16
MARGINS = 3
# Pandoc's Markdown without any way to bring in HTML, TeX, or attributes of HTML elements.
PANDOC_FORMAT = (
    "markdown-raw_html-raw_tex-raw_attribute-native_divs-native_spans-markdown_in_html_blocks-tex_math_dollars-citations"
    "-yaml_metadata_block-header_attributes-link_attributes-fenced_divs-bracketed_spans-fenced_code_attributes"
    "-inline_code_attributes"
)
NO_SCRIPTS = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<style>@page{size:A4 landscape;margin:15mm}body{max-width:60em;font-family:sans-serif}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:3px 6px;text-align:left}"
    "td{height:1.3em}</style>"
)


@dataclasses.dataclass
class Table:
    """A Markdown table inside a text: where its rows are.

    Attributes
    ----------
    first, end : int
        Line of the first row below the heading, and the line after the last row.
    rows : list of list of str
        Cells of each row as they stand, blanks included.
    """

    first: int
    end: int
    rows: list[list[str]]

    def run_ids(self) -> set[str]:
        """The runs that have a row, struck through or not."""
        return {_bare(_bare(row[0]).split(" ")[0]) for row in self.rows}


# A link may lead to a page or a place in this one; "javascript:" and its like are taken out.
_OTHER_LINK = re.compile(r'href="(?!https?://|mailto:|#)[^"]*"', re.IGNORECASE)


def worksheet_file() -> Path:
    """The learner's own copy, ``my_work/Activity_Worksheet.md``."""
    return folders.work() / TEMPLATE.name


def worksheet_row(run: Run) -> str:
    """The run as a row of the worksheet's Part B table, in Markdown; Notes are left for the learner."""
    return _row(worksheet_values(run))


def baseline_row(run: Run) -> str:
    """The baseline as a row of the worksheet's Part B table, in Markdown."""
    return _row(baseline_values(run))


def fill_worksheet() -> str:
    """Write all finished runs into the learner's worksheet, each once.

    Returns
    -------
    str
        The lines that were added, as a difference, and for each table that the code no longer finds, why, with the rows
        to paste by hand.

    Raises
    ------
    WorksheetError
        If the worksheet cannot be read or written.
    """
    runs, damaged = readable_runs()
    path = worksheet_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=LOCK_SECONDS):
            old = read_worksheet()
            new, notices = filled(old, runs)
            if new != old or not path.exists():
                if path.exists():
                    _back_up(path)
                _write(path, new)
    except Timeout:
        raise WorksheetError(f"{folders.short(path)} is held by another notebook. Run this cell again.") from None
    except OSError as problem:
        raise WorksheetError(
            f"{folders.short(path)} cannot be written ({problem.strerror}). If a program has it open, close it there."
        ) from None
    return "\n".join([_difference(old, new, path), *notices, *(reason for _, reason in damaged)])


def read_worksheet() -> str:
    """The learner's worksheet as text, or the template where there is none yet.

    Bytes that are no UTF-8 come through unchanged when the text is written again.

    Raises
    ------
    WorksheetError
        If it cannot be opened, or is no plain text.
    """
    path = worksheet_file()
    return _read(path if path.exists() else TEMPLATE)


def read_template() -> str:
    """The empty form in ``handouts/``.

    Raises
    ------
    WorksheetError
        If it cannot be opened.
    """
    return _read(TEMPLATE)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise WorksheetError(f"{folders.short(path)} cannot be opened ({problem.strerror}).") from None
    if b"\0" in raw:
        raise WorksheetError(
            f"{folders.short(path)} is no plain text in UTF-8. Save it again as UTF-8, or take a copy from backups/."
        )
    return raw.decode("utf-8", "surrogateescape")


def filled(text: str, runs: Sequence[Run]) -> tuple[str, list[str]]:
    """Fill the tables of a worksheet.

    Parameters
    ----------
    text : str
        The worksheet, with its own line ends.
    runs : sequence of Run
        Oldest first.

    Returns
    -------
    text : str
        With the rows that were missing.
    notices : list of str
        One per table that was not found.
    """
    notices = []
    baselines = [baseline_values(run) for run in _main_first(runs)[:1]]
    text, trouble = _fill(text, "Experiments", WORKSHEET_COLUMNS, runs, worksheet_values, baselines)
    notices += trouble
    for title, columns, values in (
        ("Prediction and result", PREDICTION_COLUMNS, prediction_values),
        ("Convergence", CONVERGENCE_COLUMNS, convergence_values),
    ):
        text, trouble = _fill(text, title, columns, runs, values, [])
        notices += trouble
    return text, notices


def find_table(text: str, columns: Sequence[str]) -> Table | str:
    """Find a table by its heading.

    Returns
    -------
    Table or str
        Or the reason why it cannot be used.
    """
    lines = _lines(text)
    wanted = [name.casefold() for name in columns]
    heads = [at for at, line in enumerate(lines) if [_bare(cell).casefold() for cell in cells(line)] == wanted]
    if len(heads) != 1:
        return "its heading was changed or removed" if not heads else f"it is there {len(heads)} times"
    first = heads[0] + 2
    if first > len(lines) or not re.fullmatch(r"[|\s:-]+", lines[first - 1]):
        return "the line below its heading was changed"
    end = first
    while end < len(lines) and lines[end].lstrip().startswith("|"):
        end += 1
    rows = [cells(line) for line in lines[first:end]]
    if any(len(row) != len(columns) for row in rows):
        return f"a row has not {len(columns)} cells"
    return Table(first, end, rows)


def cells(line: str) -> list[str]:
    r"""Cells of one line of a table, as they stand; ``\|`` is no border. Empty for a line that is no row."""
    line = line.strip()
    if not line.startswith("|"):
        return []
    parts = re.split(r"(?<!\\)\|", line[1:])
    return parts[:-1] if not parts[-1].strip() else parts


def prediction_values(run: Run) -> dict[str, str]:
    """One row of the table "Prediction and result"."""
    made = prediction_of(run) or {"word": "", "f1": None, "made": ""}
    return {
        "Run ID": run.run_id,
        "Predicted": made["word"],
        "Predicted F1": number(made["f1"], 2),
        "Predicted at": made["made"][11:16],
        "What happened": result_word(run),
        "F1-macro": number(run.final.get("val_f1_macro"), 3),
        "What the difference tells us": "",
    }


def convergence_values(run: Run) -> dict[str, str]:
    """One row of the table "Convergence"."""
    found = convergence(run)
    losses = [None, None, *(row["train_loss"] for row in run.epochs)]
    return {
        "Run ID": run.run_id,
        "Loss before training": number(run.baseline.get("train_loss"), 3),
        "Loss, last but one epoch": number(losses[-2], 3),
        "Loss, last epoch": number(losses[-1], 3),
        "Change": signed(found.delta, 3),
        "State": found.state,
        "Seconds per epoch": number(found.epoch_seconds, 1),
        "Go on or stop, and why": "",
    }


def export_worksheet() -> list[Path]:
    """Write the worksheet as ``.docx`` and as ``.html`` (print it to PDF from a browser), to be handed in.

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    WorksheetError
        If there is no worksheet yet, or pandoc is not installed, or a file cannot be written.
    """
    path = worksheet_file()
    if not path.exists():
        raise WorksheetError('There is no worksheet of yours yet. Run the section "Fill your worksheet" first.')
    try:
        import pypandoc

        pypandoc.get_pandoc_version()
    except (ImportError, OSError):
        raise WorksheetError(
            "Pandoc is not installed here, so the worksheet stays Markdown, which can be handed in as it is."
            " To export it: pip install pypandoc-binary"
        ) from None
    text = read_worksheet().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    # An image could be a file of this machine, or an address that a reader's browser would call.
    text = re.sub(r"!\[", r"\\![", text)
    text = _with_widths(text)
    page = ["--standalone", "--metadata=pagetitle:Activity Worksheet", f"--variable=header-includes:{NO_SCRIPTS}"]
    written = []
    for kind, options in {"docx": [f"--reference-doc={STYLE}"], "html": page}.items():
        target = path.with_suffix(f".{kind}")
        options = [*options, "--metadata=lang:en-GB"]
        try:
            pypandoc.convert_text(
                text, kind, format=PANDOC_FORMAT, outputfile=str(target), extra_args=options, sandbox=True
            )
        except RuntimeError as problem:
            told = str(problem).strip().splitlines()[-1]
            raise WorksheetError(
                f"{folders.short(target)} cannot be written ({told}). If Word has it open, close it there."
            ) from None
        written.append(target)
    page_file = path.with_suffix(".html")
    page_text = page_file.read_text(encoding="utf-8")
    write_whole(page_file, _OTHER_LINK.sub('href="#"', page_text))
    return written


def _with_widths(text: str) -> str:
    """Give the columns of every table the room that they need: pandoc reads it from the dashes below the heading."""
    lines = _lines(text)
    for at in range(1, len(lines)):
        head = cells(lines[at - 1])
        if not head or not re.fullmatch(r"[|\s:-]*-[|\s:-]*", lines[at]) or len(cells(lines[at])) != len(head):
            continue
        rows = list(itertools.takewhile(bool, map(cells, lines[at + 1 :])))
        columns = itertools.zip_longest(head, *rows, fillvalue="")
        widths = [min(max(map(_room, column)), WIDEST) for column in columns][: len(head)]
        # The last column is the one to write in.
        widths[-1] = max(widths[-1], WRITING_ROOM)
        lines[at] = "|" + "|".join("-" * width for width in widths) + "|" + _ending(lines[at])
    return "".join(lines)


def _room(cell: str) -> int:
    """Letters that a cell should have room for in one line, with its margins: its longest word, or half its text."""
    # Pandoc keeps the words around an abbreviation's full stop together.
    words = re.split(r"(?<!\.)\s+|[/-]", cell.strip())
    return MARGINS + max(len(cell.strip()) // 2, *map(len, words))


def _main_first(runs: Sequence[Run]) -> list[Run]:
    """Own runs of the main lab first: the baseline is the first of these."""
    return sorted(runs, key=lambda run: (adopted_from(run) is not None, run.notebook == BACKUP_NOTEBOOK))


def _fill(
    text: str,
    title: str,
    columns: Sequence[str],
    runs: Sequence[Run],
    values: Callable[[Run], dict[str, str]],
    baselines: list[dict[str, str]],
) -> tuple[str, list[str]]:
    table = find_table(text, columns)
    if isinstance(table, str):
        rows = [_row(row) for row in baselines] + [_row(_marked(values(run), run)) for run in runs]
        told = f'The table "{title}" of your worksheet was left alone: {table}.'
        return text, [told, *(["Rows to paste by hand:", *rows] if rows else [])]
    lines = _lines(text)
    for row in baselines:
        _fill_baseline(lines, table, row)
    known = table.run_ids()
    new = [_row(_marked(values(run), run)) for run in runs if run.run_id not in known]
    blank = [table.first + at for at, row in enumerate(table.rows) if not "".join(row).strip()]
    ending = _ending(lines[table.end - 1]) or _ending(lines[table.first - 1]) or "\n"
    for at, row in zip(blank, new, strict=False):
        lines[at] = row + _ending(lines[at])
    rest = new[len(blank) :]
    if rest:
        if not _ending(lines[table.end - 1]):
            lines[table.end - 1] += ending
        lines[table.end : table.end] = [row + ending for row in rest]
    return "".join(lines), []


def _fill_baseline(lines: list[str], table: Table, values: dict[str, str]) -> None:
    """Write the numbers before training into the row "Baseline", where nobody has written any."""
    for at, row in enumerate(table.rows):
        if _bare(row[0]).casefold() == BASELINE and not "".join(row[1:-1]).strip():
            written = [
                f" {value} " if not cell.strip() else cell for cell, value in zip(row, values.values(), strict=True)
            ]
            lines[table.first + at] = f"|{'|'.join(written)}|{_ending(lines[table.first + at])}"
            return


def _marked(values: dict[str, str], run: Run) -> dict[str, str]:
    group = adopted_from(run)
    return values if group is None else values | {"Run ID": f"{run.run_id} (group: {group})"}


def _row(values: dict[str, str]) -> str:
    return "| " + " | ".join(_cell(value) or " " for value in values.values()) + " |"


def _cell(value: str) -> str:
    """A text that stays inside its cell."""
    return " ".join(value.split()).replace("|", r"\|").replace("<", "&lt;")


def _bare(cell: str) -> str:
    """A cell's text without the marks of emphasis, strike-through and code around it."""
    return cell.strip("*_`~ \t")


def _lines(text: str) -> list[str]:
    """Lines with their ends, whichever they are."""
    return re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", text)


def _ending(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(text.encode("utf-8", "surrogateescape"))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _back_up(path: Path) -> None:
    folder = path.parent / "backups"
    folder.mkdir(exist_ok=True)
    stem = f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while (kept := folder / f"{stem}{'' if number == 1 else f'-{number}'}.md").exists():
        number += 1
    try:
        kept.write_bytes(path.read_bytes())
    except OSError:
        # Half a copy must not be taken for one.
        kept.unlink(missing_ok=True)
        raise


def _difference(old: str, new: str, path: Path) -> str:
    if old == new:
        return f"{folders.short(path)}: every finished run is in it already."
    changes = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    added = [line for line in list(changes)[2:] if line.startswith("+")]
    shown = [line.encode("utf-8", "replace").decode() for line in added]
    return "\n".join([f"Written into {folders.short(path)}:", *shown])
