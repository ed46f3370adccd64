"""Archives as their owners publish them: found, fetched (and resumed), unpacked; or what to request."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import UserError

ENDINGS = ("", ".zip", ".rar", ".tar", ".tar.gz", ".tgz", ".txt", ".nc", ".npz")
"""How an archive `x` may lie there: as a folder (or file) `x` that is already unpacked, or packed."""


class Archive(NamedTuple):
    """One thing that the owner publishes."""

    name: str
    """Without its ending: `walking` is found as the folder walking/ or as walking.zip, .rar, .tar, .tar.gz, ..."""
    url: str = ""
    """Where it is to be had without asking; empty where a licence must be signed or there is no direct address."""
    sha256: str = ""
    """Empty where the owner publishes none; then the first one seen here is noted beside the file and kept to."""


class MissingData(UserError):
    """What a data set is made of is not there; says what was found, what to request and where to put it."""


def find(
    folder: Path, wanted: Sequence[Archive], *, request: str, optional: Sequence[Archive] = (), download: bool = True
) -> dict[str, Path]:
    """Where the archives are; those with an address are fetched if they are missing.

    Args:
        folder: where they should lie.
        wanted: all of these must be had.
        request: how a person gets the data, one or two sentences.
        optional: these are named if they lie there, and never fetched.
        download: False fetches nothing.

    Raises:
        MissingData: if a wanted one is neither there nor to be fetched.
    """
    found: dict[str, Path] = {}
    missing: list[str] = []
    for archive in (*wanted, *optional):
        path = _find_archive(folder, archive.name)
        if path is None and archive in wanted:
            if archive.url and download:
                try:
                    path = fetch(archive.url, folder / archive.url.rpartition("/")[2], archive.sha256)
                except OSError as error:
                    missing.append(f"{archive.name} (from {archive.url}: {error})")
                    continue
            else:
                missing.append(archive.name + (f" (from {archive.url})" if archive.url else ""))
                continue
        if path is not None:
            found[archive.name] = path
    if missing:
        there = ", ".join(sorted(path.name for path in found.values())) or "nothing"
        raise MissingData(
            f"{folder} must hold {len(wanted)} archives or folders. Found: {there}. Missing: {', '.join(missing)}. "
            f"{request} Put them there as they come, packed or unpacked, and prepare again."
        )
    return found


def fetch(url: str, path: Path, sha256: str = "") -> Path:
    """Fetch a file whole or not at all; what an interrupted download left in `<path>.part` is gone on with.

    Raises:
        OSError: if it cannot be had, ends early, there is no room for it, or its sha256 is another one.
    """
    from rich.progress import Progress

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(asked, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to ask for
            raise
    else:
        with response:
            have = have if response.status == 206 else 0
            length = int(response.headers.get("Content-Length") or 0)
            check_free_space(path.parent, length, f"download {path.name}")
            with part.open("ab" if have else "wb") as file, Progress(transient=True) as progress:
                task = progress.add_task(path.name, total=have + length or None, completed=have)
                while block := response.read(1 << 20):
                    file.write(block)
                    progress.advance(task, len(block))
        if length and part.stat().st_size != have + length:
            raise OSError(f"it ended after {part.stat().st_size} of {have + length} bytes; prepare again to go on")
    if sha256 and file_sha256(part) != sha256:
        part.unlink()
        raise OSError(f"its sha256 is not {sha256}, so it was deleted")
    os.replace(part, path)
    return path


def check_free_space(folder: Path, needed: int, what: str) -> None:
    """Raise an OSError that says how much room is missing if `needed` bytes do not fit where `folder` is."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"To {what}, {needed / 1e9:.2f} GB must be free in {folder}, but only {free / 1e9:.2f} GB are. "
            "Make room, or set CHRONOREEL_DATA to another disk."
        )


def check_recorded_sha256(path: Path) -> str | None:
    """Note an archive's sha256 in `<path>.sha256` the first time; later, what is wrong if it has another one."""
    if path.is_dir():
        return None
    note, digest = path.with_name(path.name + ".sha256"), file_sha256(path)
    if not note.exists():
        note.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        return None
    noted = note.read_text(encoding="utf-8").split()[0]
    return None if noted == digest else f"{path} has sha256 {digest}, but {note.name} noted {noted}. Fetch it again."


@contextmanager
def unpacked(paths: dict[str, Path]) -> Iterator[dict[str, Path]]:
    """The folders with the content of each archive; unpacked beside it for as long as the block runs.

    Raises:
        MissingData: if a tool that reads the format is not installed, or the archive is broken.
        OSError: if there is no room.
    """
    with ExitStack() as stack:
        folders = {}
        for name, path in paths.items():
            if path.is_dir() or path.suffix in (".txt", ".nc", ".npz"):
                folders[name] = path
                continue
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-"))
            folders[name] = Path(folder)
            try:
                _unpack(path, Path(folder))
            except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
                raise MissingData(f"{path} cannot be unpacked ({error}). Fetch it again.") from error
        yield folders


def file_sha256(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_archive(folder: Path, name: str) -> Path | None:
    return next((path for ending in ENDINGS if (path := folder / f"{name}{ending}").exists()), None)


def _unpack(path: Path, folder: Path) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            check_free_space(folder, sum(member.file_size for member in packed.infolist()), f"unpack {path.name}")
            packed.extractall(folder)
    elif path.suffix == ".rar":
        _unpack_rar(path, folder)
    else:
        check_free_space(
            folder, path.stat().st_size * (2 if path.suffix in (".gz", ".tgz") else 1), f"unpack {path.name}"
        )
        with tarfile.open(path) as tar:
            tar.extractall(folder, filter="data")


def _unpack_rar(path: Path, folder: Path) -> None:
    """By rarfile, which needs unrar, bsdtar or 7z for compressed members and none of them for stored ones."""
    try:
        import rarfile
    except ImportError as error:
        raise MissingData(f"{path.name} is read with rarfile: pip install 'chronoreel[data]'.") from error
    try:
        with rarfile.RarFile(path) as packed:
            check_free_space(folder, sum(member.file_size for member in packed.infolist()), f"unpack {path.name}")
            packed.extractall(folder)
    except rarfile.RarCannotExec:
        if shutil.which("bsdtar") is None:
            raise MissingData(
                f"{path.name} is compressed and no program here unpacks it. Install unrar or bsdtar (Debian: "
                "libarchive-tools), or unpack it yourself and leave the folder beside it."
            ) from None
        subprocess.run(["bsdtar", "-xf", str(path), "-C", str(folder)], check=True)
    except rarfile.Error as error:
        raise MissingData(f"{path} cannot be unpacked ({error}). Fetch it again.") from error
