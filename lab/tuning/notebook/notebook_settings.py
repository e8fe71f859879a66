"""What may be set in a notebook from outside, checked before anything runs, and written into its cells."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from tuning.dials import Dials, FurtherDials, SgdDials
from tuning.errors import DialError, nearest
from tuning.evidence.predictions import CALL_WORDS
from tuning.notebook import pasted_text
from tuning.runs.record import BACKUP_NOTEBOOK, FURTHER_NOTEBOOK

# What a learner types into cells, as it is published: a check takes nothing of it.
PUBLISHED = {
    "PREDICTION": "",
    "PREDICTED_F1": None,
    "BECAUSE": "",
    "GROUP_LINE": "",
    "OPEN_TEST": "",
    "GROUP_NAME": "",
    "WITH_WEIGHTS": False,
    "COME_BACK": False,
    "EXPORT": False,
}
PREDICTIONS = ("PREDICTION", "PREDICTED_F1", "BECAUSE")
BOARD_NOTEBOOK = "03"


def defaults(number: str) -> dict[str, Any]:
    """Every dial of a notebook with its default."""
    if number == BOARD_NOTEBOOK:
        return {}
    dials = {BACKUP_NOTEBOOK: SgdDials, FURTHER_NOTEBOOK: FurtherDials}.get(number, Dials)()
    values = {name: getattr(dials, name) for name in dials.settable()}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def checked_prediction(number: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The prediction among the settings, checked.

    Raises
    ------
    DialError
        If the word is none of the four, or the number no score.
    """
    if number not in ("01", BACKUP_NOTEBOOK):
        return {}
    given = {name: settings[name] for name in PREDICTIONS if name in settings}
    if "PREDICTION" in given and (word := given["PREDICTION"].strip().lower()) not in CALL_WORDS:
        raise DialError(f"PREDICTION={word[:30]}: write one of these words: {', '.join(CALL_WORDS)}.")
    if "PREDICTED_F1" in given:
        try:
            score = float(given["PREDICTED_F1"])
        except ValueError:
            score = -1.0
        if not 0 <= score <= 1:
            raise DialError(f"PREDICTED_F1={given['PREDICTED_F1'][:30]}: write a number from 0 to 1, such as 0.7.")
        given["PREDICTED_F1"] = score
    return given


def retyped(text: str, typed: Mapping[str, Any]) -> str:
    """Write values into the cells of a notebook where a learner types them.

    Parameters
    ----------
    typed : mapping
        Names that cells set at their top level, and values.
    """
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = _with_values(cell.source, typed)
    return nbformat.writes(notebook)


def _with_values(source: str, typed: Mapping[str, Any]) -> str:
    if (name := pasted_text.name_in(source)) in typed:
        return f"{source.splitlines()[0]}\n{typed[name]}\n"
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return source
    lines = source.splitlines()
    for node in reversed(statements):
        if isinstance(node, ast.Assign) and isinstance(name := node.targets[0], ast.Name) and name.id in typed:
            lines[node.lineno - 1 : node.end_lineno] = [f"{name.id} = {typed[name.id]!r}"]
    return "\n".join(lines)


def parameters(number: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Check the settings of a notebook before anything runs.

    Raises
    ------
    DialError
        If a name or a value cannot be used.
    """
    if number == BOARD_NOTEBOOK:
        return _board_parameters(settings)
    if number == FURTHER_NOTEBOOK:
        return _further_parameters(settings)
    dials = (SgdDials if number == BACKUP_NOTEBOOK else Dials).from_settings(settings)
    return {name: getattr(dials, name) for name in settings}


def _board_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    for name, value in settings.items():
        if name != "SHARED":
            hint = nearest(name, ["SHARED"])
            raise DialError(
                f"{name} is no setting of notebook {BOARD_NOTEBOOK}.{hint} It has one: SHARED=<file or folder>."
            )
        if not Path(value).expanduser().exists():
            raise DialError(f"SHARED={value}: there is no such file or folder.")
    return {name: str(Path(value).expanduser().resolve()) for name, value in settings.items()}


def _further_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Notebook 04 has settings of its own; dials of notebook 01 say what kind of run it starts from."""
    own, dials = FurtherDials.names(), Dials.names()
    for name in settings:
        if name not in own and name not in dials:
            hint = nearest(name, [*own, *dials])
            raise DialError(
                f"{name} is no setting of notebook {FURTHER_NOTEBOOK}.{hint} It has {', '.join(own)}, and takes the"
                " dials of notebook 01 for the run to start from."
            )
    given = {name: value for name, value in settings.items() if name in own}
    start = {name: value for name, value in settings.items() if name not in own}
    checked = FurtherDials(**given | ({"DIALS": start} if start else {}))
    return {name: getattr(checked, name) for name in (*given, *(["DIALS"] if start else []))}
