"""Everything of the learner's in one file: saved before lunch, downloaded, brought back to a machine that forgot it.

A Codespace stops after half an hour without a key press but keeps its files; Google Colab and sandbox machines give the
disk away. What cannot be made again is small: the worksheet and other papers in ``my_work``, the log, the records and
predictions of all runs. Weights are large and stay out unless they are asked for.
"""

import datetime
import importlib
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tuning import folders, log
from tuning.errors import KeepsakeError
from tuning.resume import CHECKPOINTS, MARK
from tuning.run import readable_runs

# The one sentence, wherever a document says what to take along.
TAKE_HOME = (
    "Save your worksheet, run the cell `save`, and download the one file that it names: it holds your worksheet,"
    " your log and your runs."
)
SAVED = "saved"
NAME = "workshop-6w-{:%Y%m%d-%H%M%S}.zip"
PATTERN = "workshop-6w-*.zip"
SUFFIXES = {".csv", ".docx", ".html", ".ipynb", ".json", ".jsonl", ".md", ".png", ".pptx", ".svg", ".txt"}
WEIGHTS = "model"
LEFT_OUT = {SAVED, WEIGHTS, CHECKPOINTS, "tracking"}
LARGEST = 2_000_000_000


def _places() -> dict[str, Path]:
    """Where each folder in the file belongs on this machine."""
    return {"my_work": folders.work(), "runs": folders.runs(), "share": folders.share()}


def in_colab() -> bool:
    """Whether this kernel is Google Colab's."""
    return "google.colab" in sys.modules


def save(weights: bool = False) -> Path:
    """Write everything into one zip file in ``my_work/saved``, and say how to come back to it.

    Parameters
    ----------
    weights : bool
        The trained weights of the last run too; without them, the sections that ask the model again need a new run.

    Returns
    -------
    pathlib.Path
        The file; in Colab the browser downloads it as well.

    Raises
    ------
    KeepsakeError
        If it cannot be written.
    """
    target = folders.work() / SAVED / NAME.format(datetime.datetime.now())
    found = dict(_files())
    if weights:
        found |= dict(_last_weights())
    part = target.with_suffix(".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            # Oldest first: the file keeps times to two seconds only, and the order of runs is told by them.
            for name, path in sorted(found.items(), key=lambda item: item[1].stat().st_mtime):
                # Weights are numbers without a pattern: compressing them takes long and saves nothing.
                large = path.suffix == ".safetensors"
                archive.write(path, name, zipfile.ZIP_STORED if large else zipfile.ZIP_DEFLATED)
        part.replace(target)
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise KeepsakeError(f"{folders.short(target)} cannot be written ({problem.strerror}).") from None
    runs = sum(PurePosixPath(name).name == "run.json" for name in found)
    size = target.stat().st_size / 1e6
    print(
        f"Saved: {folders.short(target)}, {size:.1f} MB: {len(found)} files, {runs} run{'s' * (runs != 1)} among them."
    )
    if _half_finished():
        print("A run is half-finished, and only whole runs are in the file: let it end, then save again.")
    print(how_to_come_back())
    if in_colab():
        # The only way out of Colab's machine; the browser asks where to put it.
        importlib.import_module("google.colab.files").download(str(target))
    return target


def how_to_come_back() -> str:
    """Say what this kind of machine forgets, and how to go on there."""
    go_on = 'run the cells up to "Preflight", then any section after "Train": nothing is trained again.'
    if in_colab():
        return (
            "Colab forgets its files when you leave. The browser downloads this file now: keep it.\n"
            'To come back: open the notebook from the README again, run the cells up to "Preflight", then the cell'
            " below with COME_BACK = True, and choose this file. Type your changed dials again."
        )
    if os.environ.get("CODESPACES", "").lower() == "true":
        return (
            "A Codespace stops after 30 idle minutes and keeps its files.\n"
            f"To come back: github.com/codespaces, choose the one of this repository, open the notebook, {go_on}"
        )
    return (
        "On a machine of your own everything stays where it is. A sandbox that ends takes its files along: download"
        " this file now.\n"
        f"To come back: start JupyterLab again (python3 workshop.py lab), open the notebook, {go_on}\n"
        "In a new sandbox: put this file beside README.md and run the cell below with COME_BACK = True first."
    )


def bring_back(file: Path | str | None = None) -> list[Path]:
    """Put the contents of a saved file where they belong; what is there already and differs is kept beside it.

    Parameters
    ----------
    file : path, optional
        By default the newest one in the repository, in the folder above it or in the current folder; in Colab, where
        there is none, the browser asks for it.

    Returns
    -------
    list of pathlib.Path
        The files that were written.

    Raises
    ------
    KeepsakeError
        If there is no such file, or it is not one that `save` wrote.
    """
    found = _newest() if file is None else Path(file).expanduser()
    if found is None or not found.is_file():
        name = "workshop-6w-....zip" if found is None else folders.short(found)
        raise KeepsakeError(f"{name}: there is no such file. Put the file that you saved beside README.md.")
    try:
        with zipfile.ZipFile(found) as archive:
            written, moment = [], 0.0
            for entry in _checked(archive, found):
                moment = max(moment + 0.01, time.mktime((*entry.date_time, 0, 0, -1)))
                if path := _place(archive, entry, moment):
                    written.append(path)
    except (zipfile.BadZipFile, EOFError):
        raise KeepsakeError(f"{folders.short(found)} is damaged. Download or upload it again.") from None
    except OSError as problem:
        raise KeepsakeError(f"{folders.short(found)} cannot be brought back ({problem.strerror}).") from None
    _complete_the_log()
    print(f'Brought back from {found.name}: {len(written)} files. Go on with any section after "Train".')
    return written


def _files() -> Iterator[tuple[str, Path]]:
    """Name in the archive and path of all that is kept, without weights and without what is only for a moment."""
    for place, folder in _places().items():
        for path in folder.rglob("*"):
            inside = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.is_file() and path.suffix in SUFFIXES and not hidden and not LEFT_OUT & {*inside.parts}:
                yield f"{place}/{inside.as_posix()}", path


def _last_weights() -> Iterator[tuple[str, Path]]:
    model = max(folders.runs().glob(f"*/{WEIGHTS}"), key=lambda folder: folder.stat().st_mtime, default=None)
    for path in sorted(model.iterdir()) if model else ():
        yield f"runs/{path.relative_to(folders.runs()).as_posix()}", path


def _half_finished() -> bool:
    marks = folders.runs().glob(f"*/{CHECKPOINTS}/*/{MARK}")
    return any(not (mark.parents[2] / "run.json").exists() for mark in marks)


def _newest() -> Path | None:
    places = {folders.ROOT, folders.ROOT.parent, folders.LAB, Path.cwd(), folders.work(), folders.work() / SAVED}
    found = [path for place in places for path in place.glob(PATTERN)]
    if not found and in_colab():
        uploaded = importlib.import_module("google.colab.files").upload()
        found = [Path(name).resolve() for name in uploaded]
    return max(found, key=lambda path: path.name, default=None)


def _checked(archive: zipfile.ZipFile, found: Path) -> list[zipfile.ZipInfo]:
    """The entries, if every one of them may be written: inside our folders, of a kind that `save` writes."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        inside = len(parts) > 1 and parts[0] in _places() and not {"..", ""} & {*parts} and "\\" not in entry.filename
        weights = len(parts) == 4 and parts[0] == "runs" and parts[2] == WEIGHTS
        kind = PurePosixPath(entry.filename).suffix
        if not inside or not (kind in SUFFIXES or (weights and kind == ".safetensors")):
            raise KeepsakeError(f"{found.name} is not a file that the workshop saved (it holds {entry.filename[:80]}).")
    if sum(entry.file_size for entry in entries) > LARGEST:
        raise KeepsakeError(f"{found.name} is far larger than anything that the workshop saves.")
    return entries


def _place(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, moment: float) -> Path | None:
    """Write one entry; None where the same is there already."""
    place, *inside = PurePosixPath(entry.filename).parts
    target = _places()[place].joinpath(*inside)
    if target.is_file() and target.stat().st_size == entry.file_size and target.read_bytes() == archive.read(entry):
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with archive.open(entry) as source, part.open("wb") as out:
        shutil.copyfileobj(source, out)
    os.utime(part, (moment, moment))
    if target.exists():
        target.rename(target.with_name(f"{target.stem}.before-{time.strftime('%Y%m%d-%H%M%S')}{target.suffix}"))
    part.replace(target)
    return target


def _complete_the_log() -> None:
    """Add the runs that were made here before: the log that came back does not know them."""
    known = set(log.read_log()["Run ID"]) if log.log_file().exists() else set()
    for run in readable_runs()[0]:
        if run.run_id not in known:
            log.append(run)
