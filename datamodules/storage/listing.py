"""Which files of a folder are clips: links are followed once, hidden files are none, what is left out is told."""

import os
import warnings
from collections import Counter, deque
from collections.abc import Collection
from pathlib import Path


def files_of(folder: Path, endings: Collection[str]) -> list[Path]:
    """The files of a folder and its sub-folders that end in one of `endings`, sorted by path.

    Links to folders are followed, each folder once: where it lies, if that is below `folder`, else at its first link.
    Names that begin with "." are ignored, such as the `._clip.mp4` that macOS leaves on other systems' disks. One
    warning counts the files of other endings, the links that lead nowhere and those to a folder that is there already.

    Args:
        folder: an existing folder.
        endings: in lower case, with the dot.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    twice: list[Path] = []
    seen: set[str] = set()
    waiting = deque([folder])
    while waiting:
        links: list[Path] = []
        start = waiting.popleft()
        if os.path.realpath(start) in seen:
            twice.append(start)
            continue
        for place, names, files in os.walk(start):
            names[:] = sorted(name for name in names if not name.startswith("."))
            seen.add(os.path.realpath(place))
            links += [Path(place, name) for name in names if Path(place, name).is_symlink()]
            for path in (Path(place, name) for name in files if not name.startswith(".")):
                if not path.is_file():
                    others["links that lead nowhere" if path.is_symlink() else "special files"] += 1
                elif path.suffix.lower() in endings:
                    found.append(path)
                else:
                    others[path.suffix or "without an ending"] += 1
        waiting += links
    left = [f"{count} {kind}" for kind, count in sorted(others.items())]
    left += [f"{path.relative_to(folder)}, a link to a folder that is read already" for path in twice]
    if left:
        count = others.total() + len(twice)
        warnings.warn(f"{count} of the files in {folder} were left out: {'; '.join(left)}.", stacklevel=2)
    return sorted(found)
