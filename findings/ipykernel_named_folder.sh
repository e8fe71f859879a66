#!/usr/bin/env bash
# Guess: a folder in PYTHONPATH can be imported from in a kernel as in any other Python, wherever the kernel is started.
# Seen (ipykernel 7.4.0): a kernel started in that very folder cannot import from it. The launcher takes the first entry
# off the search path where it is the working folder, to take away the one that Python adds itself. With safe paths
# Python adds none, and the folder that was asked for goes. Started from any other folder, the same kernel imports it.
# Who meets it: anybody who sets PYTHONSAFEPATH for kernels, and PYTHONPATH to where the notebooks and their package lie.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" ipykernel==7.4.0 <<'PY'
import os
import pathlib
import subprocess
import sys

lab = pathlib.Path("lab").resolve()
lab.mkdir()
(lab / "helper_of_the_notebook.py").write_text("HERE = True\n")
own = os.environ | {"PYTHONPATH": str(lab), "PYTHONSAFEPATH": "1"}
# The kernel's launcher as Jupyter starts it, up to where the search path is settled.
ask = "import importlib.util as u; print(u.find_spec('helper_of_the_notebook') is not None)"
kernel = (
    "import runpy, sys; import ipykernel.kernelapp as app; app.launch_new_instance = lambda: exec(sys.argv[1]);"
    "runpy.run_module('ipykernel_launcher', run_name='__main__', alter_sys=False)"
)


def found(folder, *program):
    command = [sys.executable, *program]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=True).stdout.strip()


plain = found(lab, "-c", ask)
inside, outside = found(lab, "-c", kernel, ask), found(lab.parent, "-c", kernel, ask)
print(f"Python in the folder: {plain}; kernel in the folder: {inside}; kernel elsewhere: {outside}")
if (plain, inside, outside) != ("True", "False", "True"):
    raise SystemExit("otherwise now")
PY
