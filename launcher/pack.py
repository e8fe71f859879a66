"""``pack``: everything that a room without a network needs in one folder, and its use there."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from launcher.children import child_environment
from launcher.environment import Environment
from launcher.files import check_disk, folder_mb, write_whole
from launcher.installation import Installer, ensure
from launcher.machine import host_of
from launcher.pythons import dotted
from launcher.settings import EXIT_USAGE, MAIN, ROOT, THIS, WorkshopError, say

PACK = "pack.json"
PACK_DISK_MB = 1500
# What is a machine's or a learner's own, and does not travel.
NOT_PACKED = (".git", ".venv*", ".workshop", ".*_cache", ".hypothesis", "__pycache__", ".ipynb_checkpoints", "*.part")
NOT_PACKED_FOLDERS = ("my_work", "share", "lab/runs", "lab/models")


def pack_of(environment: Environment) -> dict[str, str]:
    """Say for which machines and which version of the workshop a pack is."""
    return {
        "requirements": environment.asked_for(),
        "python": dotted(sys.version_info),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def pack_command(options: argparse.Namespace) -> int:
    """Put everything that a room without a network needs into one folder."""
    target = Path(options.folder).absolute()
    target.mkdir(parents=True, exist_ok=True)
    check_disk(target, PACK_DISK_MB - folder_mb(target))
    python = ensure(MAIN)
    (target / PACK).unlink(missing_ok=True)
    say(f"packing into {target}")
    environment = Environment(ROOT, MAIN, host_of(os.environ))
    Installer(environment).download(target / "wheels")

    own = [ROOT / folder for folder in NOT_PACKED_FOLDERS] + [target]
    pattern = shutil.ignore_patterns(*NOT_PACKED)

    def left_out(folder: str, names: list[str]) -> set[str]:
        return pattern(folder, names) | {name for name in names if Path(folder, name) in own}

    shutil.rmtree(target / "repository", ignore_errors=True)
    shutil.copytree(ROOT, target / "repository", ignore=left_out)
    models = target / "models"
    if (ROOT / "lab" / "models").is_dir():
        shutil.copytree(ROOT / "lab" / "models", models, ignore=pattern, dirs_exist_ok=True)
    fetched = subprocess.run(
        [str(python), "-m", "tuning.encoder.fetch"],
        env={**child_environment(), "WORKSHOP_MODELS": str(models), "PYTHONPATH": str(ROOT / "lab")},
    )
    if fetched.returncode:
        say("DistilBERT could not be brought, so the pack holds the built-in encoder only; it is enough for the day")
    write_whole(target / PACK, json.dumps(pack_of(environment), indent=1) + "\n")
    say(
        f"done: {folder_mb(target) / 1000:.1f} GB. On a machine like this one copy 'repository' to the disk, "
        f"and in it run: {THIS} run --from-pack FOLDER (or setup, lab, check)"
    )
    return 0


def use_pack(folder: str) -> None:
    """Take everything from a pack, and ask no network.

    Parameters
    ----------
    folder : str
        As ``pack`` wrote it.

    Raises
    ------
    WorkshopError
        If it is none, is not whole, or was made for other machines or another version of the workshop.
    """
    pack = Path(folder).absolute()
    try:
        found = json.loads((pack / PACK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise WorkshopError(f"{pack} is no pack, or not a whole one: it holds no {PACK}") from None
    for what, needed in pack_of(Environment(ROOT, MAIN, host_of(os.environ))).items():
        if found.get(what) == needed:
            continue
        if what == "requirements":
            raise WorkshopError(
                "this pack belongs to another version of the workshop: use the folder 'repository' in it"
            )
        raise WorkshopError(
            f"this pack was made for {what} {found.get(what)}, and this is {needed}: it cannot be used here"
        )
    for model in (pack / "models").glob("*"):
        target = ROOT / "lab" / "models" / model.name
        if model.is_dir() and not target.exists():
            part = target.with_name(f"{model.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(model, part)
            part.rename(target)
    # As an address, since pip takes a space in the variable for the end of a path.
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=(pack / "wheels").as_uri(), HF_HUB_OFFLINE="1")


def take_pack(arguments: Sequence[str]) -> list[str]:
    """Use the pack that is named among the arguments of any command, and give the others."""
    rest = list(arguments)
    for place, argument in enumerate(rest):
        name, equals, folder = argument.partition("=")
        if name == "--from-pack":
            if not equals:
                folder = rest[place + 1] if place + 1 < len(rest) else ""
            if not folder:
                raise WorkshopError("--from-pack needs the pack's folder", EXIT_USAGE)
            use_pack(folder)
            return rest[:place] + rest[place + (1 if equals else 2) :]
    return rest
