"""Plotting for figures: a matplotlib canvas without a display, and files that are written atomically."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.utils.errors import UserError
from datamodules.files import atomic_path, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def canvas(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple["Canvas", Any]:
    """A figure of `size` inches (width, height) and its axes, always a two-dimensional array (rows, columns).

    Raises:
        UserError: if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise UserError("Figures need matplotlib: `pip install 'chronoreel[figures]'`.") from error
    figure = Canvas(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: "Canvas", path: Path, dots_per_inch: int = 120) -> Path:
    """Write the figure to a file, atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dots_per_inch)
    return path


def save_numbers(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write the numbers behind a figure as CSV, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path
