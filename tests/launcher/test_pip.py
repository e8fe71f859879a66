"""What pip says becomes a line of progress or a cause."""

import io
import re

import pytest

from launcher.pip import PipReader, Progress, explain_pip

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
    reader = PipReader(tmp_path)
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
    said = explain_pip(output)
    assert cause in said
    assert "\n" not in said


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_in_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    progress = Progress(terminal)
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
    progress = Progress(output, every=0)
    progress.step("[1/1] packages")
    progress.show("looking up a")
    progress.done()
    assert output.getvalue().splitlines() == [
        "[1/1] packages...",
        "[1/1] packages: looking up a (0 s)",
        "[1/1] packages: done (0 s)",
    ]
