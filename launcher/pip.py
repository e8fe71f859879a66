"""pip as a child: what it prints becomes a line of progress or, where it fails, a cause."""

import contextlib
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from launcher.children import pip_environment


class Progress:
    """Show what an installation is doing: one changing line in a terminal, a line now and then elsewhere.

    Parameters
    ----------
    stream : text stream, optional
        Where to write; standard error if not given.
    every : float
        Seconds between two lines where the output is not a terminal.
    """

    def __init__(self, stream: IO[str] | None = None, every: float = 10.0) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self.every = every
        self.title = ""
        self.started = self.printed = 0.0
        self.width = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self.title = title
        self.started = self.printed = time.monotonic()
        self._write("" if self.live else "...")

    def show(self, doing: str) -> None:
        """Say what the step is doing now."""
        now = time.monotonic()
        if self.live or now - self.printed >= self.every:
            self.printed = now
            self._write(f": {doing} ({now - self.started:.0f} s)")

    def done(self) -> None:
        """End the step, with the time it took."""
        self._write(f": done ({time.monotonic() - self.started:.0f} s)")
        self.leave()

    def leave(self) -> None:
        """Leave the changing line as it is; what follows starts on a new one."""
        if self.live and self.width:
            self.stream.write("\n")
            self.stream.flush()
        self.width = 0

    def _write(self, text: str) -> None:
        line = self.title + text
        if self.live:
            line = line[: shutil.get_terminal_size().columns - 1]
            self.stream.write("\r" + line.ljust(self.width))
            self.width = len(line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()


class PipReader:
    """Turn what pip prints into a few words about what it is doing.

    Parameters
    ----------
    site_packages : Path
        Where pip unpacks to. It prints nothing while it unpacks, so the finished packages are counted there.
    """

    COLLECTING = re.compile(r"\s*Collecting ([\w.-]+)")
    FETCHING = re.compile(
        r"\s*(Downloading|Using cached|Processing) .*?([\w.]+)-(\d[^-/\\]*)-[^/\\]*\.whl"
        r"(?: \(([\d.]+ \w+)\))?(?: |$)"
    )
    PORTION = re.compile(r"Progress (\d+) of (\d+)$")
    UNPACKING = re.compile(r"Installing collected packages: (.+)$")

    def __init__(self, site_packages: Path) -> None:
        self.site_packages = site_packages
        self.doing = "starting"
        self.portion = ""
        self.names: list[str] = []
        self.unpacking_since = 0.0

    def read(self, line: str) -> None:
        """Take in one line of pip's output."""
        line = line.rstrip()
        portion = self.PORTION.match(line)
        if portion:
            done, total = int(portion.group(1)), int(portion.group(2))
            self.portion = f" {100 * done // total}%" if total else ""
            return
        patterns = (self.COLLECTING, self.FETCHING, self.UNPACKING)
        collecting, fetching, unpacking = (pattern.match(line) for pattern in patterns)
        if fetching:
            verb, name, version, size = fetching.groups()
            self.doing = f"{verb.lower()} {name} {version}" + (f", {size}" if size else "")
        elif collecting:
            self.doing = f"looking up {collecting.group(1)}"
        elif line.startswith("WARNING: Retrying"):
            self.doing = "no answer from the network, trying again"
        elif unpacking:
            self.names = unpacking.group(1).split(", ")
            self.unpacking_since = time.time() - 0.1  # the clock that stamps files may be a little behind
        else:
            return
        self.portion = ""

    def text(self) -> str:
        """Say what pip is doing now."""
        if not self.names:
            return self.doing + self.portion
        finished = min(self._unpacked(), len(self.names) - 1)
        return f"unpacking {self.names[finished]}, {finished + 1} of {len(self.names)}"

    def _unpacked(self) -> int:
        """Count the packages whose list of files, which pip writes last, is new."""
        count = 0
        for record in self.site_packages.glob("*.dist-info/RECORD"):
            with contextlib.suppress(FileNotFoundError):
                count += record.stat().st_mtime >= self.unpacking_since
        return count


# Why pip failed; the first match counts, since without a network pip also says "No matching distribution".
PIP_CAUSES = (
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLCertVerificationError",
        "the network's certificate is not trusted, as where a company inspects traffic: "
        "set PIP_CERT to the company's certificate file, or use another network",
    ),
    (r"No space left on device|\[Errno 28\]|\[WinError 112\]", "the disk is full"),
    (
        r"Long Path support",
        "a path is too long for Windows: move the workshop's folder to a short path such as C:\\workshop",
    ),
    (
        r"externally-managed-environment",
        "this Python may only be changed by the system's own package manager",
    ),
    (
        r"\[WinError (5|32)\]|\[Errno 13\]|Permission denied|Access is denied",
        "a file may not be written: close notebooks and editors that use the workshop's Python, "
        "or move its folder to one that is yours (not a synchronised one)",
    ),
    (
        r"Name or service not known|name resolution|getaddrinfo failed|nodename nor servname|NameResolution"
        r"|NewConnection|Network is unreachable|Connection refused|ConnectTimeout|ReadTimeout|Read timed out"
        r"|SSLError|ProxyError|Proxy Authentication|IncompleteRead|Connection (was )?(aborted|reset|broken)",
        "the package index cannot be reached: check the network, or set HTTPS_PROXY if there is a proxy",
    ),
    (r"DO NOT MATCH THE HASHES", "a download arrived damaged: run this again"),
    (
        r"ResolutionImpossible|conflicting dependencies",
        "the pinned versions contradict each other, or the package index lacks one of them",
    ),
)
PIP_NO_VERSION = re.compile(r"No matching distribution found for ([^\s;]+)")


def explain_pip(output: str) -> str:
    """Name the likely cause why pip or venv failed, from what it printed, in one line."""
    for pattern, cause in PIP_CAUSES:
        if re.search(pattern, output):
            return cause
    missing = PIP_NO_VERSION.search(output)
    if missing:
        unsure = ", or cannot be reached" if "(from versions: none)" in output else ""
        return f"the package index has no {missing.group(1)} for this Python and this system{unsure}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line[len("ERROR:") :].strip() for line in lines if line.lower().startswith("error:")]
    return (errors or lines or ["it gave no reason"])[-1]


def run_logged(
    command: Sequence[str], log: Path, on_line: Callable[[str], None], on_tick: Callable[[], None]
) -> tuple[int, str]:
    """Run a program, keep all it prints in a log, and let others look at it meanwhile.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    log : Path
        File that the output is added to.
    on_line : callable
        Gets each line.
    on_tick : callable
        Called a few times a second, also while nothing is printed.

    Returns
    -------
    code : int
        The exit code.
    output : str
        What it printed.
    """
    lines: queue.Queue[str | None] = queue.Queue()
    printed: list[str] = []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**pip_environment(), "PYTHONUNBUFFERED": "1"},
        encoding="utf-8",
        errors="replace",
    )

    def collect() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=collect, daemon=True).start()
    try:
        with log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} $ {' '.join(command)}\n")
            while True:
                try:
                    line = lines.get(timeout=0.25)
                except queue.Empty:
                    line = ""
                if line is None:
                    break
                if line:
                    on_line(line)
                    printed.append(line)
                    file.write(line)
                on_tick()
        return process.wait(), "".join(printed)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
