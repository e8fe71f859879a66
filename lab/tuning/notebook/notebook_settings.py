"""What may be set in a notebook from outside, checked before anything runs, and written into its cells."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from tuning.dials import Dials, PlanDials, SgdDials
from tuning.dials.dial_set import DialSet
from tuning.errors import DialError, nearest
from tuning.evidence.predictions import CALL_WORDS
from tuning.further.options import OPTIONS
from tuning.notebook import pasted_text
from tuning.runs.record import BACKUP_NOTEBOOK, FURTHER_NOTEBOOK

# What a learner types into cells, as it is published: a check takes nothing of it.
PUBLISHED = {
    "PREDICTION": "",
    "PREDICTED_F1": None,
    "BECAUSE": "",
    "GROUP_LINE": "",
    "ANSWERS": "",
    "OPEN_TEST": "",
    "GROUP_NAME": "",
    "WITH_WEIGHTS": False,
    "COME_BACK": False,
    "EXPORT": False,
}
PREDICTIONS = ("PREDICTION", "PREDICTED_F1", "BECAUSE")
BOARD_NOTEBOOK = "03"


def of_option(number: str, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The number of the notebook that is meant, and its settings: ``OPTION`` chooses one of Going Further.

    Raises
    ------
    DialError
        If there is no such option.
    """
    if number != FURTHER_NOTEBOOK or "OPTION" not in settings:
        return number, settings
    letter = str(settings["OPTION"]).strip().upper()
    if letter not in OPTIONS:
        raise DialError(f"OPTION = {settings['OPTION']!r} cannot be used. Allowed: {', '.join(OPTIONS)}.")
    return number + letter, {name: value for name, value in settings.items() if name != "OPTION"}


def _dials_of(number: str) -> type[DialSet]:
    """What the cell of dials of a notebook holds."""
    if number.startswith(FURTHER_NOTEBOOK):
        return PlanDials if number == FURTHER_NOTEBOOK else OPTIONS[number[2:]].dials
    return SgdDials if number == BACKUP_NOTEBOOK else Dials


def defaults(number: str) -> dict[str, Any]:
    """Every dial of a notebook with its default."""
    if number == BOARD_NOTEBOOK:
        return {}
    dials = _dials_of(number)()
    values = {name: getattr(dials, name) for name in dials.settable()}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def checked_prediction(number: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The prediction among the settings, checked."""
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
    """Write values into the cells of a notebook that set these names at their top level."""
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
    """Check the settings of a notebook before anything runs."""
    if number == BOARD_NOTEBOOK:
        return _board_parameters(settings)
    if number.startswith(FURTHER_NOTEBOOK):
        return _further_parameters(number, settings)
    dials = _dials_of(number).from_settings(settings)
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


def _further_parameters(number: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Notebooks of Going Further have dials of their own; those of notebook 01 say what kind of run they start from."""
    kind = _dials_of(number)
    own, dials = kind.names(), Dials.names()
    for name in settings:
        if name not in own and name not in dials:
            hint = nearest(name, [*own, *dials, "OPTION"])
            option = ", OPTION to run another notebook" * (number == FURTHER_NOTEBOOK)
            raise DialError(
                f"{name} is no setting of notebook {number}.{hint} It has {', '.join(own)}{option}, and takes the"
                " dials of notebook 01 for the run to start from."
            )
    given = {name: value for name, value in settings.items() if name in own}
    start = {name: value for name, value in settings.items() if name not in own}
    checked = kind(**given | ({"DIALS": start} if start else {}))
    return {name: getattr(checked, name) for name in (*given, *(["DIALS"] if start else []))}
