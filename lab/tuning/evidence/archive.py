"""Everything of the learner's in one file: saved before lunch, downloaded, brought back to a machine that forgot it.

A Codespace stops after half an hour without a key press but keeps its files; Google Colab and sandbox machines give the
disk away. What cannot be made again is small: the worksheet and other papers in ``my_work``, the log, the records and
predictions of all runs. Weights are large and stay out unless they are asked for.
"""

import datetime
import importlib
import json
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from filelock import Timeout

from tuning import paths
from tuning.errors import KeepsakeError
from tuning.evidence import archive_reading, experiment_log
from tuning.evidence.archive_merging import Coming, take_all
from tuning.evidence.archive_reading import PLACES, SUFFIXES, TIMES, WEIGHTS
from tuning.files import AS_WRITTEN, replacing
from tuning.runs.store import ADAPTER, CHECKPOINTS, MARK, finished_runs, readable_runs

# The one sentence, wherever a document says what to take along.
TAKE_HOME = "Save your worksheet, run the cell `save`, and download its file: it holds all your work."
SAVED = "saved"
STEM = "workshop-6w-"
PATTERN = "workshop-6w-*.zip"
# A page of tens of megabytes, which can be made again.
MODEL_PAGE = "my_model.html"
LEFT_OUT = {MODEL_PAGE, SAVED, WEIGHTS, ADAPTER, CHECKPOINTS, paths.CHECK, "tracking"}


def _places() -> dict[str, Path]:
    """Where each folder in the file belongs on this machine."""
    return dict(zip(PLACES, (paths.work(), paths.runs(), paths.share()), strict=True))


def in_colab() -> bool:
    """Whether this kernel is Google Colab's."""
    return "google.colab" in sys.modules


def save(weights: bool = False) -> Path:
    """Write everything into one zip file in ``my_work/saved``, and say how to come back to it.

    With the `weights` of the last run the sections that ask the model again need no new run.
    """
    target = _next_name()
    kept = dict(_files())
    if weights:
        kept |= dict(_last_weights())
    try:
        with replacing(target) as part, zipfile.ZipFile(part, "w", strict_timestamps=False) as archive:
            times = {}
            for name, path in kept.items():
                # Weights are numbers without a pattern: compressing them takes long and saves nothing.
                large = path.suffix == ".safetensors"
                archive.write(path, name, zipfile.ZIP_STORED if large else zipfile.ZIP_DEFLATED)
                times[name] = path.stat().st_mtime
            archive.writestr(TIMES, json.dumps(times), zipfile.ZIP_DEFLATED)
    except OSError as problem:
        raise KeepsakeError(f"{paths.short(target)} cannot be written ({problem.strerror}).") from None
    runs = sum(PurePosixPath(name).name == "run.json" for name in kept)
    size = target.stat().st_size / 1e6
    counted = f"{len(kept)} file{'s' * (len(kept) != 1)}, {runs} run{'s' * (runs != 1)} among them"
    print(f"Saved: {paths.short(target)}, {size:.1f} MB: {counted}.")
    marks = paths.runs().glob(f"*/{CHECKPOINTS}/*/{MARK}")
    if any(not (mark.parents[2] / "run.json").exists() for mark in marks):
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
    """Put the contents of a saved file where they belong, all of them or none; gives those that were written.

    By default it is the newest saved file in the repository, in the folder above it or in the current folder; in Colab,
    where there is none, the browser asks for it. Where a file is here already and differs, the newer one gets the name
    and the older one stays beside it. Logs, predictions and the order of runs are joined. A `KeepsakeError` where the
    saved file is not there, is damaged, or is not one that `save` wrote.
    """
    saved = _newest() if file is None else Path(file).expanduser()
    if saved is None or not saved.is_file():
        name = "workshop-6w-....zip" if saved is None else paths.short(saved)
        raise KeepsakeError(f"{name}: there is no such file. Put the file that you saved beside README.md.")
    try:
        with tempfile.TemporaryDirectory(prefix="workshop-") as unpacked:
            times = archive_reading.unpack(saved, Path(unpacked))
            coming = []
            for name, moment in times.items():
                place, _, inside = name.partition("/")
                coming.append(Coming(Path(unpacked) / name, _places()[place] / inside, moment))
            written, notes = take_all(coming)
    except Timeout:
        raise KeepsakeError(f"{paths.short(paths.runs())} is in use by another notebook. Run this again.") from None
    except OSError as problem:
        raise KeepsakeError(f"{paths.short(saved)} cannot be brought back ({problem.strerror}).") from None
    _complete_the_log()
    print(*notes, sep="\n", end="\n" * bool(notes))
    print(f'Brought back from {saved.name}: {len(written)} files. Go on with any section after "Train".')
    return written


def _files() -> Iterator[tuple[str, Path]]:
    """Name in the archive and path of all that is kept, without weights and without what is only for a moment."""
    for place, folder in _places().items():
        for path in folder.rglob("*"):
            inside = path.relative_to(folder)
            # What was signed comes along: the copies that the code makes anew need no number after coming back.
            hidden = any(part.startswith(".") and part != AS_WRITTEN for part in inside.parts)
            if path.is_file() and path.suffix.lower() in SUFFIXES and not hidden and not LEFT_OUT & {*inside.parts}:
                yield _readable(f"{place}/{inside.as_posix()}"), path


def _readable(name: str) -> str:
    """A name as a zip file can hold it: one that is not UTF-8 was given by an old Windows."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("cp1252", "replace")
    return name


def _last_weights() -> Iterator[tuple[str, Path]]:
    model = next((path for run in reversed(finished_runs()) if (path := run / WEIGHTS).is_dir()), None)
    for path in sorted(model.iterdir()) if model else ():
        yield f"runs/{path.relative_to(paths.runs()).as_posix()}", path


def _newest() -> Path | None:
    places = {paths.ROOT, paths.ROOT.parent, paths.LAB, Path.cwd(), paths.work(), paths.work() / SAVED}
    saved = [path for place in places for path in place.glob(PATTERN)]
    if not saved and in_colab():
        uploaded = importlib.import_module("google.colab.files").upload()
        saved = [Path(name).resolve() for name in uploaded]
    return max(saved, key=_age, default=None)


def _age(path: Path) -> list[int]:
    """The numbers in a saved file's name: date, time, and which of that second."""
    return [int(digits) for digits in re.findall(r"\d+", path.stem.removeprefix(STEM))]


def _next_name() -> Path:
    """A name that sorts behind all others, also where the clock was set back or another was saved within a second."""
    folder = paths.work() / SAVED
    name = folder / f"{STEM}{datetime.datetime.now():%Y%m%d-%H%M%S}.zip"
    newest = max(folder.glob(PATTERN), key=_age, default=None)
    if newest is None or _age(name) > _age(newest):
        return name
    date, clock, *number = _age(newest)
    return folder / f"{STEM}{date:08}-{clock:06}-{(number or [1])[0] + 1}.zip"


def _complete_the_log() -> None:
    """Add the runs that were made here before: the log that came back does not know them."""
    known = set(experiment_log.read_log()["Run ID"]) if experiment_log.log_file().exists() else set()
    for run in readable_runs()[0]:
        if run.run_id not in known:
            experiment_log.append(run)
