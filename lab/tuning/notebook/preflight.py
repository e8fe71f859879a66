"""Is this machine ready? One line per thing: [OK], [WARN] or [FAIL], in plain words.

It imports neither torch nor transformers, so the first cell of a notebook stays quick; only ``workshop.py check`` does,
where it has to measure how fast this machine trains.
"""

import argparse
import dataclasses
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tuning import paths
from tuning.command import one_line_errors
from tuning.data import download
from tuning.dials import ROOM_CARD, Dials, parse_settings
from tuning.errors import DataError, DialError, EncoderError, RunError
from tuning.training import machine

if TYPE_CHECKING:
    from tuning.cost.planning import Plan

NEEDED = ("torch", "transformers", "datasets", "evaluate", "accelerate", "scikit-learn", "pandas", "matplotlib")
LEAST_MEMORY_GB = 2.5
LEAST_DISK_GB = 1.0
MINUTES = 10.0
# The first cell is not kept waiting; the command has the time.
HUB_SECONDS = {"notebook": 1.0, "command": 4.0}
PROGRAM_SECONDS = 3.0
# A run depends on these; notebooks are there to be changed.
PARTS = ("lab/tuning", "lab/data", "requirements.txt", "constraints.txt", "workshop.py", "launcher")


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing looked at: its status (``OK``, ``WARN`` or ``FAIL``) and a line about it."""

    status: str
    text: str

    def __str__(self) -> str:
        return f"[{self.status}]".ljust(7) + self.text


def checks() -> list[Check]:
    """Look at everything on this machine that a training run needs.

    Returns
    -------
    list of Check
    """
    return [
        _python(),
        _packages(),
        _memory(),
        _disk(),
        _processor(),
        _gpu(),
        _encoder(),
        _folder(),
        _files(),
    ]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - this is the line that says so
        return Check("FAIL", f"Python {found} is too old: use 3.11 or newer.")
    return Check("OK", f"Python {found}")


def _packages() -> Check:
    pinned = _pins()
    found, missing, other = [], [], []
    for name in NEEDED:
        version = _version(name).split("+")[0]
        if not version:
            missing.append(name)
            continue
        found.append(f"{name} {version}")
        if version != pinned.get(name, version):
            other.append(f"{name} {version} (tested: {pinned[name]})")
    if missing:
        return Check(
            "FAIL",
            f"not in this Python: {', '.join(missing)}. Choose the workshop's kernel (.venv); if there is none, run:"
            " python3 workshop.py check",
        )
    if other:
        return Check("WARN", f"other versions than the tested ones: {', '.join(other)}")
    return Check("OK", f"all packages are there, in the tested versions: {', '.join(found)}")


def _version(name: str) -> str:
    """Version of an installed package; empty where it is missing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _pins() -> dict[str, str]:
    lines = (paths.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([A-Za-z0-9_.-]+)==([^\s;]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _memory() -> Check:
    free = machine.free_memory() / 1e9
    if free < LEAST_MEMORY_GB:
        return Check(
            "WARN",
            f"{free:.1f} GB of memory is free and {LEAST_MEMORY_GB:g} GB is wanted: close other programs,"
            ' set MODEL = "embedded" in Dials, or use the backup lab (notebook 02).',
        )
    return Check("OK", f"{free:.1f} GB of memory is free")


def _disk() -> Check:
    free = shutil.disk_usage(paths.LAB).free / 1e9
    if free < LEAST_DISK_GB:
        return Check("FAIL", f"{free:.1f} GB of disk is free and {LEAST_DISK_GB:g} GB is needed: delete something.")
    return Check("OK", f"{free:.1f} GB of disk is free")


def _processor() -> Check:
    cores, threads = os.cpu_count() or 1, os.environ.get("OMP_NUM_THREADS")
    told = f"{cores} processor core{'s' if cores > 1 else ''}"
    if threads and threads != str(cores):
        told += f", training uses {threads} (OMP_NUM_THREADS)"
    if cores == 1:
        return Check("WARN", f"{told}: training will be slow. Take a smaller TRAIN_SUBSET.")
    return Check("OK", f"{told}, {_precision()}")


def _precision() -> str:
    measured = machine.measured_precision()
    if measured:
        return f"fastest in {measured} (measured)"
    native = machine.computes_bf16()
    if native is None:
        return "the fastest number format is measured before the first run"
    return "bf16 is built in" if native else "no bf16 built in: fp32 will be the fastest"


def _gpu() -> Check:
    name = _nvidia()
    if name is None:
        apple = sys.platform == "darwin" and machine.processor_kind() == "arm64"
        return Check("OK", "Apple GPU (MPS): training uses it" if apple else "no GPU: training uses the processor")
    if _version("torch").endswith("+cpu"):
        return Check("WARN", f"GPU: {name}, but this PyTorch is a build without GPU: training uses the processor")
    return Check("OK", f"GPU: {name}, training uses it")


def _nvidia() -> str | None:
    """Name of the first NVIDIA GPU, without loading PyTorch; None where there is none or no driver answers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    answer = _output([program, "--query-gpu=name", "--format=csv,noheader"])
    return answer.splitlines()[0] if answer else None


def _output(command: list[str]) -> str | None:
    """What a program prints; None if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=PROGRAM_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _encoder() -> Check:
    from tuning.encoder import finding

    if finding.distilbert_is_here():
        return Check("OK", "DistilBERT is on this machine: no Hub is needed")
    try:
        embedded = finding.find("embedded")
    except EncoderError as problem:
        return Check("FAIL", str(problem))
    return Check("OK", f"{embedded.name} is on this machine; DistilBERT comes from the Hub where MODEL asks for it")


def _folder() -> Check:
    here = Path.cwd()
    above = next((folder for folder in (here, *here.parents) if (folder / "lab" / "tuning").is_dir()), None)
    if above is not None and above.resolve() != paths.ROOT:
        return Check(
            "WARN",
            f"there are two copies of the workshop: you are in {_from_home(above)}, and Python uses"
            f" {_from_home(paths.ROOT)}. Choose the kernel of the copy that you want, or delete the other.",
        )
    if not os.access(paths.LAB, os.W_OK):
        return Check("FAIL", f"nothing can be written into {_from_home(paths.ROOT)}: move it to a folder of your own.")
    if "onedrive" in str(paths.ROOT).casefold():
        return Check(
            "WARN",
            "this folder is in OneDrive, which copies every file that training writes: move it to a short path"
            " outside.",
        )
    return Check("OK", f"the workshop's folder is {paths.ROOT.name}")


def _from_home(path: Path) -> str:
    home = paths.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else path.as_posix()


def _files() -> Check:
    """Whether somebody changed what the notebooks are made of, as far as git can tell."""
    changed = _output(["git", "-C", str(paths.ROOT), "status", "--porcelain", "--untracked-files=no", "--", *PARTS])
    if changed is None:
        return Check("OK", "whether files were changed is not known: this is no git checkout, or there is no git")
    names = [line[2:].strip() for line in changed.splitlines()]
    if not names:
        return Check("OK", "package and data are as published")
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    told = f"changed since they were published: {', '.join(names[:2])}{more}."
    return Check("WARN", f"{told} If that was not you, download the workshop again.")


def _hub(reason: str | None, dials: Dials) -> Check:
    if reason is None:
        return Check("OK", "the Hugging Face Hub answers")
    wanted, there = ("DistilBERT", "encoder") if _wants_distilbert(dials) else ("PhraseBank", "bundled sentences")
    return Check("WARN", f"{reason} Without {wanted} this run uses the {there} installed here, and a banner says so.")


def of_dials(dials: Dials) -> list[Check]:
    """What the first cell cannot look at, because the dials come after it.

    Parameters
    ----------
    dials : Dials

    Returns
    -------
    list of Check
        The room card; a model folder or a CSV file that cannot be used; the Hub, only where a dial wants something from
        there; and a validation part so large that not all of it is scored.
    """
    asked = _asked(dials)
    found = [room(dials), *_own_files(dials)]
    return [*found, _hub(asked(HUB_SECONDS["notebook"]), dials)] if asked else found


def _asked(dials: Dials) -> Callable[[float], str | None] | None:
    """Ask for the first file that a dial wants from the Hub and that is not here; None where nothing is wanted."""
    from tuning.data import loading
    from tuning.encoder import finding

    if _wants_distilbert(dials):
        return download.ask(finding.DISTILBERT)
    wants_data = dials.DATA == "phrasebank" and not (paths.models() / loading.PHRASEBANK_FOLDER).is_dir()
    return download.ask(loading.phrasebank()) if wants_data else None


def _wants_distilbert(dials: Dials) -> bool:
    from tuning.encoder import finding

    return dials.MODEL == "distilbert" and not finding.distilbert_is_here()


def _own_files(dials: Dials) -> list[Check]:
    """What cannot be used of the model folder and the CSV file that the dials name, and what is special about them."""
    from tuning.encoder import finding

    try:
        if dials.MODEL not in ("distilbert", "embedded"):
            finding.find(dials.MODEL)
        return _scored(dials)
    except (DialError, EncoderError, DataError) as problem:
        return [Check("FAIL", str(problem))]


def _scored(dials: Dials) -> list[Check]:
    """How many sentences are scored of a validation part that is too large to score it whole each time."""
    from tuning.data import loading, splits

    if dials.DATA in ("bundled", "phrasebank"):
        return []
    parts = loading.split(loading.load(dials.DATA))
    sizes, whole = splits.scored_sizes(parts), len(parts.validation)
    if sizes["epoch"] == whole:
        return []
    told = f"{whole:,} validation sentences: {sizes['epoch']:,} of them are scored after each epoch"
    return [Check("OK", f"{told} and {sizes['end']:,} before and after training, the same ones every time")]


def room(dials: Dials) -> Check:
    """Whether this machine can keep to the coach's room card, and whether the card was forgotten.

    Parameters
    ----------
    dials : Dials
        Their MODEL, DATA and PRECISION are those of the card already.

    Returns
    -------
    Check
        ``WARN`` where this run may stand apart from the room's.
    """
    from tuning.encoder import finding

    if not dials.ROOM:
        if dials.GROUP is None:
            return Check("OK", "no room card: you work alone")
        return Check("WARN", "no room card: put its three words into ROOM, or your run may stand apart on the board")
    told = f"room card: {', '.join(f'{name} = {getattr(dials, name)}' for name in ROOM_CARD)}"
    if dials.MODEL == "distilbert" and not finding.distilbert_is_here():
        return Check(
            "WARN",
            f"{told}. DistilBERT is not on this machine yet. If the section Tokenise does not bring it, your run will"
            " stand apart: tell the coach.",
        )
    if dials.GROUP is None:
        return Check(
            "WARN", f"{told}. GROUP is None: set your group's number. Groups without one all have the same seed"
        )
    return Check("OK", told)


def time_needed(dials: Dials | None = None, minutes: float = MINUTES, *, probe: bool = False) -> Check:
    """How long training takes here, and the dials that fit the time left.

    Parameters
    ----------
    dials : Dials, optional
        The default dials by default.
    minutes : float
        The time left for training.
    probe : bool
        Where nothing is known of this machine yet, measure it: about five seconds of training, after torch is loaded.

    Returns
    -------
    Check
        ``WARN`` where these dials take longer than the time left.
    """
    from tuning.cost import estimate, planning

    dials = dials or Dials()
    try:
        encoder = estimate.at_hand(dials.MODEL)
        speed = estimate.known(dials, encoder) or (estimate.probe(dials, encoder) if probe else None)
        if speed is None:
            return Check("OK", "how long training takes here is not known yet: python3 workshop.py check measures it")
        needed = estimate.estimate(dials, speed)
        fits = _fitting(planning.plan(minutes, base=dials, speed=speed))
    except RunError as problem:
        fits = str(problem)
    except (EncoderError, DataError, DialError) as problem:
        return Check("FAIL", str(problem))
    status = "OK" if needed.seconds <= 60 * minutes else "WARN"
    what = "default dials take" if dials == Dials() else "these dials take"
    return Check(status, f"{what} about {estimate.clock(needed.seconds)} here (from {needed.source}). {fits}")


def _fitting(plan: "Plan") -> str:
    return f"In {plan.limit} fit TRAIN_SUBSET = {plan.dials.TRAIN_SUBSET}, EPOCHS = {plan.dials.EPOCHS}."


def _for_the_coach(found: list[Check], hub_check: Check | None, time_check: Check | None) -> str:
    """The last line of the command, which learners send: result, encoder, time and version decide the room card."""
    from tuning.encoder import finding as encoders

    failed, warned = (sum(check.status == status for check in found) for status in ("FAIL", "WARN"))
    result = f"NOT READY, {failed} [FAIL]" if failed else "READY"
    if encoders.distilbert_is_here():
        encoder = "DistilBERT is here"
    else:
        hub_says = {None: "was not asked", "OK": "answers"}.get(hub_check and hub_check.status, "does not answer")
        encoder = f"DistilBERT is not here, the Hub {hub_says}"
    measured = re.search(r"about (.+?) here", time_check.text) if time_check else None
    version = _output(["git", "-C", str(paths.ROOT), "rev-parse", "--short", "HEAD"]) or "unknown"
    return "; ".join(
        [
            f"SEND THIS LINE: {result}, {warned} [WARN]",
            encoder,
            f"a run takes {measured[1]}" if measured else "time not measured",
            f"version {version}",
            f"Python {sys.version_info.major}.{sys.version_info.minor}",
        ]
    )


def report(dials: Dials | None = None, minutes: float = MINUTES, *, probe: bool = False) -> int:
    """Print all checks, and how long training takes here; returns 1 if one failed, else 0.

    Parameters
    ----------
    dials, minutes, probe
        As for :func:`time_needed`.
    """
    # It is asked first and heard last: meanwhile the rest is looked at. Before there are dials nobody has wanted it.
    asked = None if dials is None else _asked(dials)
    found = checks()
    more = []
    if dials is not None:
        more.extend([room(dials)] if dials.ROOM else [])
        more.extend(_own_files(dials))
    # Timing needs what a failed check says is missing.
    time_check = None
    if all(check.status != "FAIL" for check in (*found, *more)):
        time_check = time_needed(dials, minutes, probe=probe)
        more.append(time_check)
    hub_check = None
    if asked is not None:
        hub_check = _hub(asked(HUB_SECONDS["command" if probe else "notebook"]), dials)
        found.append(hub_check)
    found += more
    print(*found, sep="\n")
    if probe:
        print(_for_the_coach(found, hub_check, time_check))
    return int(any(check.status == "FAIL" for check in found))


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py check``."""
    parser = argparse.ArgumentParser(prog="workshop.py check", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time left for training (default: %(default)g)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial, such as EPOCHS=3")
    options = parser.parse_args(argv)
    return report(Dials.from_settings(parse_settings(options.set)), options.minutes, probe=True)


if __name__ == "__main__":
    sys.exit(main())
