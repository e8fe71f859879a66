"""A room without a network: real packs, real pip."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.projects import without_network
from helpers.wheels import make_wheel

from launcher.environment import Environment
from launcher.pack import pack_of
from launcher.settings import MAIN

FETCHING = """\
import os, pathlib
folder = pathlib.Path(os.environ["WORKSHOP_MODELS"], "distilbert-base-uncased")
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.safetensors").write_bytes(b"weights")
"""


@pytest.fixture
def pack(ready, tmp_path) -> Path:
    """Give a pack, made where there is a network: the wheels' folder stands for it."""
    ready.write("lab/tuning/encoder/fetch.py", FETCHING)
    ready.write("requirements/further.txt", "for-an-option==1.0\n")
    make_wheel(ready.wheels, "for_an_option", "1.0", "")
    ready.write("lab/runs/one/run.json", "mine")
    ready.write("my_work/Activity_Worksheet.md", "mine")
    folder = tmp_path / "a stick" / "pack"
    done = ready.run("pack", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_pack_holds_the_workshop_and_nothing_of_a_learners(pack, ready):
    wheels = sorted(path.name for path in (pack / "wheels").iterdir())
    assert wheels == ["for_an_option-1.0-py3-none-any.whl", "tiny-1.0-py3-none-any.whl"]
    assert (pack / "models" / "distilbert-base-uncased" / "model.safetensors").read_bytes() == b"weights"
    copied = {
        path.relative_to(pack / "repository").as_posix() for path in (pack / "repository").rglob("*") if path.is_file()
    }
    assert {"workshop.py", "requirements.txt", "constraints.txt", "lab/tuning/notebook/headless.py"} <= copied
    assert not any(part in name for name in copied for part in (".venv", "my_work", "lab/runs", "__pycache__"))


def test_pack_is_enough_where_there_is_no_network(pack, ready, tmp_path):
    other = tmp_path / "Übungsraum" / "kurs"
    shutil.copytree(pack / "repository", other)
    environ = {name: value for name, value in ready.environment().items() if not name.startswith("PIP_")}
    environ |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    command = without_network(sys.executable, other / "workshop.py", "run", "--from-pack", pack, "--preset", "TOO_LOW")
    for told in ("ready after", None):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        assert told in done.stderr if told else done.stderr == ""
    child = json.loads(done.stdout)
    assert child["arguments"] == ["--preset", "TOO_LOW"]
    assert child["variables"]["HF_HUB_OFFLINE"] == "1"
    assert (other / "lab" / "models" / "distilbert-base-uncased" / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"python": "3.99"}, "made for python 3.99"),
        ({"system": "Plan 9"}, "made for system Plan 9"),
        ({"requirements": "0"}, "another version of the workshop"),
        (None, "is no pack, or not a whole one"),
    ],
)
def test_pack_that_cannot_be_used_is_refused_before_anything_is_installed(fresh, tmp_path, change, told):
    pack = tmp_path / "pack"
    pack.mkdir()
    if change is not None:
        right = pack_of(Environment(fresh.folder, MAIN, "own"))
        (pack / "pack.json").write_text(json.dumps(right | change), encoding="utf-8")
    done = fresh.run("run", f"--from-pack={pack}")
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (fresh.folder / ".venv").exists()


def test_pack_needs_a_folder(fresh):
    for arguments in (["pack"], ["run", "--from-pack"], ["run", "--from-pack="]):
        done = fresh.run(*arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


def test_pack_without_the_hub_holds_the_built_in_encoder_only(ready, tmp_path):
    ready.write("lab/tuning/encoder/fetch.py", "import sys\nsys.exit(2)\n")
    done = ready.run("pack", str(tmp_path / "pack"))
    assert done.returncode == 0
    assert "built-in encoder only" in done.stderr
    assert (tmp_path / "pack" / "pack.json").is_file()


def test_pack_that_broke_off_is_not_taken_for_a_whole_one(pack, ready, tmp_path):
    shutil.rmtree(pack / "wheels")
    done = ready.run("pack", str(pack), PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode == 1
    assert re.search("bringing the packages failed: .*the package index lacks one of them", done.stderr)
    assert not (pack / "pack.json").exists()
