"""The programs that are started here: their variables, those of pip and of a notebook's kernel, and Ctrl-C."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.files import can_hold_files, write_whole
from launcher.settings import EXIT_INTERRUPTED, say

# The first lets PyTorch's idle threads sleep: where another program keeps a core busy, threads that spin
# while they wait turn seconds of training into minutes. The last makes output sent to a file safe on Windows.
CHILD_VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUTF8": "1"}

# Of the variables that change how Python itself works, those that can do no harm here. PYTHONPATH and PYTHONHOME bring
# other code in, PYTHONOPTIMIZE takes texts out, PYTHONINSPECT waits for a person.
PYTHON_VARIABLES = {
    "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONHASHSEED", "PYTHONPYCACHEPREFIX", "PYTHONUSERBASE", "PYTHONNOUSERSITE",
    "PYTHONFAULTHANDLER",
}  # fmt: skip

FOLDER_VARIABLES = ("IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR")

# Settings of pip by which packages go elsewhere, for another machine, not all of them, or nowhere.
PIP_ELSEWHERE = {
    "TARGET", "PREFIX", "ROOT", "USER", "DRY_RUN", "NO_DEPS", "PYTHON", "PLATFORM", "PYTHON_VERSION", "IMPLEMENTATION",
    "ABI", "REQUIREMENT", "EDITABLE", "REQUIRE_HASHES", "REQUIRE_VIRTUALENV", "QUIET",
}  # fmt: skip
# The same settings in a file of pip's are overruled by a variable, where a variable can say no.
PIP_SWITCHED_OFF = {"PIP_DRY_RUN": "0", "PIP_NO_DEPS": "0", "PIP_REQUIRE_HASHES": "0", "PIP_REQUIRE_VIRTUALENV": "0"}

FIRST_LINE = "--IPKernelApp.exec_lines=import tuning"

# Windows hears of a Ctrl-C between two waits only, so that one wait there may not last for ever.
LOOK_UP = 0.2 if os.name == "nt" else None
KILLED = -9  # how Popen reports SIGKILL, which is what a system short of memory sends


def child_environment() -> dict[str, str]:
    """Give the variables for everything that is started here; what the person has set themselves stays.

    Of Python's own only the harmless ones do. PYTHONDONTWRITEBYTECODE is not one of them: pip leaves bytecode to the
    first import, and a Python that may not store it would make it at every start.
    """
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name in PYTHON_VARIABLES
    }
    if not own.get("HOME", "somewhere"):
        del own["HOME"]  # empty, it would make the current folder the home; without it the system is asked
    for name in FOLDER_VARIABLES:
        if name in own and not can_hold_files(own[name]):
            del own[name]  # else nothing starts; without it there is a usual place
    # Files in the folder where the command was typed are not libraries.
    return {**CHILD_VARIABLES, **own, "PYTHONSAFEPATH": "1"}


def pip_environment() -> dict[str, str]:
    """Give the variables for pip and venv: what sends packages elsewhere is left out."""
    own = child_environment()
    for name in list(own):
        if name.upper().startswith("PIP_") and name[len("PIP_") :].upper().replace("-", "_") in PIP_ELSEWHERE:
            del own[name]
    return {**own, **PIP_SWITCHED_OFF, "PIP_NO_INPUT": "1"}


def kernel_variables(python: Path) -> dict[str, str]:
    """Have Jupyter look for its kernels beside this interpreter first: another one may be called python3 too."""
    own = str(python.parent.parent / "share" / "jupyter")
    others = os.environ.get("JUPYTER_PATH")
    return {"JUPYTER_PATH": os.pathsep.join([own, others]) if others else own}


def set_kernel_variables(kernel: Path) -> None:
    """Make notebooks of this kernel start with ``OMP_WAIT_POLICY``, which counts before torch is imported.

    And with safe paths: a file in the notebook's folder is then no library of the kernel's own. The package is imported
    at once, so that a cell that runs before the first one gets a line and no traceback.
    """
    if not kernel.is_file():
        return
    spec = json.loads(kernel.read_text(encoding="utf-8"))
    # Without PYTHONPATH: ipykernel takes the notebook's folder off the search path where it stands first, and a
    # PYTHONPATH that names that folder would so hide the package.
    spec.setdefault("env", {}).update(
        OMP_WAIT_POLICY=CHILD_VARIABLES["OMP_WAIT_POLICY"], PYTHONSAFEPATH="1", PYTHONPATH=""
    )
    spec["argv"] = [*(part for part in spec["argv"] if part != FIRST_LINE), FIRST_LINE]
    write_whole(kernel, json.dumps(spec, indent=1) + "\n")


def call(command: Sequence[str], folder: Path | None = None, variables: Mapping[str, str] | None = None) -> int:
    """Run a program in this terminal and give its exit code.

    On Ctrl-C the terminal tells the program too: it is given the time to save its work or, like JupyterLab,
    to ask back. Only the third Ctrl-C ends it by force.
    """
    presses, process = 0, None

    def count(number: int, frame: object) -> None:
        nonlocal presses
        presses += 1
        if presses >= 3 and process:
            process.kill()

    # Counted from before the program starts: a Ctrl-C in the moment between would leave it running alone.
    usual = signal.signal(signal.SIGINT, count)
    try:
        environ = {**child_environment(), **kernel_variables(Path(command[0])), **(variables or {})}
        process = subprocess.Popen(command, cwd=folder, env=environ)
        try:
            while process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_UP)
        finally:
            if process.poll() is None:
                process.terminate()
    finally:
        signal.signal(signal.SIGINT, usual)
    if presses and process.returncode != EXIT_INTERRUPTED:  # else the program has said so itself
        raise KeyboardInterrupt
    if process.returncode == KILLED:
        say(
            "the system ended the program, most likely for lack of memory: close other programs, "
            "or use less data or a shorter MAX_LENGTH"
        )
    return process.returncode if process.returncode >= 0 else 128 - process.returncode
