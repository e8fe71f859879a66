"""Blocks about the code itself: the rooms and what they import, and the way of one CSV row through them."""

import ast
import graphlib
from collections.abc import Callable
from pathlib import Path

from tuning import paths
from tuning.errors import DocumentError

# Folders beside lab/tuning/ that are rooms as well. The launcher imports none of them, and none imports it.
OUTSIDE = ("maintain", "benchmarks", "scaling")
BASE = "base"
# The way of a row: each function or class that has it next, with its room where the name is not the only one.
WAY = (
    ("data", "load"),
    ("data", "read_table"),
    ("data", "check"),
    ("data", "split"),
    (None, "tokenise_splits"),
    ("training", "Recording"),
    ("runs", "Run"),
    ("runs", "diagnose"),
    ("evidence", "append"),
    ("evidence", "fill_worksheet"),
)


def room_of(module: str) -> str | None:
    """The room of a module such as ``tuning.runs.record``; None for what is not ours.

    What lies in ``lab/tuning/`` itself is the base, but the package's own ``__init__`` is no part of a room: it only
    tells a notebook's kernel how errors are shown.
    """
    package, *rest = module.split(".")
    if package in OUTSIDE:
        return package
    if package != "tuning" or not rest:
        return None
    return rest[0] if (paths.LAB / "tuning" / rest[0]).is_dir() else BASE


def imports() -> dict[str, set[str]]:
    """Each room with the rooms that it imports, imports inside functions included."""
    roots = {paths.LAB: ["tuning"], paths.ROOT: list(OUTSIDE)}
    rooms: dict[str, set[str]] = {}
    for root, packages in roots.items():
        for file in sorted(file for package in packages for file in (root / package).rglob("*.py")):
            module = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            if (own := room_of(module)) is None:
                continue
            used = {room_of(name) for name in _imported(ast.parse(file.read_text(encoding="utf-8")))}
            rooms.setdefault(own, set()).update(used - {own, None})
    return rooms


def _imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def floors(rooms: dict[str, set[str]]) -> dict[str, int]:
    """How high each room stands: 0 if it imports none, otherwise one above the highest that it imports."""
    heights: dict[str, int] = {}
    for room in graphlib.TopologicalSorter(rooms).static_order():
        heights[room] = max((heights[used] + 1 for used in rooms[room]), default=0)
    return heights


def arrows(rooms: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The imports that no chain of others says already, from the base on."""
    heights = floors(rooms)
    below: dict[str, set[str]] = {}
    for room in sorted(rooms, key=heights.__getitem__):
        below[room] = rooms[room].union(*(below[used] for used in rooms[room]))
    order = sorted(rooms, key=lambda room: (heights[room], room))
    return [
        (room, used)
        for room in order
        for used in order
        if used in rooms[room] and not any(used in below[other] for other in rooms[room])
    ]


def _layers(path: Path) -> str:
    """A Mermaid drawing of the rooms, and the same as a table."""
    rooms = imports()
    heights = floors(rooms)
    drawn = arrows(rooms)
    drawing = [
        "```mermaid",
        "flowchart BT",
        "    accTitle: The rooms of the code",
        "    accDescr: Each room points to those above it that it imports. The table below says the same in words.",
        *(f"    {room} --> {used}" for room, used in drawn),
        "```",
    ]
    rows = [
        f"| {room} | {_purpose(room)} | {', '.join(used for own, used in drawn if own == room)} |"
        for room in sorted(rooms, key=lambda room: (heights[room], room))
    ]
    return "\n".join([*drawing, "", "| room | what it holds | stands on |", "|---|---|---|", *rows])


def _purpose(room: str) -> str:
    if room == BASE:
        return "what lies in `lab/tuning/` itself, for everything to use"
    folder = paths.ROOT / room if room in OUTSIDE else paths.LAB / "tuning" / room
    return _summary(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


def _summary(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    """The first line of a docstring, to stand inside a sentence."""
    line = (ast.get_docstring(node) or "").partition("\n")[0].removesuffix(".")
    return line[:1].lower() + line[1:]


def _way(path: Path) -> str:
    """One line for each stop of a CSV row on its way into the worksheet."""
    return "\n".join(f"{number}. {_stop(room, name)}" for number, (room, name) in enumerate(WAY, 1))


def _stop(room: str | None, name: str) -> str:
    stops = [
        (file, node)
        for file in sorted((paths.LAB / "tuning" / (room or "")).rglob("*.py"))
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    ]
    if len(stops) != 1:
        where = room or "the package"
        raise DocumentError(f"maintain/documents/house_blocks.py: {len(stops)} definitions of {name} in {where}.")
    ((file, node),) = stops
    return f"`{paths.short(file)}`, `{name}`: {_summary(node)}"


BLOCKS: dict[str, Callable[[Path], str]] = {"layers": _layers, "way-of-a-row": _way}
