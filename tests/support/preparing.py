"""What the tests of data share: the real command, films to put into archives, and a server of files."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cli import benchmarks
from datamodules.base.clip_source import Source
from datamodules.storage.video_writer import write_video


def run(*words: str) -> int:
    """The exit code of `benchmarks WORDS`."""
    with pytest.raises(SystemExit) as end:
        benchmarks(list(words))
    return int(end.value.code or 0)


def films_of_each_origin(source: Source) -> list[int]:
    """How many clips of a split each independent source has, in rising order."""
    return sorted(Counter(origin.number for origin in source.origins()).values())


def film(path: Path, grey: int, frames: int = 8, rate: float = 25.0) -> Path:
    """A small film of one grey."""
    write_video(path, np.full((frames, 3, 12, 16), grey, dtype=np.uint8), rate)
    return path


class Served(BaseHTTPRequestHandler):
    """Files of a folder, whole or in ranges; counts the bytes that it sends."""

    folder: Path
    sent: dict[str, int]
    ranges = True
    breaks_off: int | None = None
    """Bytes after which an answer ends."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content, asked = path.read_bytes(), self.headers.get("Range")
        first, _, last = (asked or "").removeprefix("bytes=").partition("-")
        if asked and self.ranges and int(first) >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if asked and self.ranges else 200)
        if asked and self.ranges:
            last = last or str(len(content) - 1)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            content = content[int(first) : int(last) + 1]
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes" if self.ranges else "none")
        self.end_headers()
        if self.command == "GET":
            self.sent[path.name] = self.sent.get(path.name, 0) + len(content)
            self.wfile.write(content[: self.breaks_off])

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, type[Served]]]:
    """A server of a folder's files: its address, and what it sent."""
    handler: type[Served] = type("Here", (Served,), {"folder": folder, "sent": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
