"""Import what training needs while the learner still reads: seconds that no cell has to wait for.

A thread imports PyTorch and Transformers. The next cell waits until it has ended, because two threads that import parts
of one package can find it half made. It waits before it starts: an import that waited would hold a lock that the thread
may need.
"""

import contextlib
import importlib
import threading

from IPython import get_ipython

MODULES = ("torch", "datasets", "transformers.trainer", "transformers.models.auto.modeling_auto")


def begin(modules: tuple[str, ...] = MODULES) -> None:
    """Start importing, where cells are run.

    Parameters
    ----------
    modules : tuple of str
        One that cannot be imported is left to the cell that needs it, which then says what is missing.
    """
    shell = get_ipython()
    if shell is None:
        return
    thread = threading.Thread(target=_bring, args=(modules,), name="early-imports", daemon=True)

    def wait(info: object) -> None:
        thread.join()
        shell.events.unregister("pre_run_cell", wait)

    shell.events.register("pre_run_cell", wait)
    thread.start()


def _bring(modules: tuple[str, ...]) -> None:
    with contextlib.suppress(ImportError, OSError):
        for module in modules:
            importlib.import_module(module)
