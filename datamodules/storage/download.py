"""Resumable downloads: a file gets its final name only when it is complete and its sha256 is correct."""

import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
import urllib.response
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from datamodules.files import replace

Response = http.client.HTTPResponse | urllib.response.addinfourl
OpenURL = Callable[[str, Mapping[str, str]], Response]
"""Opens an address with these headers."""
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 4


class DownloadError(OSError):
    """A file cannot be downloaded; the message gives the address (without a password) and the reason."""


def open_url(url: str, headers: Mapping[str, str]) -> Response:
    """Open an address as urllib does, with the proxies of the environment."""
    return urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=60)


def download(
    url: str, to: Path, *, sha256: str | None = None, size: int | None = None, open_url: OpenURL = open_url
) -> str:
    """Download `url` to the file `to` and return the file's sha256.

    Received bytes are kept in `<to>.part`; a later call resumes there if the server supports ranges. Of several
    processes that want the same file one downloads it, and the others wait.

    Args:
        url: http(s) or file address.
        to: the file to write; its folder is made.
        sha256: the expected hash, or its first digits; None accepts any content.
        size: expected bytes, for the check of free space and the progress bar; None uses the size the server reports.
        open_url: opens an address, if it needs other certificates, proxies or passwords than urllib's.

    Raises:
        DownloadError: if the address cannot be read, the disk is too small or the hash is wrong.
    """
    from filelock import FileLock

    to.parent.mkdir(parents=True, exist_ok=True)
    there = to.exists()
    with FileLock(to.with_name(f".{to.name}.lock")):
        if not there and to.exists():  # another process downloaded it while this one waited
            part = to
        else:
            part = to.with_name(f"{to.name}.part")
            _receive_with_retries(url, part, size, open_url)
        found = file_sha256(part)
        if sha256 is not None and not found.startswith(sha256):
            part.unlink()
            raise DownloadError(
                f"{without_password(url)} has sha256 {found}, expected {sha256}. The file was deleted unopened. Try "
                "again; if the hash stays wrong, the address now serves another file."
            )
        if part != to:
            replace(part, to)
    return found


def file_sha256(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise an OSError that says how much space is missing if `needed` bytes do not fit where `folder` is."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"To {purpose}, {needed / 1e9:.2f} GB must be free in {folder}, but only {free / 1e9:.2f} GB are. "
            "Free some space, or choose another disk (CHRONOREEL_DATA for data, XDG_CACHE_HOME for weights)."
        )


def without_password(url: str) -> str:
    """An address without its user and password, as errors may show it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _receive_with_retries(url: str, part: Path, size: int | None, open_url: OpenURL) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            _receive(url, part, size, open_url)
            break
        except DownloadError:
            raise
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and broken connections
            refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if refused or attempt == _ATTEMPTS - 1 or urlsplit(url).scheme == "file":
                raise DownloadError(f"{without_password(url)} could not be read: {error}.") from error
            time.sleep(0.5 * 2**attempt)


def _receive(url: str, part: Path, size: int | None, open_url: OpenURL) -> None:
    """Append the missing bytes of `url` to `part`."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = open_url(url, {"Range": f"bytes={have}-"} if have else {})
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the range begins at the end: the file is complete
            raise
        return
    with response:
        resumed = have > 0 and getattr(response, "status", None) == 206
        length = response.headers.get("Content-Length")
        start = have if resumed else 0
        total = start + int(length) if length else size
        try:
            check_free_space(part.parent, (total or 0) - start, f"download {part.stem}")
        except OSError as error:
            raise DownloadError(str(error)) from error
        with part.open("ab" if resumed else "wb") as file:
            for chunk in _with_progress(response, part.stem, start, total):
                file.write(chunk)
    if length and part.stat().st_size != total:
        raise http.client.IncompleteRead(b"", total)


def _with_progress(response: Response, label: str, start: int, total: int | None) -> Iterator[bytes]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(f"Downloading {label}", total=total, completed=start)
        while chunk := response.read(_CHUNK_BYTES):
            progress.advance(task, len(chunk))
            yield chunk
