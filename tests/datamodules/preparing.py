"""What the tests of published data sets share: the real command, and films to put into archives."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import benchmarks
from datamodules.video import write_video


def run(*words: str) -> int:
    """The exit code of `benchmarks WORDS`."""
    with pytest.raises(SystemExit) as end:
        benchmarks(list(words))
    return int(end.value.code or 0)


def film(path: Path, grey: int, frames: int = 8, rate: float = 25.0) -> Path:
    """A small film of one grey."""
    write_video(path, np.full((frames, 3, 12, 16), grey, dtype=np.uint8), rate)
    return path
