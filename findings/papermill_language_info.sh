#!/usr/bin/env bash
# Guess: kernel_name says which language a notebook's parameters are written in; language_info, which Jupyter adds when a
# notebook is first saved, is not needed.
# Seen (papermill 2.7.0): a notebook without it is refused with ValueError, although kernel_name is given and the
# notebook's own kernelspec names the kernel as well. language="python" is needed beside it.
# Who meets it: anybody who writes notebooks with nbformat, or strips their metadata, and runs them with parameters.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" papermill==2.7.0 <<'PY'
import nbformat
import papermill

cell = nbformat.v4.new_code_cell("EPOCHS = 2", metadata={"tags": ["parameters"]})
kernel = {"name": "python3", "display_name": "Python 3"}
notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
nbformat.validate(notebook)
nbformat.write(notebook, "in.ipynb")


def filled(**options):
    return papermill.execute_notebook("in.ipynb", None, {"EPOCHS": 3}, prepare_only=True, **options)


try:
    filled(kernel_name="python3")
except ValueError as error:
    print("kernel_name alone: ValueError:", error)
else:
    raise SystemExit("accepted now")
print("with language:", filled(kernel_name="python3", language="python").cells[1].source.splitlines()[-1])
PY
