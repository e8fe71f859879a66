"""What may come in, and what may go out: hashes, safetensors only, no network, no names, no scripts."""

import ast
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import nbformat
import pytest
from helpers.messages import launcher_files
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from tuning import paths
from tuning.data import loading as sentences
from tuning.dials import Dials, SgdDials
from tuning.encoder import finding as encoders
from tuning.errors import EncoderError
from tuning.evidence import worksheet, worksheet_export
from tuning.notebook.session import notebook_file, notebook_files
from tuning.room import share
from tuning.runs.record import Run
from tuning.training.arguments import fixed_arguments

SOURCES = [*launcher_files(), *sorted((paths.LAB / "tuning").rglob("*.py"))]
TOKENS = {
    "HF_TOKEN": "hf_" + "Z" * 34,
    "WANDB_API_KEY": "0123456789abcdef" * 2 + "deadbeef",
    "GITHUB_TOKEN": "ghp_" + "q" * 36,
}


# What comes in


def test_both_encoders_have_published_hashes():
    """The values of the two upstream repositories; a change here is a change of the model."""
    known = {file.name: file.sha256 for file in encoders.DISTILBERT.files}
    assert known["model.safetensors"] == "5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063"
    assert known["tokenizer.json"] == "ce64fce797c24f68df90b40a3f74f579b336a493db14bd583fd520ea0d8c9a98"
    assert (
        encoders.EMBEDDED_HASHES.items()
        >= {
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        }.items()
    )


def test_every_file_of_the_embedded_encoder_that_is_read_has_its_hash():
    """What transformers opens in its folder, watched while the model is built."""
    opened = set()

    def watch(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[0], str):
            opened.add(Path(arguments[0]))

    sys.addaudithook(watch)
    encoder = encoders.find("embedded")
    encoders.build(encoder, 1)
    names = {path.name for path in opened if path.parent == encoder.folder}
    assert {"config.json", "tokenizer.json"} <= names <= encoders.EMBEDDED_HASHES.keys()


@pytest.mark.parametrize(
    "change",
    [
        {"n_layers": 5},
        {"dropout": 0.5},
        {"vocab_size": 30000},
        {"id2label": {"0": "x"}},
        {"auto_map": {"AutoModel": "a.B"}},
    ],
)
def test_an_altered_config_of_distilbert_is_not_taken_for_the_published_one(tmp_path, change):
    (file,) = (file for file in encoders.DISTILBERT.files if file.name == "config.json")
    path = tmp_path / "config.json"
    published = encoders.DISTILBERT_CONFIG | {"architectures": ["DistilBertForMaskedLM"], "tie_weights_": True}
    path.write_text(json.dumps(published), encoding="utf-8")
    assert file.is_in(path)
    path.write_text(json.dumps(published | change), encoding="utf-8")
    assert not file.is_in(path)


@pytest.mark.parametrize("name", sorted(encoders.EMBEDDED_HASHES))
def test_one_changed_byte_of_the_embedded_encoder_is_found(tmp_path, monkeypatch, name):
    real = encoders.find("embedded").folder
    folder = tmp_path / encoders.EMBEDDED_PACKAGE / "model"
    folder.mkdir(parents=True)
    for file in encoders.EMBEDDED_HASHES:
        (folder / file).symlink_to(real / file)
    raw = bytearray((real / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).unlink()
    (folder / name).write_bytes(raw)
    (folder.parent / "__init__.py").write_text("raise AssertionError('its code was run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EncoderError, match="is not the published file"):
        encoders.find("embedded")


def test_weights_that_are_no_safetensors_are_not_opened(tiny_distilbert, tmp_path):
    """A pickle under either name: the program inside must not run."""
    trap = f"cos\nsystem\n(S'touch {tmp_path}/ran'\ntR.".encode()
    for file in tiny_distilbert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(trap)
    encoders.build(encoders.find(str(tmp_path)), 1)
    (tmp_path / "model.safetensors").write_bytes(trap)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        encoders.build(encoders.find(str(tmp_path)), 1)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"model\.safetensors is missing"):
        encoders.find(str(tmp_path))
    assert not (tmp_path / "ran").exists()


def names_used(path: Path) -> set[str]:
    """Every module imported and every name or attribute called, as written."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
            found |= {f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in node.keywords}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_module_unpickles_or_runs_what_it_read(path):
    used = names_used(path)
    assert not used & {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    assert not used & {
        "eval",
        "exec",
        "os.system",
        "torch.load",
        "joblib.load",
        "np.load",
        "numpy.load",
        "pd.read_pickle",
        "yaml.load",
    }
    assert not used & {
        "trust_remote_code=True",
        "shell=True",
        "weights_only=False",
        "allow_pickle=True",
        "verify=False",
    }


def test_torch_refuses_a_program_in_a_checkpoint(tmp_path):
    """The Trainer reads optimizer.pt with torch.load: the installed version unpacks numbers only."""
    import torch

    (tmp_path / "optimizer.pt").write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/ran'\ntR.".encode())
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        torch.load(tmp_path / "optimizer.pt", weights_only=True)
    assert not (tmp_path / "ran").exists()
    trainer = Path(sys.modules["transformers"].__file__).with_name("trainer.py").read_text(encoding="utf-8")
    loads = re.findall(r"torch\.load\((?:[^()]|\([^()]*\))*\)", trainer)
    assert loads
    assert all("weights_only=True" in call for call in loads)


# What goes out

WATCH = """
import os, socket, sys
told = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        where = arguments[0] if event.startswith("socket.get") else arguments[1]
        host = where[0] if isinstance(where, tuple) else where
        if host not in ("127.0.0.1", "localhost", "::1") and not str(host).startswith("/"):
            os.write(told, f"{event} {host}\\n".encode())
sys.addaudithook(hook)
"""


@pytest.fixture
def watched(tmp_path, monkeypatch) -> Path:
    """Every Python started from now on writes down whom it speaks to outside this machine; empty means to nobody."""
    folder = tmp_path / "watch"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WATCH)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(paths.LAB)]))
    monkeypatch.setenv("WATCHED", str(folder / "connections.txt"))
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    return folder / "connections.txt"


def ask(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def test_the_watch_sees_a_connection(watched):
    done = ask([sys.executable, "-c", "import socket; socket.socket(2, 2).connect(('192.0.2.1', 9))"])
    assert done.returncode == 0, done.stderr
    assert watched.read_text() == "socket.connect 192.0.2.1\n"


def test_nothing_leaves_the_machine_while_the_script_trains(watched, few, tmp_path):
    small = ("MODEL=embedded", f"DATA={few}", "TRAIN_SUBSET=24", "EPOCHS=1", "MAX_LENGTH=16", "PRECISION=fp32")
    settings = [part for dial in small for part in ("--set", dial)]
    done = ask([sys.executable, "-m", "tuning.training.fit", *settings, "--out", str(tmp_path / "out")])
    assert done.returncode == 0, done.stderr[-2000:]
    assert watched.read_text() == ""
    check_no_token(tmp_path / "out", paths.runs(), text=done.stdout + done.stderr)


@pytest.mark.full
@pytest.mark.parametrize("number", ["01", "02", "03", "04"])
def test_nothing_leaves_the_machine_while_a_notebook_runs(watched, tmp_path, number):
    """Notebook 01 may ask the Hub whether it answers, as its first cell says; no more than that."""
    settings = {
        "01": ("MODEL=embedded", "TRAIN_SUBSET=48", "EPOCHS=1"),
        "02": (),
        "03": (),
        "04": ("OPTION=C", "MODEL=embedded", "TRAIN_SUBSET=48", "EPOCHS=1"),
    }[number]
    options = [part for dial in settings for part in ("--set", dial)]
    out = tmp_path / "out"
    done = ask([sys.executable, "-m", "tuning.notebook.headless", "--notebook", number, "--out", str(out), *options])
    assert done.returncode == 0, done.stderr[-2000:]
    hosts = {line.split()[1] for line in watched.read_text().splitlines()}
    assert hosts <= ({"huggingface.co"} if number == "01" else set())
    check_no_token(out, paths.runs(), text=done.stdout + done.stderr)


def check_no_token(*places: Path, text: str) -> None:
    """No secret of the environment stands in anything that was written or shown."""
    for place in places:
        for path in place.rglob("*"):
            if path.is_file() and path.suffix != ".safetensors":
                text += path.read_bytes().decode("utf-8", "replace")
    assert not [name for name, value in TOKENS.items() if value in text]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/bin/unshare").exists() or os.geteuid() != 0, reason="unshare needs Linux and root")
def test_the_backup_lab_needs_no_network_at_all():
    """Not even a loopback that leads anywhere: the kernel of the system has no way out."""
    program = (
        "from tuning.data import loading as data; from tuning.sgd import classifier as sgd; "
        "from tuning.dials import SgdDials; d = data.load(); s = data.split(d);"
        "print(sgd.train(sgd.features(s, SgdDials(EPOCHS=1)), d, s).outcome)"
    )
    environment = os.environ | {"PYTHONPATH": str(paths.LAB)}
    command = ["unshare", "--net", sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "completed", done.stderr


def test_telemetry_is_off_wherever_the_package_is_imported():
    names = ("HF_HUB_DISABLE_TELEMETRY",)
    program = f"import os, tuning; print([os.environ.get(name) for name in {names}])"
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"PYTHONPATH": str(paths.LAB)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "['1']"
    assert fixed_arguments(Dials(), "fp32")["report_to"] == "none"


def test_a_share_line_holds_no_sentence_no_path_and_no_user(make_run, monkeypatch, tmp_path):
    """With sentences of one's own in a folder that bears the learner's name."""
    monkeypatch.setenv("USER", "margarethe")
    path = tmp_path / "margarethe" / "secret.csv"
    path.parent.mkdir()
    rows = [f"Secretword {n} was {label}.,{label}" for n in range(20) for label in sentences.LABELS]
    path.write_text("\n".join(["sentence,label", *rows]), encoding="utf-8")
    run = make_run(dials={"DATA": str(path), "MODEL": str(path.parent)})
    run.data["path"] = str(path)
    run.encoder["name"] = "margarethe-bert"
    line = share.line(run, "Blue 4", "moving", 0.7)
    body = line.split("-")[2]
    text = zlib.decompress(share.from_base62(body)).decode().casefold()
    for word in ("margarethe", "secretword", "secret.csv", str(tmp_path).casefold()):
        assert word not in text
    assert set(json.loads(text)) == set(json.loads(text)) & set("npitbdrzeavmsefwogcx")
    words = {word for word in re.findall(r"[a-z]{4,}", text)} - {"blue", "moving", "null"}
    assert words <= {
        "just",
        "right",
        "neutral",
        "constant",
        "completed",
        "auto",
        "bundled",
        "distilbert",
        "embedded",
    }, words


def test_an_exported_worksheet_has_nothing_that_runs(make_run, keep_run):
    keep_run(make_run())
    worksheet.fill_worksheet()
    path = worksheet.worksheet_file()
    bad = """<script>alert(1)</script> <img src=x onerror=alert(2)> [x](javascript:alert(3)) `<script>`{=html}
<iframe src="//x">"""
    path.write_text(path.read_text(encoding="utf-8") + f"\n\n{bad}\n", encoding="utf-8")
    _, page = worksheet_export.export_worksheet()
    html = page.read_text(encoding="utf-8")
    tags = set(re.findall(r"<([a-zA-Z]+)", html))
    assert not tags & {"script", "iframe", "object", "embed", "form", "link", "base"}
    assert not re.search(r"<[^>]*\son\w+\s*=", html)
    assert 'href="javascript:' not in html.casefold()
    assert "default-src 'none'" in html


@pytest.mark.parametrize("number", notebook_files())
def test_a_stored_notebook_has_no_output_and_no_script(number):
    notebook = nbformat.read(notebook_file(number), as_version=4)
    text = json.dumps(notebook)
    assert "<script" not in text
    assert not re.search(r"hf_[A-Za-z0-9]{30,}|ghp_[A-Za-z0-9]{30,}", text)


def test_records_name_no_user_and_no_home(make_run, keep_run):
    run = keep_run(make_run())
    text = (run.folder / "run.json").read_text(encoding="utf-8") + json.dumps(Run.load(run.folder).machine)
    assert str(Path.home()) not in text
    assert SgdDials().as_dict().keys().isdisjoint({"USER", "HOST"})


def test_the_security_page_is_short_and_names_what_is_tested():
    lines = (paths.ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8").strip().splitlines()
    assert len([line for line in lines if line.strip()]) <= 12
    assert {"safetensors", "SHA-256", "telemetry"} <= set(re.findall(r"[\w-]+", " ".join(lines)))


# The packages


SIMPLE = "application/vnd.pypi.simple.v1+json"


def locked() -> list[tuple[str, str]]:
    """Name and version of every locked package; some systems get another version than the rest."""
    lines = (paths.ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (re.match(r"([A-Za-z0-9_.-]+)==([^\s;]+)", line) for line in lines)
    return [(match[1], match[2]) for match in pairs if match]


def asked(path: str, kind: str) -> dict | None:
    """What the index says at this path; None where it cannot be asked."""
    import httpx

    base = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/").removesuffix("/simple")
    try:
        answer = httpx.get(f"{base}/{path}", timeout=10, follow_redirects=True, headers={"Accept": kind})
    except httpx.HTTPError:
        return None
    known = answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
    return answer.json() if known else None


def version_of(filename: str) -> str:
    """Version in a file's name, as it is compared; empty for a kind of file that pip does not install any more."""
    try:
        if filename.endswith(".whl"):
            return str(parse_wheel_filename(filename)[1])
        return str(parse_sdist_filename(filename)[1])
    except (InvalidWheelFilename, InvalidSdistFilename):
        return ""


@pytest.mark.full
def test_no_locked_version_was_withdrawn():
    """Yanked, as the index calls it (PEP 592)."""
    pages = {name: asked(f"simple/{canonicalize_name(name)}/", SIMPLE) for name, _ in locked()}
    if not all(pages.values()):
        pytest.skip("the package index cannot be asked here")
    for name, version in locked():
        files = [one for one in pages[name]["files"] if version_of(one["filename"]) == str(Version(version))]
        assert files, (name, version)
        assert not [one["filename"] for one in files if one.get("yanked")]


@pytest.mark.full
def test_no_locked_version_has_a_known_hole():
    """Where the index tells of vulnerabilities; pip-audit reads the same source."""
    found = {pair: asked("pypi/{}/{}/json".format(*pair), "application/json") for pair in locked()}
    if not all(found.values()):
        pytest.skip("the package index tells nothing about vulnerabilities here")
    assert not {
        pair: [hole["id"] for hole in one["vulnerabilities"]] for pair, one in found.items() if one["vulnerabilities"]
    }
