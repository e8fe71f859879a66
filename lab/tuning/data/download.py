"""A small, bounded way to bring known files from the Hugging Face Hub.

The Hub's own client retries for minutes, obeys any wait it is told and accepts whatever body comes. A room at
09:45 needs an answer within seconds, so the few files of the workshop come through here: one part file that survives a
restart, the content checked before the file gets its name, and two clocks over everything, one for silence and one
for the whole.
"""

import dataclasses
import hashlib
import json
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from filelock import Timeout
from tqdm import tqdm

from tuning.files import Lock

Progress = Callable[[int, int], None]

CONNECT_SECONDS = 4.0
SILENCE_SECONDS = 6.0
PATIENCE_SECONDS = 8.0
DEADLINE_SECONDS = 600.0
MOST_CUTS = 5
LARGEST_UNKNOWN = 2_000_000
WATCH_SECONDS = 0.1


class HubError(Exception):
    """The Hub did not deliver; the text is one sentence that says why."""


class WrongContent(HubError):
    """What came is not the published file, so that nothing of it may stay."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a repository."""

    name: str
    size: int | None  # Bytes, where they are known beforehand.
    sha256: str | None  # Hash of the content, where it is known beforehand.
    # What a JSON file without a known hash must hold to be taken for the right one.
    holds: tuple[tuple[str, Any], ...] = ()
    beside: tuple[str, ...] = ()  # What else it may hold, whatever the value.

    def is_in(self, path: Path) -> bool:
        """Whether the file at `path` is there and is this one."""
        if not path.is_file():
            return False
        if self.sha256 is not None:
            with path.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest() == self.sha256
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            return False
        if not isinstance(content, dict):
            return False
        decisive = {key: value for key, value in content.items() if key not in self.beside}
        return decisive == dict(self.holds)


@dataclasses.dataclass(frozen=True)
class Repository:
    """A repository of the Hub at one revision; `kind` is ``""`` for models and ``"datasets/"`` for data sets."""

    name: str
    revision: str
    files: tuple[File, ...]
    kind: str = ""

    @property
    def folder_name(self) -> str:
        """Name of its folder under ``lab/models``."""
        return self.name.split("/")[-1]

    def url(self, file: File) -> str:
        """Address of a file, under ``HF_ENDPOINT`` where that is set."""
        base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{base}/{self.kind}{self.name}/resolve/{self.revision}/{file.name}"


def fetch(
    repository: Repository, folder: Path, *, deadline: float = DEADLINE_SECONDS, on_progress: Progress | None = None
) -> Path:
    """Bring all files of a repository into a folder; files already whole stay as they are.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; made if need be. A part file that an earlier try left there is continued.
    deadline : float
        Seconds for everything. A transfer that, at its measured speed, cannot make it is given up after
        ``PATIENCE_SECONDS``; a silent one after ``SILENCE_SECONDS``.
    on_progress : callable, optional
        Called with bytes done and bytes in all of the file under way.

    Raises
    ------
    HubError
        If the Hub is switched off (``HF_HUB_OFFLINE``), cannot be reached, refuses, is too slow, or sends something
        else.
    """
    if all(file.is_in(folder / file.name) for file in repository.files):
        return folder
    if _switched_off():
        raise HubError("the Hub is switched off (HF_HUB_OFFLINE).")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with Lock(folder / ".fetch.lock", 1, held_seconds=2 * deadline):
            transfer = _Transfer(repository, folder, time.monotonic() + deadline)
            _watch(transfer, on_progress)
    except Timeout:
        raise HubError("another notebook is downloading it at this moment.") from None
    except httpx.TimeoutException:
        raise HubError("the Hub did not answer in time.") from None
    except httpx.HTTPError as problem:
        certificate = "CERTIFICATE_VERIFY_FAILED" in str(problem)
        told = "a proxy replaces its certificate (CERTIFICATE_VERIFY_FAILED)" if certificate else "no connection"
        raise HubError(f"the Hub cannot be reached ({told}).") from None
    except httpx.InvalidURL:
        raise HubError("HF_ENDPOINT is not an address.") from None
    except OSError as problem:
        raise HubError(f"the files cannot be written ({problem.strerror or problem}).") from None
    return folder


def ask(repository: Repository) -> Callable[[float], str | None]:
    """Ask for the head of a repository's first file, in the background.

    The answer is a function: it waits so many seconds and gives the reason why the Hub does not deliver, or None.
    """
    if _switched_off():
        return lambda seconds: "The Hugging Face Hub is switched off (HF_HUB_OFFLINE)."
    answers: queue.Queue[str | None] = queue.Queue()

    def head() -> None:
        try:
            with _client() as client:
                answer = client.head(repository.url(repository.files[0]))
            answers.put(None if answer.status_code < 400 else f"The Hub is unavailable: {_refusal(answer.status_code)}")
        except (HubError, httpx.HTTPError, httpx.InvalidURL):
            answers.put("The Hugging Face Hub cannot be reached.")

    threading.Thread(target=head, daemon=True).start()

    def wait(seconds: float) -> str | None:
        try:
            return answers.get(timeout=seconds)
        except queue.Empty:
            return f"The Hugging Face Hub has not answered within {seconds:g} s."

    return wait


@contextmanager
def progress_bar(name: str) -> Iterator[Progress]:
    """Show a download as a bar of text, in a terminal or under a cell; what is yielded is an ``on_progress``."""
    bar = tqdm(unit="B", unit_scale=True, desc=name, delay=0.1)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    with bar:
        yield show


def _watch(transfer: "_Transfer", on_progress: Progress | None) -> None:
    """Wait for a transfer; give it up when it has been silent for too long or its time is over."""
    transfer.start()
    try:
        while transfer.is_alive():
            transfer.join(WATCH_SECONDS)
            if on_progress and transfer.total:
                on_progress(transfer.done, transfer.total)
            # The client's own limits come first; this one is for what has none.
            if time.monotonic() > min(transfer.heard + SILENCE_SECONDS + CONNECT_SECONDS, transfer.end + 1):
                raise HubError("the Hub did not answer in time.")
    finally:
        transfer.given_up.set()
    if transfer.problem is not None:
        raise transfer.problem


class _Transfer(threading.Thread):
    """A download in a thread of its own.

    Looking up a name, and calling one dead address of the Hub after the other, have no time limit that can be set:
    whoever waits must be able to walk away.
    """

    def __init__(self, repository: Repository, folder: Path, end: float) -> None:
        super().__init__(daemon=True)
        self.repository, self.folder, self.end = repository, folder, end
        self.done = self.total = 0
        self.later = 0
        self.heard = time.monotonic()
        self.given_up = threading.Event()
        self.problem: BaseException | None = None

    def run(self) -> None:
        """Bring the files; what goes wrong is raised again by the thread that waits."""
        try:
            with _client() as client:
                for place, file in enumerate(self.repository.files, start=1):
                    # A line that would do for this file may be far too slow for the next.
                    self.later = sum(self._lacks(coming) for coming in self.repository.files[place:])
                    target = self.folder / file.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if not self._is_in(target, file):
                        self._bring(client, file, target)
        except BaseException as problem:  # nothing is swallowed: the other thread raises it
            self.problem = problem

    def _lacks(self, file: File) -> int:
        """Bytes of a file that are not here yet, as far as its size is known."""
        target = self.folder / file.name
        part = target.with_name(target.name + ".part")
        return max((file.size or 0) - max(_size(target), _size(part)), 0)

    def _is_in(self, path: Path, file: File) -> bool:
        # Reading a large file from a slow disk is not the Hub's silence.
        self.heard = math.inf
        whole = file.is_in(path)
        self.heard = time.monotonic()
        return whole

    def _bring(self, client: httpx.Client, file: File, target: Path) -> None:
        part = target.with_name(target.name + ".part")
        # A second try begins anew: it is for a part file left over from something else.
        for attempt in ("continue", "anew"):
            if attempt == "anew":
                part.unlink(missing_ok=True)
            had = _size(part)
            try:
                self._receive_in_spite_of_cuts(client, file, part)
            except WrongContent:
                part.unlink(missing_ok=True)
                raise
            if self._is_in(part, file):
                part.replace(target)
                return
            if not had:
                break
        part.unlink(missing_ok=True)
        raise WrongContent(
            f"what came as {file.name} is not the published file (a sign-in page of the network, perhaps)."
        )

    def _receive_in_spite_of_cuts(self, client: httpx.Client, file: File, part: Path) -> None:
        for _ in range(MOST_CUTS):
            had = _size(part)
            try:
                self._receive(client, file, part)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                if _size(part) <= had:
                    raise
            else:
                return
        raise HubError("the connection was cut again and again; what has come so far is kept for the next try.")

    def _receive(self, client: httpx.Client, file: File, part: Path) -> None:
        done = _size(part)
        if file.size is not None and done >= file.size:
            return
        headers = {"Range": f"bytes={done}-"} if done else {}
        started, received = time.monotonic(), 0
        with client.stream("GET", self.repository.url(file), headers=headers) as answer:
            self.heard = time.monotonic()
            if answer.status_code == 416:
                return
            if answer.status_code not in (200, 206):
                raise HubError(_refusal(answer.status_code))
            if answer.status_code == 200:
                done = 0
            offered = int(answer.headers.get("Content-Length") or 0)
            if file.size is not None and offered and done + offered != file.size:
                raise HubError(f"what is offered as {file.name} is not the published file (another size).")
            self.done, self.total = done, file.size or done + offered
            if self.given_up.is_set():
                return
            with part.open("ab" if done else "wb") as out:
                # As they arrive: waiting for a full block would hide a line that trickles.
                for chunk in answer.iter_raw():
                    if self.given_up.is_set():
                        return
                    out.write(chunk)
                    done, received = done + len(chunk), received + len(chunk)
                    self.done, self.heard = done, time.monotonic()
                    if done > (file.size or LARGEST_UNKNOWN):
                        raise WrongContent(f"what is offered as {file.name} is far too large.")
                    _keep_going(started, received, self.later + self.total - done, self.end)


def _switched_off() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def _client() -> httpx.Client:
    limits = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    try:
        return httpx.Client(timeout=limits, follow_redirects=True, headers={"Accept-Encoding": "identity"})
    except (ValueError, ImportError) as problem:
        raise HubError(f"the proxy that is set cannot be used ({str(problem).splitlines()[0][:100]}).") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _keep_going(started: float, received: int, left: int, end: float) -> None:
    now = time.monotonic()
    spent = now - started
    too_slow = spent > PATIENCE_SECONDS and left / max(received / spent, 1) > end - now
    if now > end or too_slow:
        raise HubError("the connection is too slow; what has come so far is kept for the next try.")


def _refusal(status: int) -> str:
    reasons = {
        401: "the Hub asks for an account",
        403: "the network forbids the Hub",
        404: "the Hub does not have this file",
        429: "the Hub turns this address away for now: too many requests (429)",
    }
    return reasons.get(status, f"the Hub answers with error {status}") + "."
