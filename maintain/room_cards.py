"""Pages for the walls and tables of the room: the room card, the four curves, group cards, and *working/stuck* cards.

`maintain.handouts` writes them beside the handouts. Nothing on them needs colour; no type is smaller than 14 points.
"""

import base64
import html
import re
from pathlib import Path

from maintain.curve_figures import ASSETS, curve_runs
from tuning import paths
from tuning.dials import PRESETS, Dials
from tuning.errors import DocumentError
from tuning.figures.curves import describe
from tuning.notebook import activities

USUAL_ROOM = "embedded bundled fp32"
GROUPS = 12
_ROLES = re.compile(r"(?:^- The \*\*\w+\*\* (?:.+\n)+?)+(?=\n)", re.MULTILINE)
_ROLE = re.compile(r"^- The \*\*(\w+)\*\* (.+?)(?=\n- |\Z)", re.MULTILINE | re.DOTALL)

_STYLE = """
@page { size: A4 landscape; margin: 12mm }
body { margin: 0; font: 14pt/1.35 "Segoe UI", "Helvetica Neue", Arial, sans-serif; color: #000 }
h1, h2, p { margin: 0 0 .3em }
code { font-family: Consolas, Menlo, monospace }
"""
_POSTER = """
body { text-align: center }
h1 { font-size: 54pt; margin-top: 4mm }
.card { border: 2mm solid; border-radius: 6mm; padding: 14mm 2mm; margin: 8mm 0; font-size: 54pt; font-weight: bold }
p { font-size: 28pt }
"""
_CURVES = """
section { break-after: page; text-align: center }
section:last-child { break-after: auto }
img { width: 100%; max-height: 168mm; object-fit: contain }
p { font-size: 18pt }
"""
_CARDS = """
body { display: grid; grid-template-columns: repeat(3, 1fr) }
section { border: .4mm dashed #555; padding: 4mm; height: 61.5mm; box-sizing: border-box; break-inside: avoid }
h1 { font-size: 24pt; margin: 0 }
h2 { font-size: 18pt }
"""
_SIGNS = """
body { display: grid; grid-template-columns: 1fr 1fr }
section { border: .4mm dashed #555; height: 92mm; box-sizing: border-box; padding: 8mm; text-align: center;
  break-inside: avoid }
div { border-radius: 6mm; height: 100%; box-sizing: border-box; padding-top: 6mm }
.working { border: 1.5mm solid }
.stuck { border: 4mm double }
h1 { font-size: 54pt; line-height: 1.1 }
p { font-size: 20pt }
"""


def _document(title: str, style: str, body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en-GB">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def picture_address(path: Path) -> str:
    """A picture as an address that holds all of it; a drawing of the same name is taken instead, since it scales.

    Raises
    ------
    DocumentError
        If there is no such picture.
    """
    drawing = path.with_suffix(".svg")
    path = drawing if drawing.is_file() else path
    kind = "svg+xml" if path.suffix == ".svg" else "png"
    try:
        return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError as problem:
        raise DocumentError(f"{paths.short(path)}: this picture cannot be read ({problem.strerror}).") from None


def room_card(room: str = USUAL_ROOM) -> str:
    """The room card as a poster.

    Parameters
    ----------
    room : str
        What learners write into the dial ``ROOM``.

    Raises
    ------
    DialError
        If the dial does not take it.
    """
    dials = Dials.from_settings({"ROOM": room})
    card = f"{dials.MODEL} {dials.DATA} {dials.PRECISION}"
    return _document(
        "Room card",
        _POSTER,
        f'<h1>Room card</h1>\n<div class="card"><code>{html.escape(card)}</code></div>\n'
        f'<p>Notebook 01, section <strong>Dials</strong>:</p>\n<p><code>ROOM = "{html.escape(card)}"</code></p>',
    )


def curves() -> str:
    """The four curves of Activity 1, a page each, without their answers."""
    pages = []
    for letter, run in curve_runs().items():
        words = html.escape(f"Curve {letter.upper()}. {describe(run)}", quote=True)
        source = picture_address(ASSETS / f"curve_{letter}.png")
        pages.append(f'<section>\n<img src="{source}" alt="{words}">\n<p>What happened, and where do you see it?</p>\n')
    return _document("The four curves", _CURVES, "</section>\n".join(pages) + "</section>")


def roles() -> dict[str, str]:
    """What driver, logger and observer do, in the words of Activity 3."""
    text = (activities.FOLDER / "activity-3.md").read_text(encoding="utf-8")
    first = _ROLES.search(text)  # their call in Task 5 has other words for the same roles
    tasks = {role: " ".join(task.replace("*", "").split()) for role, task in _ROLE.findall(first[0] if first else "")}
    if len(tasks) != 3:
        raise DocumentError(f"activities/activity-3.md: it names {len(tasks)} roles, and a group has three.")
    return tasks


def preset_of(group: int) -> str:
    """The preset that a group's number gives, so that each preset has groups spread over the room."""
    return PRESETS[(group - 1) % len(PRESETS)]


def group_cards() -> str:
    """A row of cards for each group, one card for each role, to be cut."""
    return _document(
        "Group cards",
        _CARDS,
        "\n".join(
            f"<section>\n<h1>Group {group}</h1>\n<h2>{role.capitalize()}</h2>\n<p>{task[0].upper()}{task[1:]}</p>\n"
            f'<p><code>LR_PRESET = "{preset_of(group)}"</code><br><code>GROUP = {group}</code></p>\n</section>'
            for group in range(1, GROUPS + 1)
            for role, task in roles().items()
        ),
    )


def signs() -> str:
    """Cards that show from the back of the room how a learner is doing."""
    working = '<section><div class="working"><h1>✓<br>WORKING</h1><p>All is well here.</p></div></section>'
    stuck = '<section><div class="stuck"><h1>?<br>STUCK</h1><p>Please come when you can.</p></div></section>'
    return _document("Working and stuck", _SIGNS, f"{working}\n{stuck}\n" * 2)


PAGES = {"Room_Card": room_card, "Curves_A_to_D": curves, "Group_Cards": group_cards, "Working_Stuck": signs}
