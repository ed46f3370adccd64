"""Downloads: a file of known sha256, from an address or from the package index that pip is set up to use."""

import ast
import hashlib
import http.client
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import urllib.response
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

_Answer = http.client.HTTPResponse | urllib.response.addinfourl
_CHUNK = 1 << 20
_ATTEMPTS = 4


class DownloadError(RuntimeError):
    """A file could not be had; the message says from where and why."""


def sha256_of(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, to: Path, *, sha256: str | None, size: int | None = None) -> str:
    """Fetch `url` into the file `to`, and return its sha256.

    What has arrived lies in `to` + ".part" and is continued where the server can; the file gets its name only after its
    hash has been checked, so that a file called `to` is always whole.

    Args:
        url: http(s) or file address.
        to: the file to write; its folder is made.
        sha256: the hash that the file must have, or the hash's first digits; None accepts what comes.
        size: bytes to expect, for the free space and the progress bar.

    Raises:
        DownloadError: when the address cannot be reached, the disk is too small or the hash is not the expected one.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(to.parent).free
    if size is not None and free < size:
        raise DownloadError(f"{to.name} needs {size / 1e6:.0f} MB; {to.parent} has {free / 1e6:.0f} MB free.")
    part = to.with_name(to.name + ".part")
    for attempt in range(_ATTEMPTS):
        try:
            _receive(url, part, size)
            break
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and broken connections
            gone = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if gone or attempt == _ATTEMPTS - 1 or urlsplit(url).scheme == "file":
                raise DownloadError(f"{_without_password(url)} could not be read: {error}.") from error
            time.sleep(0.5 * 2**attempt)
    found = sha256_of(part)
    if sha256 is not None and not found.startswith(sha256):
        part.unlink()
        raise DownloadError(
            f"{_without_password(url)} is not the file we know: its sha256 is {found}, it must be {sha256}. It was "
            "deleted unopened. Try again; if it stays so, the address serves another file."
        )
    os.replace(part, to)
    return found


def in_package_index(project: str, file_name: str) -> list[str]:
    """Addresses of a project's file in the package indexes and folders that pip is set up to use, best first.

    Only the index page is read. `pip download` is not called, because it runs a source distribution's own code.

    Raises:
        DownloadError: when no index lists the file; the message names each place and what was found there.
    """
    settings = pip_settings()
    found, reasons = [], []
    for folder in settings.get("find-links", "").split():
        path = Path(unquote(urlsplit(folder).path)) if folder.startswith("file:") else Path(folder)
        if (path / file_name).is_file():
            found.append((path / file_name).absolute().as_uri())
    indexes = [] if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"} else _indexes(settings)
    for index in indexes:
        page = f"{index.rstrip('/')}/{project}/"
        try:
            with _open(page, {"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.9"}) as answer:
                links = _Links()
                links.feed(answer.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{_without_password(page)}: {error}")
            continue
        addresses = [urljoin(page, link).partition("#")[0] for link in links.found]
        matches = [address for address in addresses if unquote(urlsplit(address).path).endswith("/" + file_name)]
        found += [_with_password_of(index, address) for address in matches]
        if not matches:
            reasons.append(f"{_without_password(page)}: has no {file_name}")
    if not found:
        looked_at = "; ".join(reasons) or "none is set: install pip, or set PIP_INDEX_URL"
        raise DownloadError(f"{file_name} is in none of your package indexes ({looked_at}).")
    return found


@cache
def pip_settings() -> dict[str, str]:
    """What pip would use: its configuration files and environment, with its built-in index where none is set."""
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings: dict[str, str] = {}
    rank: dict[str, int] = {}
    for line in answer.stdout.splitlines():
        section, dot, rest = line.partition(".")
        key, equals, value = rest.partition("=")
        order = {"global": 0, "install": 1, "download": 2}.get(section, 3 if section.startswith(":env:") else -1)
        if dot and equals and order >= rank.get(key, 0):
            settings[key], rank[key] = str(ast.literal_eval(value)), order
    if answer.returncode != 0:  # environments made by uv have no pip, but may be told the same
        for key in ("index-url", "extra-index-url", "find-links", "cert", "proxy"):
            if given := os.environ.get("PIP_" + key.upper().replace("-", "_")):
                settings[key] = given
    if uv := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        settings.setdefault("index-url", uv)
    if "index-url" not in settings:
        usage = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--help"], capture_output=True, text=True, check=False
        ).stdout
        if built_in := re.search(r"Package\s+Index\s+\(default\s+(\S+?)\)", usage):
            settings["index-url"] = built_in[1]
    return settings


def _indexes(settings: dict[str, str]) -> list[str]:
    return [*settings.get("index-url", "").split(), *settings.get("extra-index-url", "").split()]


def _receive(url: str, part: Path, size: int | None) -> None:
    """Append to `part` what is missing of `url`."""
    have = part.stat().st_size if part.exists() else 0
    try:
        answer = _open(url, {"Range": f"bytes={have}-"} if have else {})
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the range begins at the end: everything is there already
            raise
        return
    with answer:
        continued = have > 0 and getattr(answer, "status", None) == 206
        length = answer.headers.get("Content-Length")
        start = have if continued else 0
        total = start + int(length) if length else size
        with part.open("ab" if continued else "wb") as file:
            for piece in _with_progress(answer, part.stem, start, total):
                file.write(piece)
    if length and part.stat().st_size != total:
        raise http.client.IncompleteRead(b"", total)


def _with_progress(answer: _Answer, label: str, start: int, total: int | None) -> Iterator[bytes]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(f"Downloading {label}", total=total, completed=start)
        while piece := answer.read(_CHUNK):
            progress.advance(task, len(piece))
            yield piece


def _open(url: str, headers: dict[str, str]) -> _Answer:
    """The answer of an address, with pip's certificate and proxy and the address' own user and password."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        return urllib.request.urlopen((path / "index.html" if path.is_dir() else path).as_uri())
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = {**headers, "Authorization": "Basic " + b64encode(login.encode()).decode()}
    settings = pip_settings()
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=_context(settings.get("cert")))]
    if "proxy" in settings:
        handlers.append(urllib.request.ProxyHandler(dict.fromkeys(("http", "https"), settings["proxy"])))
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(address, headers={"User-Agent": "chronoreel", **headers})
    return urllib.request.build_opener(*handlers).open(request, timeout=60)


def _context(certificate: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    try:
        import certifi  # where Python has no access to the system's certificates
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _with_password_of(index: str, address: str) -> str:
    """The address, with the index's user and password if it is on the same host and has none of its own."""
    home, parts = urlsplit(index), urlsplit(address)
    if home.username and not parts.username and home.hostname == parts.hostname:
        return urlunsplit(parts._replace(netloc=home.netloc))
    return address


class _Links(HTMLParser):
    """The links of an index page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for key, value in attrs if tag == "a" and key == "href" and value]
