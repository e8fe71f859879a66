"""A local server that speaks as much of the Hub's protocol as a download needs, and misbehaves on request."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MOODS = (
    "well",
    "hangs",
    "hangs in the middle",
    "429",
    "503",
    "cut",
    "cut once",
    "wrong",
    "portal",
    "json portal",
    "trickle",
    "trickle from the start",
)
SLOWLY = {"trickle": 10, "trickle from the start": 10, "hangs in the middle": 400_000}


class _Handler(BaseHTTPRequestHandler):
    """Serve ``/{repo}/resolve/{revision}/{file}``; the server's mood decides how well."""

    protocol_version = "HTTP/1.1"
    server: "HubServer"

    def log_message(self, *args) -> None:
        """Keep the tests' output clean."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        mood = self.server.mood
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if mood == "hangs":
            self.server.closing.wait(60)
            return
        if mood in ("429", "503"):
            self.send_response(int(mood))
            self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path = self.server.folder / self.path.rsplit("/", 1)[-1]
        large = path.suffix in (".safetensors", ".zip")
        portals = {"portal": b"<html>Please sign in</html>", "json portal": b'{"error": "Please sign in"}'}
        raw = portals.get(mood) or path.read_bytes()
        if mood == "wrong" and large:
            raw = bytes(reversed(raw))
        if mood == "cut once" and large:
            self.server.mood = "well"
        self._send(
            raw,
            body,
            cut=mood in ("cut", "cut once") and large,
            piece=SLOWLY.get(mood) if large or mood == "trickle from the start" else None,
        )

    def _send(self, raw: bytes, body: bool, *, cut: bool, piece: int | None) -> None:
        begin = 0
        asked = self.headers.get("Range")
        if asked and self.server.ranges:
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("X-Repo-Commit", self.path.split("/resolve/")[-1].split("/")[0])
        self.send_header("ETag", f'"{hashlib.sha256(raw).hexdigest()}"')
        self.send_header("Content-Length", str(len(raw) - begin))
        self.end_headers()
        if not body:
            return
        part = raw[begin:]
        if cut:
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
            return
        if piece:
            # Twenty bytes a second; or one large piece, and then nothing for as long as anybody waits.
            for at in range(0, len(part), piece):
                self.wfile.write(part[at : at + piece])
                if self.server.closing.wait(60 if self.server.mood == "hangs in the middle" else 0.5):
                    return
            return
        self.wfile.write(part)


class HubServer(ThreadingHTTPServer):
    """The server: its files lie in `folder`, its `mood` is one of `MOODS`, `asked` lists the requests."""

    daemon_threads = True

    def __init__(self, folder: Path, mood: str, ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.mood, self.ranges = folder, mood, ranges
        self.asked: list[tuple[str, str, str | None]] = []
        self.closing = threading.Event()

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(folder: Path, mood: str = "well", ranges: bool = True) -> Iterator[HubServer]:
    """Run a server in the background for as long as the block lasts."""
    server = HubServer(folder, mood, ranges)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def seconds_since(begin: float) -> float:
    """Wall seconds since `begin`, a value of ``time.monotonic()``."""
    return time.monotonic() - begin
