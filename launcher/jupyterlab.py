"""``lab``: JupyterLab for this machine only, with the first notebook and the worksheet side by side."""

import argparse
import json
import os
import socket
from pathlib import Path

from launcher.children import call
from launcher.files import write_whole
from launcher.installation import ensure
from launcher.machine import host_of
from launcher.settings import MAIN, ROOT, WorkshopError, say

# Pages that need no notebook: every browser that reaches JupyterLab opens them, without its token.
PAGES = ("playground.html", "clinic.html")
FIRST_PORT = 8888
TRIED_PORTS = 50


def make_worksheet() -> None:
    """Give the learner a worksheet of their own, unless there is one."""
    form, own = ROOT / "handouts" / "Activity_Worksheet.md", ROOT / "my_work" / "Activity_Worksheet.md"
    if form.is_file() and not own.exists():
        own.parent.mkdir(exist_ok=True)
        write_whole(own, form.read_text(encoding="utf-8"))


def lab_command(options: argparse.Namespace) -> int:
    """Open JupyterLab for this machine only, with its own token, asking nobody for news or updates."""
    if host_of(os.environ) == "colab":
        raise WorkshopError("Google Colab shows notebooks itself: open the notebook there")
    python, typed = ensure(MAIN), options.unknown
    make_worksheet()
    quiet = "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"
    settings = ["--ip=127.0.0.1", "--LabApp.news_url=None", quiet]
    if (ROOT / "assets").is_dir():
        # Pages in assets/ from an address without a sandbox, and the extension that opens them there.
        settings.append(f"--ServerApp.extra_static_paths={ROOT / 'assets'}")
        settings.append(f"--LabApp.extra_labextensions_path={ROOT / 'assets' / 'jupyterlab'}")
        typed = serve_pages(typed)
    for first in (ROOT / "lab").glob("01_*.ipynb"):
        folder = arrange_windows(first.name)
        settings += [f"--LabApp.workspaces_dir={folder / 'workspaces'}", f"--LabApp.app_settings_dir={folder}"]
        # As the start page and not as a file to open, so that the address in the terminal leads to it too.
        settings.append(f"--LabApp.default_url=/lab/tree/lab/{first.name}")
    if os.name == "posix" and os.geteuid() == 0:
        settings.append("--allow-root")  # as in most containers; it listens on this machine only
    return call([str(python), "-m", "jupyterlab", *settings, *typed], folder=ROOT)


def serve_pages(typed: list[str]) -> list[str]:
    """Say where playground and clinic will be, and give back the options that keep JupyterLab to that place.

    Parameters
    ----------
    typed : list of str
        Options for JupyterLab as they were typed, perhaps with a port or a base address.
    """
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--port", "--ServerApp.port", type=int, default=FIRST_PORT)
    reader.add_argument("--ServerApp.base_url", dest="base", default="/")
    asked, rest = reader.parse_known_args(typed)
    port, base = free_port(asked.port), f"/{asked.base.strip('/')}/".replace("//", "/")
    places = [f"http://127.0.0.1:{port}{base}static/{page}" for page in PAGES]
    say(f"playground and clinic: {' and '.join(places)}, or the menu Workshop in JupyterLab")
    return [*rest, f"--ServerApp.port={port}", f"--ServerApp.base_url={base}"]


def free_port(first: int) -> int:
    """The first port from `first` on that nobody uses on this machine; any for 0."""
    for port in range(first, first + TRIED_PORTS if first else 1):
        with socket.socket() as tried:
            if os.name == "posix":
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return tried.getsockname()[1]
    return first  # JupyterLab says what is wrong with it


def arrange_windows(notebook: str) -> Path:
    """Lay JupyterLab's first screen out: a notebook, the worksheet beside it, and no question in front of them.

    What the learner arranges afterwards stays as it is.

    Parameters
    ----------
    notebook : str
        Name of a notebook in ``lab/``.

    Returns
    -------
    Path
        The folder in which JupyterLab finds its settings and, in ``workspaces/``, its windows.
    """
    opened = {
        f"notebook:lab/{notebook}": {"path": f"lab/{notebook}", "factory": "Notebook"},
        "editor:my_work/Activity_Worksheet.md": {"path": "my_work/Activity_Worksheet.md", "factory": "Editor"},
    }
    areas = [{"type": "tab-area", "currentIndex": 0, "widgets": [name]} for name in opened]
    dock = {"type": "split-area", "orientation": "horizontal", "sizes": [0.6, 0.4], "children": areas}
    layout = {"main": {"dock": dock, "current": next(iter(opened))}, "left": {"collapsed": True}}
    data = {"layout-restorer:data": layout, **{name: {"data": what} for name, what in opened.items()}}
    folder = ROOT / ".workshop" / "lab"
    windows = folder / "workspaces" / "default-37a8.jupyterlab-workspace"  # JupyterLab's own name for it
    windows.parent.mkdir(parents=True, exist_ok=True)
    if not windows.exists():
        write_whole(windows, json.dumps({"data": data, "metadata": {"id": "default"}}, indent=1) + "\n")
    settings = {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
        "@jupyterlab/notebook-extension:tracker": {"autoStartDefaultKernel": True},
        "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}},
    }
    write_whole(folder / "overrides.json", json.dumps(settings, indent=1) + "\n")
    return folder
