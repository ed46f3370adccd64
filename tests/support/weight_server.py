"""A server of weights on this machine, which remembers what it was asked and can break a connection."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `pages`, remembers the requests, and breaks the connection after `cut` bytes as often as told."""

    pages: dict[str, bytes]
    cuts: list[int]
    requests: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if self.path not in server.pages:
            self.send_error(404)
            return
        content = server.pages[self.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = server.cuts.pop() if server.cuts else len(content)
        self.wfile.write(content[start : start + cut])

    def log_message(self, *args: object) -> None: ...


@contextmanager
def weight_server() -> Iterator[Server]:
    """A running server of no pages."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.pages, server.cuts, server.requests = {}, [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def address(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"
