"""A run without a screen: a check of the machine that counts nowhere, or the learner's own."""

import ast
import json
import os
import re

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from tuning import paths
from tuning.dials import Dials, FreezingDials, PlanDials, SgdDials
from tuning.errors import DialError
from tuning.evidence import predictions
from tuning.notebook import headless, notebook_settings, pasted_text
from tuning.notebook.session import notebook_file, notebook_files
from tuning.runs.diagnosis import diagnose
from tuning.runs.record import Run
from tuning.runs.store import finished_runs


def set_in(path) -> dict[str, object]:
    """Constants that cells of a notebook set at their top level, the dials' cell left out."""
    found = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code" or "parameters" in cell.metadata.get("tags", []) or cell.id == "place":
            continue
        if (name := pasted_text.name_in(cell.source)) is not None:
            found[name] = "".join(cell.source.splitlines()[1:])
            continue
        for line in ast.parse(TransformerManager().transform_cell(cell.source)).body:
            if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
                found[line.targets[0].id] = line.value.value
    return found


@pytest.mark.parametrize("number", notebook_files())
def test_the_published_notebooks_hold_what_a_check_writes_into_them(number):
    for name, value in set_in(notebook_file(number)).items():
        if name in notebook_settings.PUBLISHED:
            text = value.strip() if isinstance(value, str) else value
            assert text == notebook_settings.PUBLISHED[name]


def test_every_form_that_a_learner_fills_is_known():
    forms = {name for number in ("01", "04G") for name in set_in(notebook_file(number)) if name.isupper()}
    assert forms - {"PRICE_PER_HOUR"} == set(notebook_settings.PUBLISHED)


def test_what_a_learner_typed_gives_way_and_the_rest_of_the_cell_stays():
    text = notebook_file("01").read_text(encoding="utf-8")
    edited = text.replace('PREDICTION = \\"\\"', 'PREDICTION = \\"crashed\\"').replace("800", "48")
    assert edited != text
    cells = {cell.id: cell.source for cell in nbformat.reads(edited, as_version=4).cells}
    again = nbformat.reads(notebook_settings.retyped(edited, notebook_settings.PUBLISHED), as_version=4).cells
    for cell in again:
        kept = [line for line in cell.source.splitlines() if not line.startswith(tuple(notebook_settings.PUBLISHED))]
        assert all(line in cells[cell.id] for line in kept)
    prediction = next(cell.source for cell in again if cell.id == "prediction")
    assert "PREDICTION = ''" in prediction
    assert "predict(dials, PREDICTION, PREDICTED_F1, BECAUSE)" in prediction


@pytest.fixture
def asked(monkeypatch):
    """What papermill would have been given: the cells and the dials, where runs would lie."""
    given = {}

    def execute(start, executed, parameters, **others):
        cells = nbformat.read(start, as_version=4).cells
        given.update(parameters=parameters, runs=os.environ.get("WORKSHOP_RUNS"), work=os.environ["WORKSHOP_WORK"])
        given["prediction"] = next((cell.source for cell in cells if cell.id == "prediction"), "")
        executed.write_text(nbformat.writes(nbformat.v4.new_notebook()), encoding="utf-8")
        return nbformat.from_dict({"metadata": {"results": []}})

    monkeypatch.setattr(headless.papermill, "execute_notebook", execute)
    return given


@pytest.mark.parametrize(
    ("typed", "dials"),
    [("01", Dials()), ("02", SgdDials()), ("04", PlanDials()), ("04 --set OPTION=B", FreezingDials())],
)
def test_a_check_sets_every_dial_and_lies_apart(asked, capsys, typed, dials):
    before = dict(os.environ)
    assert headless.main(["--notebook", *typed.split()]) == 0
    assert asked["parameters"].keys() == set(dials.settable())
    assert type(dials)(**asked["parameters"]) == dials
    assert asked["runs"] == str(paths.runs() / "check")
    assert asked["work"].startswith(asked["runs"])
    assert dict(os.environ) == before
    assert "A check of the machine" in capsys.readouterr().out


def test_a_dial_from_outside_blanks_the_prediction_unless_it_is_given_too(asked, monkeypatch, tmp_path):
    edited = notebook_file("01").read_text(encoding="utf-8")
    edited = edited.replace('PREDICTION = \\"\\"', 'PREDICTION = \\"crashed\\"')
    mine = tmp_path / notebook_file("01").name
    mine.write_text(edited, encoding="utf-8")
    monkeypatch.setattr(headless, "notebook_file", lambda number: mine)
    runs = str(paths.runs())
    assert headless.main(["--mine"]) == 0
    assert 'PREDICTION = "crashed"' in asked["prediction"]
    assert (asked["parameters"], asked["runs"]) == ({}, runs)
    assert headless.main(["--mine", "--set", "GROUP=4"]) == 0
    assert "PREDICTION = ''" in asked["prediction"]
    assert asked["parameters"] == {"GROUP": 4}
    told = ["PREDICTION=Moving", "PREDICTED_F1=0.7", 'BECAUSE=it "fell"']
    assert headless.main(["--mine", "--set", "GROUP=4", *(part for one in told for part in ("--set", one))]) == 0
    values = {one.targets[0].id: one.value.value for one in ast.parse(asked["prediction"]).body[1:4]}
    assert values == {"PREDICTION": "Moving", "PREDICTED_F1": 0.7, "BECAUSE": 'it "fell"'}
    assert headless.main([]) == 0
    assert "PREDICTION = ''" in asked["prediction"]


@pytest.mark.parametrize("setting", ["PREDICTION=good", "PREDICTED_F1=7", "PREDICTED_F1=high", "PREDICTION="])
def test_a_wrong_prediction_is_refused_before_anything_runs(asked, setting):
    name, _, value = setting.partition("=")
    with pytest.raises(DialError, match=name):
        headless.run_notebook("01", {name: value}, mine=True)
    assert not asked


def test_the_board_shows_the_learner_s_runs(asked):
    runs = os.environ["WORKSHOP_RUNS"]
    assert headless.main(["--notebook", "03"]) == 0
    assert asked["runs"] == runs


def test_a_checks_run_is_nobody_s(make_run, keep_run):
    with headless.apart_from_the_learner():
        keep_run(make_run())
        assert len(finished_runs()) == 1
    assert finished_runs() == []
    assert Run.load(paths.runs() / "check" / make_run().run_id).run_id == make_run().run_id
    assert json.loads((paths.runs() / "check" / make_run().run_id / "run.json").read_text())["outcome"] == "completed"


@pytest.mark.parametrize("number", notebook_files())
def test_the_progress_bar_shows_words(number):
    notebook = load_notebook_node(str(notebook_file(number)))
    with_settings = parameterize_notebook(notebook, {"EPOCHS": 1}, kernel_name="python3", language="python")
    names = [headless._shown_name(cell) for cell in with_settings.cells]
    assert "settings" in names
    assert [name for name in names if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)] == []


def test_the_report_of_a_run_shows_the_prediction_beside_the_result(make_run, keep_run, capsys):
    run = make_run(started="2099-01-01T09:00:00+00:00")
    run.diagnosis = diagnose(run).as_dict()
    headless.report(keep_run(run).folder)
    assert "predicted" not in capsys.readouterr().out
    predictions.predict(Dials(**run.dials), "crashed", 0.3, "so far up")
    headless.report(run.folder)
    told = capsys.readouterr().out
    assert re.search(r"predicted +crashed +0\.30 .*so far up", told)
    assert "| Run ID | LR preset |" in told
