"""What the first cell switches on, in a real IPython shell and a real kernel: one line in place of a traceback."""

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from launcher.children import set_kernel_variables
from tuning import paths
from tuning.errors import WorkshopError
from tuning.notebook import pasted_text, session, wrap
from tuning.notebook.session import notebook_file, notebook_files, sections_of_names


def small_notebook() -> nbformat.NotebookNode:
    return new_notebook(
        cells=[
            new_code_cell(
                "from tuning.data import loading as sentences\nfrom tuning.notebook import session\n"
                "import numpy.linalg\nbegan = 1"
            ),
            new_markdown_cell("# A title\n\nSome words.\n\n## Dials\n\nMore words."),
            new_code_cell("%matplotlib inline\n!ls\nEPOCHS, GROUP = 2, None\nbegan = 2"),
            new_markdown_cell("Words without a heading."),
            new_code_cell(
                "def train_once(model):\n    inner = 1\n    return inner\n\nclass Tiny:\n    attribute = 1\n\n"
                "squares = [item ** 2 for item in range(3)]\ndouble = lambda value: (found := value)"
            ),
            new_markdown_cell("## Train"),
            new_code_cell("for step in range(3):\n    with open('x') as file:\n        loss: float = 1.0\nrun = None"),
            new_code_cell("this is no Python"),
            new_code_cell("%%pasted SHARED\nchat = 1"),
        ]
    )


def test_every_name_has_the_section_that_defines_it_first():
    assert sections_of_names(small_notebook()) == {
        "session": "the first cell",
        "sentences": "the first cell",
        "numpy": "the first cell",
        "began": "the first cell",
        "EPOCHS": "Dials",
        "GROUP": "Dials",
        "train_once": "Dials",
        "Tiny": "Dials",
        "squares": "Dials",
        "double": "Dials",
        "step": "Train",
        "file": "Train",
        "loss": "Train",
        "run": "Train",
        "SHARED": "Train",
    }


@pytest.mark.parametrize("cells", [[], [new_markdown_cell("# Words only")], [new_code_cell("")]])
def test_a_notebook_that_defines_nothing_has_no_names(cells):
    assert sections_of_names(new_notebook(cells=cells)) == {}


def test_a_command_alone_in_a_block_hides_no_name():
    cell = new_code_cell("from tuning import further\n\nif not further:\n    %pip install -q further\nbest = 1")
    assert sections_of_names(new_notebook(cells=[cell])) == {"further": "the first cell", "best": "the first cell"}


def test_the_real_notebooks_can_be_read():
    for path in notebook_files().values():
        sections = sections_of_names(nbformat.read(path, as_version=4))
        assert sections
        assert all(sections.values())


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder with the small notebook as 01."""
    nbformat.write(small_notebook(), tmp_path / "01_small.ipynb")
    monkeypatch.setattr(paths, "LAB", tmp_path)
    return tmp_path


@pytest.fixture
def shell(lab, tmp_path, monkeypatch):
    """An IPython shell in which the first cell has run; it is the one that ``get_ipython`` finds."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(config=config)
    shell.run_cell("from tuning.notebook import session\nsession.start('01')")
    yield shell
    InteractiveShell.clear_instance()


CHATS = {
    "a line": "Amira: W6W1-573-6lHK-END",
    "a path of Windows": "C:\\Users\\new\\table",
    "code": "import builtins\nbuiltins.broken_out = True",
    "three quotation marks": '"""\nimport builtins\nbuiltins.broken_out = True\nr"""',
    "three single ones": "'''\nimport builtins; builtins.broken_out = True\n'''",
    "an odd quotation mark": "it's 6\" long \\",
    "what used to stand here": 'SHARED=r"""\n"""; import builtins; builtins.broken_out = True\nR"""',
    "the first line again": "%%pasted SHARED\nimport builtins; builtins.broken_out = True",
    "another magic": "%%python\nimport builtins; builtins.broken_out = True",
    "commands": "!touch broken_out\n%sx touch broken_out\n%run x.py\nx = !touch broken_out",
    "prompts": ">>> import builtins\n>>> builtins.broken_out = True",
    "numbered prompts": "In [1]: import builtins\nIn [2]: builtins.broken_out = True",
    "names to be filled in": "{__import__('builtins').__dict__.update(broken_out=True)} $HOME",
    "a question": "print?\n?quit\n??",
    "an indented line": "    import builtins\n    builtins.broken_out = True",
    "signs without a letter": "\u2028\x0b\x00\u202e\r\n  \t",
    "nothing": "",
}


@pytest.fixture
def nothing_ran(tmp_path, monkeypatch):
    """What is pasted left no trace: neither in this process nor in the current folder."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not hasattr(builtins, "broken_out")
    assert not (tmp_path / "broken_out").exists()


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("variable", ["SHARED", "GROUP_LINE", "ANSWERS"])
def test_what_is_pasted_is_text_and_never_runs(shell, nothing_ran, name, variable):
    chat = f"{CHATS[name]}\n"
    assert shell.run_cell(f"%%pasted {variable}\n{chat}").success
    assert shell.user_ns[variable] == chat


@pytest.mark.parametrize("name", CHATS)
def test_before_the_first_cell_the_word_is_unknown_and_nothing_runs(shell, nothing_ran, name):
    shell.magics_manager.magics["cell"].pop("pasted")
    shell.input_transformers_cleanup.remove(pasted_text.as_text)
    done = shell.run_cell(f"%%pasted SHARED\n{CHATS[name]}\n")
    assert "Cell magic `%%pasted` not found" in str(done.error_in_exec)
    assert "SHARED" not in shell.user_ns


SLIPS = {
    "nothing below": ("%%pasted SHARED", "\n"),
    "a blank line first": ("\n%%pasted SHARED\nx", "\nx\n"),
    "a blank before": (" %%pasted SHARED\nx", "x\n"),
    "on the first line": ("%%pasted SHARED Amira: x\ny", "Amira: x\ny\n"),
    "right behind the name": ("%%pasted SHAREDW6W1\ny", "W6W1\ny\n"),
    "above the first line": ("import builtins; builtins.broken_out = True\n%%pasted SHARED\n", None),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_of_the_hand_is_forgiven(shell, nothing_ran, name):
    cell, text = SLIPS[name]
    assert shell.run_cell(cell).success
    assert shell.user_ns["SHARED"].rstrip("\n") == (text or cell.partition("\n")[0]).rstrip("\n")


def test_a_first_line_that_was_changed_is_one_line(shell, capsys):
    line = "The first line of this cell must be %%pasted SHARED or %%pasted GROUP_LINE or %%pasted ANSWERS.\n"
    assert said_by(shell, capsys, "%%pasted CHAT\nx") == line


def test_every_pasted_text_of_the_notebooks_has_this_form():
    cells = [cell for path in notebook_files().values() for cell in nbformat.read(path, 4).cells]
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert [pasted_text.name_in(source) for source in code if "pasted" in source] == [
        "GROUP_LINE",
        "GROUP_LINE",
        "SHARED",
        "ANSWERS",
    ]
    assert not [source for source in code if '"""' in source or "'''" in source]


def test_other_cells_are_left_as_they_are(shell):
    assert shell.run_cell('import os\nSHARED = "a path"\nx = """two\nlines"""\n!true').success
    assert (shell.user_ns["SHARED"], shell.user_ns["x"]) == ("a path", "two\nlines")


def said_by(shell, capsys, cell: str) -> str:
    """Run a cell that fails, and give what stands under it."""
    capsys.readouterr()
    assert not shell.run_cell(cell).success
    out, err = capsys.readouterr()
    return out + err


@pytest.mark.parametrize(
    ("cell", "name", "section"),
    [
        ("print(EPOCHS)", "EPOCHS", "Dials"),
        ("1 + run.final['val_loss']", "run", "Train"),
        ("def ask():\n    return squares\nask()", "squares", "Dials"),
    ],
)
def test_a_name_of_the_notebook_gets_the_section_to_run(shell, capsys, cell, name, section):
    said = said_by(shell, capsys, cell)
    assert said == f'{name} is not there yet. Run the section "{section}" first, then this cell.\n'


@pytest.mark.parametrize("name", ["nowhere", "inner", "item", "attribute", "found"])
def test_a_name_that_no_cell_defines_gets_the_usual_traceback(shell, capsys, name):
    said = said_by(shell, capsys, f"print({name})")
    assert f"NameError: name '{name}' is not defined" in said
    assert "Traceback" in said
    assert "is not there yet" not in said


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        (
            "from tuning.dials import Dials\nDials(EPOCHS=0)",
            "EPOCHS = 0 cannot be used. Allowed: a whole number from 1 to 50.",
        ),
        (
            "from tuning.data.loading import load\nload('missing.csv')",
            'missing.csv: there is no such file. Set DATA to "bundled" or to the path of a CSV file.',
        ),
        (
            "from tuning.runs.store import last_run\nlast_run()",
            'There is no recorded run yet. Run the section "Train" first.',
        ),
    ],
)
def test_an_error_of_the_workshop_is_its_line_alone(shell, capsys, cell, line):
    assert said_by(shell, capsys, cell) == line + "\n"


def test_a_bug_keeps_its_traceback(shell, capsys):
    said = said_by(shell, capsys, "1 / 0")
    assert "ZeroDivisionError" in said
    assert "Traceback" in said


def test_the_next_cells_go_on(shell, capsys):
    said_by(shell, capsys, "print(EPOCHS)")
    assert shell.run_cell("EPOCHS = 2\nprint(EPOCHS)").success
    assert capsys.readouterr().out == "2\n"
    assert said_by(shell, capsys, "print(run)").startswith("run is not there yet.")


def test_a_sentence_in_a_table_is_shown_to_its_end(shell):
    long = "The company said that " + "profit, which " * 20 + "rose."
    before = pd.get_option("display.max_colwidth")
    shown, _ = shell.display_formatter.format(pd.DataFrame({"sentence": [long]}))
    assert long in shown["text/html"]
    # Two dollar signs in a sentence are no formula, neither for JupyterLab nor for Colab.
    assert shown["text/html"].startswith('<div class="mathjax_ignore tex2jax_ignore"')
    assert long in shown["text/plain"]
    assert pd.get_option("display.max_colwidth") == before


def test_a_table_of_many_rows_is_whole_and_scrolls(shell):
    shown, _ = shell.display_formatter.format(pd.DataFrame({"group": range(1_000)}))
    assert shown["text/html"].count("<tr") == 1_001
    assert "overflow-y: auto" in shown["text/html"]
    assert len(shown["text/plain"].splitlines()) == 1_001
    shown, _ = shell.display_formatter.format(pd.DataFrame({"group": range(30)}))
    assert "overflow-y" not in shown["text/html"]


def test_a_file_with_a_librarys_name_does_not_hide_it_and_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("yaml", "random", "notes"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('it was run')\n", encoding="utf-8")
    code = "import sys; sys.path.insert(0, ''); import tuning, random, yaml; tuning.notebook.session.start('01')"
    environ = os.environ | {"IPYTHONDIR": str(tmp_path / "ipython")}
    environ.pop("PYTHONSAFEPATH", None)
    # As a kernel does that no setting protects: the folder is looked into before the installed packages.
    start = "import sys; from IPython import start_ipython; sys.exit(start_ipython())"
    command = [sys.executable, "-I", "-c", start, "--no-banner", "--colors=NoColor", "-c", code]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.split()[0].rpartition("/")[2] for line in done.stdout.splitlines() if "name of a library" in line]
    assert told == ["random.py", "yaml.py"]


def test_sentences_begin_at_the_left_and_what_is_not_there_is_no_word(shell):
    frame = pd.DataFrame(
        {"sentence": ["Profit rose.", None], "F1": [0.5, float("nan")], "note": ["1e-05", None], "both": [None, 1]},
        index=["a", "b"],
    )
    shown, _ = shell.display_formatter.format(frame)
    assert shown["text/html"].count('<td style="text-align: left">') == 2, "one column of words, two rows"
    assert '<td style="text-align: left">Profit rose.</td>' in shown["text/html"]
    for text in shown.values():
        assert "NaN" not in text and "None" not in text
    assert frame.isna().sum().sum() == 4, "the table itself stays as it is"


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("LR_PRESET = JUST_RIGHT", 'JUST_RIGHT is a text and needs quotation marks: LR_PRESET = "JUST_RIGHT"'),
        ("a = 1\nMODEL = embedded  # ours", 'embedded is a text and needs quotation marks: MODEL = "embedded"'),
    ],
)
def test_a_text_without_its_quotation_marks_gets_one_line(shell, capsys, cell, line):
    assert said_by(shell, capsys, cell).strip() == line


def test_a_printed_line_is_broken_between_words_and_hangs_below_its_mark():
    long = "[WARN] " + "a word " * 20
    rows = wrap.wrapped(long + "\nshort").splitlines()
    assert max(map(len, rows)) <= wrap.WIDTH
    assert all(row.startswith("       ") for row in rows[1:-1])
    assert " ".join(" ".join(rows).split()) == " ".join(f"{long} short".split())


@pytest.mark.parametrize(
    "line",
    [
        "W6W2-573-" + "a1B" * 300 + "-END",
        "| " + "cell | " * 30,
        "sentence" + " " * 20 + "label   " * 10,
        "python3 -m tensorboard.main --logdir lab/runs/tracking/tensorboard --port 6006 --bind_all --samples 10",
        "step 3/12 " * 9 + "\r",
        "",
    ],
)
def test_what_is_to_be_copied_or_is_aligned_keeps_its_line(line):
    assert wrap.wrapped(line) == line


def test_outside_a_notebook_nothing_is_switched_on(lab):
    session.start("01")


SLOW_TO_IMPORT = {
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "nbformat",
    "jsonschema",
    "matplotlib.pyplot",
    "scipy.stats",
}
MOST_SECONDS = 2


@pytest.mark.parametrize("number", notebook_files())
def test_the_first_cell_imports_nothing_that_is_slow(number):
    """In a process of its own, counted in processor time: a busy neighbour changes that little."""
    from IPython.core.inputtransformer2 import TransformerManager

    cells = nbformat.read(notebook_file(number), as_version=4).cells
    first = "\n".join(cell.source for cell in cells if cell["id"] in ("place", "preflight"))
    first += f"\nprint(sorted({SLOW_TO_IMPORT!r} & sys.modules.keys()))"
    code = TransformerManager().transform_cell(first)
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=notebook_file(number).parent,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    used = os.times()
    assert done.stdout.splitlines()[-1] == "[]"
    spent = used.children_user + used.children_system - before.children_user - before.children_system
    assert spent < MOST_SECONDS


@pytest.mark.slow
def test_a_kernel_stores_the_line_as_the_cells_error(lab, monkeypatch):
    """Whoever runs the notebook without a screen finds the line there, and later cells do not run."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    monkeypatch.setenv("PYTHONPATH", str(Path(session.__file__).parents[2]))
    notebook = new_notebook(
        cells=[
            new_code_cell(
                "import pathlib\nfrom tuning import paths\nfrom tuning.notebook import session\n"
                f"paths.LAB = pathlib.Path({str(lab)!r})\n"
                "session.start('01')"
            ),
            new_code_cell("from tuning.runs.store import last_run\nlast_run()"),
            new_code_cell("print('reached')"),
        ]
    )
    with pytest.raises(CellExecutionError):
        NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    (error,) = notebook.cells[1].outputs
    line = 'There is no recorded run yet. Run the section "Train" first.'
    assert (error.output_type, error.ename, error.evalue) == ("error", "RunError", line)
    assert error.traceback == [line]
    assert notebook.cells[2].outputs == []


@pytest.mark.slow
def test_a_cell_before_the_first_one_gets_a_line_and_long_prints_are_wrapped(tmp_path, monkeypatch):
    """In a kernel as ``workshop.py`` sets it up; the cells of notebook 01 that import nothing ended in a traceback."""
    from nbclient import NotebookClient

    kernel = tmp_path / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(
        json.dumps(
            {
                "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "Python 3",
                "language": "python",
            }
        ),
        encoding="utf-8",
    )
    set_kernel_variables(kernel)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(paths.LAB))
    cells = [
        "splits = sentences.split(data)",
        "from tuning.notebook import session\nsession.start('01')",
        "print('word ' * 30)",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3", timeout=120, allow_errors=True).execute()
    error, _, printed = (cell.outputs for cell in notebook.cells)
    assert error[0].traceback == ['sentences is not there yet. Run the section "Data" first, then this cell.']
    assert max(map(len, printed[0].text.splitlines())) <= wrap.WIDTH


def test_a_notebook_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(WorkshopError, match=r"There is no notebook 99 in lab/. Notebooks: 01, 02, 03"):
        notebook_file("99")
