"""Provenance: which code, commit and package versions a number comes from. Imports no torch."""

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("lightning_modules", "datamodules", "baselines", "benchmarks")
"""The packages whose files make the numbers."""

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: the checkout, or site-packages."""

_CLERKS = frozenset(
    f"benchmarks/{name}.py"
    for name in (
        "cli",
        "config/__init__",
        "config/errors",
        "gallery",
        "loggers/__init__",
        "loggers/csv_log",
        "loggers/progress",
        "loggers/progress_bar",
        "loggers/records",
        "loggers/results",
        "pretrained/__init__",
        "pretrained/download",
        "records/clip_scores",
        "records/__init__",
        "records/provenance",
        "records/record",
        "records/source_tree",
        "utils/__init__",
        "utils/arrays",
        "utils/errors",
        "utils/io",
    )
)
"""What names, shows and files the numbers but cannot change them: an edit there makes no record stale."""

_DISTRIBUTIONS = ("chronoreel", "torch", "torchvision", "lightning", "torchmetrics", "torchdiffeq", "torchsde", "numpy",
                  "scipy", "av")  # fmt: skip


def imported_files(root: Path = ROOT) -> list[str]:
    """The project files that this process has imported, relative to `root`, sorted."""
    found = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] in PACKAGES and Path(file).resolve().is_relative_to(root):
            found.add(Path(file).resolve().relative_to(root).as_posix())
    return sorted(found - _CLERKS)


def code_hash(files: Iterable[str], root: Path = ROOT) -> str:
    """The sha256 over paths and contents of `files`; a missing file counts as one with nothing in it.

    Line endings are read as one, so that a checkout on Windows agrees with one on Linux.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        path = root / name
        content = path.read_bytes().replace(b"\r\n", b"\n") if path.is_file() else b""
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def git_state(root: Path = ROOT) -> tuple[str | None, bool]:
    """The commit of the checkout and whether its code or configs differ from it; (None, False) outside a checkout."""
    watched = [*PACKAGES, "configs", "pyproject.toml", ":(exclude)benchmarks/results"]
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != root:
            return None, False  # installed into an environment that lies inside somebody's own checkout
        return _git(root, "rev-parse", "HEAD"), bool(_git(root, "status", "--porcelain", "--", *watched))
    except (OSError, subprocess.CalledProcessError):
        return None, False


def package_versions() -> dict[str, str]:
    """Python's version and those of the packages that numbers depend on."""
    versions = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that was never installed
            continue
    return versions


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
