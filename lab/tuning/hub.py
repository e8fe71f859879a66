"""A small, bounded way to bring known files from the Hugging Face Hub.

The Hub's own client retries for minutes, obeys any wait it is told and accepts whatever body comes. A room at
09:45 needs an answer within seconds, so the few files of the workshop come through here: one quick question
whether the Hub answers, a part file that survives a restart, the hash checked before the file gets its name,
and one deadline over everything.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

Progress = Callable[[int, int], None]

CONNECT_SECONDS = 4.0
SILENCE_SECONDS = 6.0
PATIENCE_SECONDS = 10.0
DEADLINE_SECONDS = 600.0
LARGEST_UNKNOWN = 2_000_000


class HubError(Exception):
    """The Hub did not deliver; the text is one sentence that says why."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a repository: its name, and its size in bytes and SHA-256 where they are known beforehand."""

    name: str
    size: int | None
    sha256: str | None


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
    repository : Repository
    folder : pathlib.Path
        Where to; made if need be. A part file that an earlier try left there is continued.
    deadline : float
        Seconds for everything. A transfer that, at its measured speed, cannot make it is given up after
        ``PATIENCE_SECONDS``.
    on_progress : callable, optional
        Called with bytes done and bytes in all of the file under way.

    Returns
    -------
    pathlib.Path
        `folder`.

    Raises
    ------
    HubError
        If the Hub is switched off (``HF_HUB_OFFLINE``), cannot be reached, refuses, is too slow, or sends something
        else.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise HubError("the Hub is switched off (HF_HUB_OFFLINE).")
    end = time.monotonic() + deadline
    limits = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(folder / ".fetch.lock", timeout=1),
            httpx.Client(timeout=limits, follow_redirects=True, headers={"Accept-Encoding": "identity"}) as client,
        ):
            for file in repository.files:
                (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
                if not _whole(folder / file.name, file):
                    _fetch_file(client, repository.url(file), folder / file.name, file, end, on_progress)
    except Timeout:
        raise HubError("another notebook is downloading it at this moment.") from None
    except httpx.TimeoutException:
        raise HubError("the Hub did not answer in time.") from None
    except httpx.HTTPError as problem:
        certificate = "CERTIFICATE_VERIFY_FAILED" in str(problem)
        told = "a proxy replaces its certificate (CERTIFICATE_VERIFY_FAILED)" if certificate else "no connection"
        raise HubError(f"the Hub cannot be reached ({told}).") from None
    except OSError as problem:
        raise HubError(f"the files cannot be written ({problem.strerror or problem}).") from None
    return folder


def _whole(path: Path, file: File) -> bool:
    if not path.is_file():
        return False
    if file.sha256 is None:
        return _is_json(path.read_bytes())
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256


def _is_json(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw), dict)
    except ValueError:
        return False


def _fetch_file(
    client: httpx.Client, url: str, target: Path, file: File, end: float, on_progress: Progress | None
) -> None:
    part = target.with_name(target.name + ".part")
    # A second try begins anew: it is for a part file left over from something else.
    for attempt in ("continue", "anew"):
        if attempt == "anew":
            part.unlink(missing_ok=True)
        had = part.stat().st_size if part.exists() else 0
        _receive(client, url, part, file, end, on_progress)
        if _right(part, file):
            part.replace(target)
            return
        if not had:
            break
    part.unlink(missing_ok=True)
    raise HubError(f"what came as {file.name} is not the published file (a sign-in page of the network, perhaps).")


def _right(part: Path, file: File) -> bool:
    if file.sha256 is None:
        return _is_json(part.read_bytes())
    with part.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256


def _receive(client: httpx.Client, url: str, part: Path, file: File, end: float, on_progress: Progress | None) -> None:
    done = part.stat().st_size if part.exists() else 0
    if file.size is not None and done >= file.size:
        return
    headers = {"Range": f"bytes={done}-"} if done else {}
    started, received = time.monotonic(), 0
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:
            return
        if answer.status_code not in (200, 206):
            raise HubError(_refusal(answer.status_code))
        if answer.status_code == 200:
            done = 0
        total = done + int(answer.headers.get("Content-Length") or 0)
        largest = file.size or LARGEST_UNKNOWN
        if file.size is not None and total and total != file.size:
            raise HubError(f"what is offered as {file.name} is not the published file (another size).")
        with part.open("ab" if done else "wb") as out:
            # As they arrive: waiting for a full block would hide a line that trickles.
            for chunk in answer.iter_raw():
                out.write(chunk)
                done, received = done + len(chunk), received + len(chunk)
                if done > largest and file.sha256 is None:
                    raise HubError(f"what is offered as {file.name} is far too large.")
                if on_progress:
                    on_progress(done, file.size or total)
                _keep_going(started, received, (file.size or total) - done, end)


def _keep_going(started: float, received: int, left: int, end: float) -> None:
    now = time.monotonic()
    spent = now - started
    too_slow = spent > PATIENCE_SECONDS and left / max(received / spent, 1) > end - now
    if now > end or too_slow:
        raise HubError("the connection is too slow; what has come so far is kept for the next try.")


def _refusal(status: int) -> str:
    told = {
        401: "the Hub asks for an account",
        403: "the network forbids the Hub",
        404: "the Hub does not have this file",
        429: "the Hub turns this address away for now: too many requests (429)",
    }
    return told.get(status, f"the Hub answers with error {status}") + "."
