"""Archives as their owners publish them: finding, downloading and unpacking them, or saying what to request."""

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import UserError
from datamodules.files import write_text
from datamodules.storage.download import DownloadError, check_free_space, download, file_sha256

ENDINGS = ("", ".zip", ".rar", ".tar", ".tar.gz", ".tgz", ".txt", ".nc", ".npz")
"""The forms of an archive `x`: an unpacked folder (or file) `x`, or a packed file with one of these suffixes."""


class Archive(NamedTuple):
    """One archive, file or folder that the owner publishes."""

    name: str
    """Without suffix: `walking` is found as the folder walking/ or as walking.zip, .rar, .tar, .tar.gz, ..."""
    url: str = ""
    """The address of a public download; empty where a licence must be signed or there is no direct address."""
    sha256: str = ""
    """Empty where the owner publishes none; then it is recorded beside the file on first use and checked later."""


class MissingData(UserError):
    """A data set's files are missing; the message says what was found, what to request and where to put it."""


def find(
    folder: Path,
    wanted: Sequence[Archive],
    *,
    request: str,
    optional: Sequence[Archive] = (),
    may_download: bool = True,
) -> dict[str, Path]:
    """The paths of the archives by name; missing ones with an address are downloaded.

    Args:
        folder: where the archives are expected.
        wanted: required archives.
        request: how a user gets the data, one or two sentences.
        optional: archives that are returned if they are present, and never downloaded.
        may_download: False downloads nothing.

    Raises:
        MissingData: if a required archive is neither present nor downloadable.
    """
    found: dict[str, Path] = {}
    missing: list[str] = []
    for archive in (*wanted, *optional):
        path = _find_archive(folder, archive.name)
        if path is None and archive in wanted:
            if archive.url and may_download:
                path = folder / archive.url.rpartition("/")[2]
                try:
                    download(archive.url, path, sha256=archive.sha256 or None)
                except DownloadError as error:
                    missing.append(f"{archive.name} ({error})")
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
            f"{request} Put them there, packed or unpacked, and prepare again."
        )
    return found


def check_recorded_sha256(path: Path) -> str | None:
    """Record an archive's sha256 in `<path>.sha256` on first use; later, a sentence if it has changed, else None."""
    if path.is_dir():
        return None
    note, digest = path.with_name(path.name + ".sha256"), file_sha256(path)
    if not note.exists():
        write_text(note, f"{digest}  {path.name}\n")
        return None
    noted = note.read_text(encoding="utf-8").split()[0]
    return None if noted == digest else f"{path} has sha256 {digest}, but {note.name} noted {noted}. Fetch it again."


@contextmanager
def unpacked(paths: dict[str, Path]) -> Iterator[dict[str, Path]]:
    """The folder with the content of each archive, by name; unpacked beside the archive, deleted after the block.

    Raises:
        MissingData: if a tool that reads the format is not installed, or the archive is damaged.
        OSError: if the disk is too small.
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
                raise MissingData(f"{path} cannot be unpacked ({error}). Download it again.") from error
        yield folders


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
    """Unpack with rarfile, which needs unrar, bsdtar or 7z for compressed members, and none for stored ones."""
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
                f"{path.name} is compressed and no installed program unpacks it. Install unrar or bsdtar (Debian: "
                "libarchive-tools), or unpack it yourself and put the folder beside it."
            ) from None
        subprocess.run(["bsdtar", "-xf", str(path), "-C", str(folder)], check=True)
    except rarfile.Error as error:
        raise MissingData(f"{path} cannot be unpacked ({error}). Download it again.") from error
