"""One page about a run for somebody who decides and was not there: as a picture, and as a page that a browser opens.

It says in plain words what the model does, how sure that is, where it fails, what it costs, and what nobody should
promise. Numbers come from the record and from the predictions kept with it.
"""

import base64
import dataclasses
import html
import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from tuning import paths
from tuning.errors import RunError
from tuning.evidence.handover.model_card import write_card
from tuning.evidence.handover.page_text import Page, page_of
from tuning.evidence.handover.statements import of_hundred
from tuning.evidence.task6 import answer
from tuning.figures.style import BLUE, GREY, STYLE, Picture
from tuning.files import free_name, sign, write_whole
from tuning.runs.record import Run

FOLDER = "one_page"
# Of the picture, in inches; no line has more letters, however narrow they are.
INCHES, MARGIN, LINE_INCHES, LETTERS = 8.27, 0.6, 0.2, 110
STYLE_SHEET = (
    "body{margin:0 auto;max-width:44rem;padding:1.5rem;color:#17212b;background:#fff;"
    "font:1.05rem/1.5 system-ui,'Segoe UI',Roboto,Arial,sans-serif}"
    "h1{font-size:1.5rem;line-height:1.2;margin:0}h2{font-size:1.1rem;margin:1.2rem 0 .2rem;color:#005a8e}"
    "p{margin:.3rem 0}img{max-width:100%;height:auto}"
    ".answer{font-size:1.2rem;font-weight:600;border-left:.4rem solid #0072b2;padding-left:.8rem;margin:1rem 0}"
    "ul{margin:.3rem 0;padding-left:1.2rem}footer{margin-top:1.5rem;color:#55606b;font-size:.9rem}"
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """How a kind of text looks in the picture: size in points, height in lines, weight and colour."""

    size: float
    lines: float = 1.0
    weight: str = "normal"
    colour: str = "black"


KINDS = {
    "title": Kind(19, 1.9, "bold"),
    "answer": Kind(13, 1.35, "bold"),
    "chart": Kind(10, 7.5),
    "heading": Kind(12.5, 1.6, "bold", BLUE),
    "text": Kind(10.5),
    "new paragraph": Kind(10.5, 1.35),
    "source": Kind(9, 1.6, "normal", GREY),
}


def hand_over(run: Run) -> Picture:
    """Write one page for a manager, and say on the model card what the worksheet's C3 says.

    Parameters
    ----------
    run : Run
        Of either lab; of an adopted one the page says less.

    Returns
    -------
    Picture
        The page; it is in ``share/one_page/`` as PNG and HTML. What somebody has changed there stays.

    Raises
    ------
    RunError
        If the run has no scores, or the files cannot be written.
    WorksheetError
        If the worksheet cannot be opened.
    """
    if run.final.get("val_accuracy") is None:
        raise RunError(f"{run.run_id}: this run has no scores, so there is nothing to tell a manager. Train one first.")
    words = answer("C3")
    page, chart = page_of(run, words), _chart_of(run)
    picture = _picture(page, chart)
    try:
        written = [_keep(f"{run.run_id}.png", picture.png(150)), _keep(f"{run.run_id}.html", _html(page, chart))]
        card = write_card(run, words=words)
    except OSError as problem:
        raise RunError(
            f"{paths.short(paths.share())}: the page cannot be written there ({problem.strerror}). If a program has it"
            " open, close it there."
        ) from None
    print(f"For a manager: {' and '.join(map(paths.short, written))}.")
    print(f"Model card: {paths.short(card)}." if card else "No model card: this run keeps no weights.")
    if not words:
        print("C3 of your worksheet is empty. Write it, save, and run this again: it goes onto both.")
    return picture


def _chart_of(run: Run) -> tuple[list[tuple[str, float, tuple[float, float] | None, str]], str]:
    """The bars of the chart (name, share, interval, colour) and what it shows, in words."""
    final, top = run.final, run.majority
    bars = [
        ("this model", final["val_accuracy"], final.get("val_accuracy_interval"), BLUE),
        (f'always "{top["label"]}"', top["accuracy"], None, GREY),
    ]
    words = "; ".join(f"{name}: right on {of_hundred(share)} sentences" for name, share, *_ in bars)
    return bars, words[0].upper() + words[1:] + "."


def _draw_chart(axes: Axes, bars: list) -> None:
    for place, (_, share, ends, colour) in enumerate(bars):
        axes.barh(place, 100 * share, color=colour, height=0.62)
        if ends:
            error = [[100 * max(share - ends[0], 0)], [100 * max(ends[1] - share, 0)]]
            axes.errorbar(100 * share, place, xerr=error, color="black", capsize=5)
        axes.text(2, place, f"{100 * share:.0f}", color="white", va="center", fontsize=13, weight="bold")
    axes.set_yticks(range(len(bars)), [name for name, *_ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_title("Right, of 100 sentences", fontsize=12)
    axes.grid(axis="y", visible=False)


def _picture(page: Page, chart: tuple) -> Picture:
    """The page as a picture, as high as its text needs."""
    bars, words = chart
    body = [("title", "Can we use it?"), ("answer", page.answer), ("chart", "")]
    for title, lines in page.sections.items():
        body += [("heading", title), *(("text", line) for line in lines)]
    body.append(("source", page.source))
    with mpl.rc_context(STYLE):
        rows = []
        for kind, text in body:
            first, *more = _wrapped(text, KINDS[kind])
            below_text = kind == "text" and rows[-1][0].size == KINDS["text"].size
            rows += [(KINDS["new paragraph" if below_text else kind], first), *((KINDS[kind], line) for line in more)]
        height = LINE_INCHES * (sum(kind.lines for kind, _ in rows) + 3)
        figure, top = Figure(figsize=(INCHES, height), dpi=100), height - 0.3
        for kind, line in rows:
            top -= LINE_INCHES * kind.lines
            if kind is KINDS["chart"]:
                _draw_chart(figure.add_axes((0.24, (top + 0.35) / height, 0.66, 0.75 / height)), bars)
            figure.text(
                MARGIN / INCHES,
                top / height,
                line,
                fontsize=kind.size,
                weight=kind.weight,
                color=kind.colour,
                parse_math=False,
            )
    sections = (f"{title}: {' '.join(lines)}" for title, lines in page.sections.items())
    return Picture(figure, " ".join([page.answer, words, *sections]))


def _wrapped(text: str, kind: Kind) -> list[str]:
    """A text in lines that fit between the margins, whatever its letters; one empty line for no text."""
    renderer, font = RendererAgg(1, 1, 72), FontProperties(size=kind.size, weight=kind.weight)

    def width(line: str) -> float:
        return renderer.get_text_width_height_descent(line, font, ismath=False)[0] / 72

    letters = LETTERS
    while max(map(width, lines := textwrap.wrap(text, letters) or [""])) > INCHES - 2 * MARGIN:
        letters -= 2
    return lines


def _html(page: Page, chart: tuple) -> str:
    bars, words = chart
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 1.7), layout="constrained", dpi=100)
        _draw_chart(figure.subplots(), bars)
    image = base64.b64encode(Picture(figure, words).png(150)).decode()
    sections = "\n".join(
        f"<h2>{html.escape(title)}</h2>\n" + "\n".join(f"<p>{html.escape(line)}</p>" for line in lines)
        for title, lines in page.sections.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Can we use it? One page about a model</title>
<style>{STYLE_SHEET}</style>
</head>
<body>
<main>
<h1>Can we use it?</h1>
<p class="answer">{html.escape(page.answer)}</p>
<img alt="{html.escape(words)}" src="data:image/png;base64,{image}">
{sections}
</main>
<footer>{html.escape(page.source)}</footer>
</body>
</html>
"""


def _keep(name: str, content: str | bytes) -> Path:
    path = free_name(paths.share() / FOLDER / name)
    write_whole(path, content)
    sign(path)
    return path
