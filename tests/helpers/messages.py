"""What the code can say when something goes wrong, collected from its source.

A message is the text of an error that a person reads (`WorkshopError`, `HubError` and their kin, in the launcher and in
``lab/tuning/``), of a line ``error: ...`` that a command prints, or of a ``[WARN]`` or ``[FAIL]`` line of the
preflight. Its *fragment* is its longest part that never changes: what one would search for.
"""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tuning import paths as folders

SHORTEST = 12
# How a command begins a line that is no raised error.
ERROR = "error: "
# What a raised name must end with to be read by a person; `ValueError` and its like never get that far.
PROGRAMMERS = ("ValueError", "TypeError", "KeyError", "NotImplementedError", "AttributeError", "StopIteration")


@dataclasses.dataclass(frozen=True)
class Message:
    """Where a message is raised, and its fragment."""

    where: str
    fragment: str


class Sources:
    """The parsed modules, and the functions and constants that a message may come from."""

    def __init__(self, paths: list[Path]) -> None:
        self.trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
        self.functions: dict[str, list[ast.FunctionDef]] = {}
        self.constants: dict[str, list[ast.expr]] = {}
        for tree in self.trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    self.functions.setdefault(node.name, []).append(node)
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    self.constants.setdefault(node.targets[0].id, []).append(node.value)

    def fragments(self, text: ast.expr, depth: int = 0) -> Iterator[str]:
        """The longest unchanging part of each text that an expression can be."""
        if depth > 3:
            return
        if isinstance(text, ast.Constant):
            if isinstance(text.value, str):
                yield text.value
        elif isinstance(text, ast.JoinedStr):
            parts = [part.value for part in text.values if isinstance(part, ast.Constant)]
            longest = max(parts, key=len, default="")
            if len(longest.strip()) >= SHORTEST:
                yield longest
            else:
                for part in text.values:
                    if isinstance(part, ast.FormattedValue):
                        yield from self.fragments(part.value, depth + 1)
        elif isinstance(text, ast.IfExp):
            yield from self.fragments(text.body, depth + 1)
            yield from self.fragments(text.orelse, depth + 1)
        elif isinstance(text, ast.Name) and text.id.isupper():
            for value in self.constants.get(text.id, []):
                yield from self.fragments(value, depth + 1)
        elif isinstance(text, ast.Call) and isinstance(getattr(text.func, "value", None), ast.Constant):
            # `"...{}...".format(...)`, where an old Python reads the file.
            yield max(str(text.func.value.value).split("{}"), key=len)
        elif isinstance(text, ast.Call):
            name = text.func.attr if isinstance(text.func, ast.Attribute) else getattr(text.func, "id", "")
            for function in self.functions.get(name, []):
                for node in ast.walk(function):
                    if isinstance(node, ast.Return) and node.value is not None:
                        yield from self.fragments(node.value, depth + 1)
                    elif isinstance(node, ast.Dict):
                        for value in node.values:
                            yield from self.fragments(value, depth + 1)


def launcher_files() -> list[Path]:
    """The launcher's source: the door and the package behind it."""
    return [folders.ROOT / "workshop.py", *sorted((folders.ROOT / "launcher").glob("*.py"))]


def messages() -> list[Message]:
    """Every message of the code, with the place where it is raised."""
    sources = Sources([*launcher_files(), *sorted((folders.LAB / "tuning").rglob("*.py"))])
    found = []
    for path, tree in sources.trees.items():
        for node in ast.walk(tree):
            text = _text_of(node)
            if text is None:
                continue
            for fragment in sources.fragments(text):
                if len(fragment.strip()) >= SHORTEST:
                    found.append(Message(f"{folders.short(path)}:{node.lineno}", " ".join(fragment.split())))
    return found


def _text_of(node: ast.AST) -> ast.expr | None:
    """The text of a raised error, of a printed one, or of a line of the preflight that is not OK."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
        name = getattr(node.exc.func, "id", "")
        return node.exc.args[0] if name not in PROGRAMMERS else None
    if not isinstance(node, ast.Call) or not node.args:
        return None
    name = getattr(node.func, "id", "")
    if name == "refuse":
        return node.args[0]
    if name == "Check" and len(node.args) == 2:
        return None if getattr(node.args[0], "value", "") == "OK" else node.args[1]
    if name == "print" and str(getattr(node.args[0], "value", "")).startswith(ERROR):
        return ast.Constant(node.args[0].value.removeprefix(ERROR))
    return None
