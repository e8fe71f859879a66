"""The plan of the house: imports go one way, files and rooms stay small, the launcher needs nothing installed."""

import ast
import graphlib
import sys
from functools import cache

import grimp
import pytest
from helpers.messages import launcher_files

from tuning import paths

PACKAGES = ("tuning", "maintain", "benchmarks", "scaling", "launcher")
# Each may import those before it. "base" is what lies in lab/tuning/ itself.
ROOMS = [
    "base", "dials", "data", "runs", "figures", "evidence", "encoder", "audit", "training", "lessons", "sgd", "room",
    "cost", "further", "notebook", "maintain", "benchmarks", "scaling",
]  # fmt: skip
# The package tells a notebook's kernel, as soon as it is imported, how errors are shown.
EXCEPTION = ("tuning", "tuning.notebook.session")

MOST_LINES = 400
DOOR_LINES = 250
MOST_MODULES = 12


@cache
def imports() -> list[tuple[str, str]]:
    """Every import between two modules, those inside functions and for type checkers included."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    pairs = [(name, other) for name in sorted(graph.modules) for other in graph.find_modules_directly_imported_by(name)]
    assert EXCEPTION in pairs
    return [pair for pair in pairs if pair != EXCEPTION]


def room_of(module: str) -> str:
    package, _, rest = module.partition(".")
    if package != "tuning":
        return package
    room = rest.partition(".")[0]
    return room if room in ROOMS else "base"


def test_imports_go_one_way():
    upwards = [
        f"{name} -> {other}"
        for name, other in imports()
        if "launcher" not in (room_of(name), room_of(other))
        and ROOMS.index(room_of(other)) > ROOMS.index(room_of(name))
    ]
    assert not upwards


def test_no_circle_of_imports():
    sorter = graphlib.TopologicalSorter()
    for name, other in imports():
        sorter.add(name, other)
    sorter.prepare()  # its error names the circle


def test_the_launcher_stands_alone():
    assert not [pair for pair in imports() if (room_of(pair[0]) == "launcher") != (room_of(pair[1]) == "launcher")]


@pytest.mark.parametrize("file", launcher_files(), ids=lambda file: file.stem)
def test_the_launcher_imports_only_the_standard_library(file):
    outside = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            outside.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outside.add(node.module.partition(".")[0])
    assert outside - {"launcher"} <= sys.stdlib_module_names


def source_files() -> list:
    folders = [paths.LAB / "tuning", *(paths.ROOT / name for name in PACKAGES[1:])]
    return [file for folder in folders for file in sorted(folder.rglob("*.py"))]


def test_no_file_is_long():
    assert len((paths.ROOT / "workshop.py").read_text(encoding="utf-8").splitlines()) <= DOOR_LINES
    sizes = {
        file.relative_to(paths.ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in source_files()
    }
    too_long = {name: lines for name, lines in sizes.items() if lines > MOST_LINES}
    assert not too_long


def test_no_room_is_full():
    rooms = {}
    for file in source_files():
        if file.stem != "__init__":
            rooms.setdefault(file.parent.relative_to(paths.ROOT).as_posix(), []).append(file.stem)
    assert not {room: names for room, names in rooms.items() if len(names) > MOST_MODULES}


def test_every_command_ends_in_one_line():
    bare = []
    for file in source_files():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == "main" and file.parent.name != "launcher":
                decorators = [getattr(decorator, "id", "") for decorator in node.decorator_list]
                bare += [str(file)] if "one_line_errors" not in decorators else []
    assert not bare
