"""What training needs is imported while the learner reads, and no cell finds half of it."""

import subprocess
import sys

import pytest

from tuning import paths

SESSION = """
import sys, threading
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_cell("from tuning.notebook import early_imports\\nearly_imports.begin({modules})")
for cell in ("threads = [thread.name for thread in threading.enumerate()]", "import json.tool, pandas"):
    shell.run_cell("import sys, threading\\n" + cell).raise_error()
    print("early-imports" in shell.user_ns["threads"], hasattr(sys.modules.get("pandas"), "DataFrame"))
"""


@pytest.mark.parametrize(
    ("modules", "printed"),
    [
        ("('pandas',)", ["False True", "False True"]),
        # What is missing is left to the cell that needs it.
        ("('no_such_package', 'pandas')", ["False False", "False True"]),
    ],
)
def test_the_next_cell_waits_until_the_thread_has_ended(modules, printed):
    code = SESSION.format(modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.LAB, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines() == printed, done.stderr
