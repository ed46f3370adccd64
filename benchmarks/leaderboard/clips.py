"""The page's clips: targets and predictions at several times the frame rate, as contact sheets that the page plays."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.config.resolve import read_yaml
from benchmarks.utils.errors import UserError, unknown_name_error
from benchmarks.utils.hashing import slug
from datamodules.files import write_text

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8
    from torch import Tensor

    from datamodules.base.clip_source import Source

INDEX = "clips.json"
"""Lists the sheets and describes their content."""

_KEYS = ("title", "data", "finer_data", "task", "frames", "finer", "clips", "rows")


def render(spec: Path, folder: Path) -> list[Path]:
    """Render what a file describes: a sheet (lossless WebP) per clip and row, and the index, written last.

    Each gallery names a `data` file, a `task` (`class_path`, `init_args`), how many `frames` of each test clip the task
    uses, the factor `finer` between the frame rate of the predictions and the data's, the `clips` and the `rows`: a
    `label` with a `checkpoint`, or with a `model` that needs none. `finer_data` are options that give the data at the
    finer times; without them each target frame is held until the next.

    Raises:
        UserError: when the file names something that does not exist.
    """
    galleries, written = [], []
    asked = read_yaml(spec).get("galleries") or []
    if not isinstance(asked, list) or not all(isinstance(gallery, dict) for gallery in asked):
        raise UserError(
            f"`galleries` in {spec} must be a list of galleries. See benchmarks/leaderboard/page/clips.yaml."
        )
    for gallery in asked:
        _check(gallery)
    for number, gallery in enumerate(asked):
        entry, sheets = _gallery(gallery, number)
        for name, sheet in sheets.items():
            written.append(_write_sheet(sheet, folder / name))
        galleries.append(entry)
    if not written:
        raise UserError(f"{spec} names no clips. See benchmarks/leaderboard/page/clips.yaml for the format.")
    for old in set(folder.glob("*.webp")) - set(written):
        old.unlink()
    write_text(folder / INDEX, json.dumps({"galleries": galleries}, indent=1, ensure_ascii=False) + "\n")
    return written


def _check(gallery: Mapping[str, Any]) -> None:
    for key in gallery:
        if key not in _KEYS:
            raise unknown_name_error("key of a gallery", key, _KEYS)
    title = gallery.get("title", "without a title")
    for key in _KEYS:
        if key not in gallery and key != "finer_data":
            raise UserError(f"The gallery '{title}' lacks the key '{key}'. See benchmarks/leaderboard/page/clips.yaml.")
    for key, kind, rule in (
        ("frames", int, "a whole number"),
        ("finer", int, "a whole number"),
        ("clips", list, "a list of whole numbers"),
        ("rows", list, "a list of rows"),
        ("task", dict, "`{class_path: ..., init_args: {...}}`"),
    ):
        if not isinstance(gallery[key], kind):
            raise UserError(f"`{key}` of the gallery '{title}' must be {rule}; got {gallery[key]!r}.")
    if gallery["frames"] < 2 or gallery["finer"] < 1:
        raise UserError(
            f"The gallery '{title}' needs at least 2 `frames`, and `finer` at least 1; got {gallery['frames']} and "
            f"{gallery['finer']}."
        )
    for row in gallery["rows"]:
        if not isinstance(row, dict) or "label" not in row or ("checkpoint" in row) == ("model" in row):
            raise UserError(
                f"A row of the gallery '{title}' needs a `label` and either a `checkpoint` or a `model`; got {row!r}."
            )


def _gallery(gallery: Mapping[str, Any], number: int) -> tuple[dict[str, Any], dict[str, "UInt8[Tensor, 't c h w']"]]:
    """The gallery's entry in the index, and its sheets by file name."""
    import torch

    from benchmarks.config.build import build, build_data, find_data
    from benchmarks.evaluation import tasks

    task = build(tasks.Task, gallery["task"], f"the task of the gallery '{gallery['title']}'")  # type: ignore[type-abstract]
    systems = {row["label"]: _system(row) for row in gallery["rows"]}
    data = build_data(find_data(gallery["data"]))
    data.prepare_data()
    source, finer = data.source("test"), int(gallery["finer"])
    fine_source = None
    if "finer_data" in gallery:
        fine_data = build_data(find_data(gallery["data"]), gallery["finer_data"])
        fine_data.prepare_data()
        fine_source = fine_data.source("test")
    count = int(gallery["frames"])
    observed = task.mask(count)
    clips, sheets = [], {}
    rate = 1.0
    for clip in gallery["clips"]:
        if not (isinstance(clip, int) and 0 <= clip < len(source)):
            raise UserError(f"There is no clip {clip} in the test split: it has {len(source)}, from 0.")
        if len(source.times(clip)) < count:
            raise UserError(f"Clip {clip} has {len(source.times(clip))} frames; `frames` asks for {count}.")
        times = torch.from_numpy(source.times(clip)[:count])
        rate = (count - 1) / float(times[-1])
        steps = torch.arange((count - 1) * finer + 1)
        fine = times[0] + steps.double() / (rate * finer)
        known = torch.zeros(len(steps), dtype=torch.bool)
        known[::finer] = observed
        if isinstance(task, tasks.Predict):  # nothing is predicted between observed frames: each is held
            known[: int(observed.nonzero().max()) * finer + 1] = True
        clip_frames = _frames(source, clip, torch.arange(count))
        cells = [("target", _target(source, fine_source, clip, fine, finer))]
        for label, system in systems.items():
            cells.append((label, _prediction(task, system, clip_frames, times, observed, fine, known, clip, finer)))
        entries = []
        for label, frames in cells:
            file = f"{number}-{clip}-{slug(label)}.webp"
            sheets[file] = frames
            entries.append({"label": label, "file": file})
        clips.append({"name": f"clip {clip}", "cells": entries})
    entry = {
        "title": gallery["title"],
        "task": task.name,
        "rate": round(rate, 6),
        "finer": finer,
        "frames": count,
        "observed": observed.int().tolist(),
        "columns": _columns((count - 1) * finer + 1),
        "size": list(next(iter(sheets.values())).shape[-2:]),
        "clips": clips,
    }
    return entry, sheets


def _prediction(
    task: Any,
    system: Any,
    frames: "Float[Tensor, 'time channel height width']",
    times: "Float[Tensor, ' time']",
    observed: "Tensor",
    fine: "Float[Tensor, ' fine']",
    known: "Tensor",
    clip: int,
    finer: int,
) -> "UInt8[Tensor, 'fine channel height width']":
    """The observed frames, each held, and the predicted ones, at every fine time."""
    import torch

    from benchmarks.utils.pixels import to_pixels
    from datamodules.clip import VideoClip

    if not task.supported_by(system):
        raise UserError(f"{type(system).__name__} does not answer the task '{task.name}'; leave it out of the gallery.")
    context = VideoClip(frames[observed][None], times[observed][None].float())
    capability = getattr(system, task.capability, None) or system.interpolate  # Inbetween runs with either capability
    with torch.inference_mode():
        prediction = capability(context, fine[~known][None].float(), seeds=torch.tensor([clip]))
    held = torch.arange(len(fine)) // finer
    shown = frames[held]
    shown[~known] = prediction.frames[0]
    return to_pixels(shown)


def _target(
    source: "Source", fine_source: "Source | None", clip: int, fine: "Tensor", finer: int
) -> "UInt8[Tensor, 'fine channel height width']":
    """The clip at every fine time, or its own frames, each held until the next."""
    import torch

    from benchmarks.utils.pixels import to_pixels

    if fine_source is None:
        return to_pixels(_frames(source, clip, torch.arange(len(fine)) // finer))
    have = torch.from_numpy(fine_source.times(clip))
    if len(have) < len(fine) or not torch.allclose(have[: len(fine)], fine, atol=1e-4):
        raise UserError(f"`finer_data` does not give the clips at {len(fine)} times, {finer} for each frame of `data`.")
    return to_pixels(_frames(fine_source, clip, torch.arange(len(fine))))


def _frames(source: "Source", clip: int, positions: "Tensor") -> "Float[Tensor, 'time channel height width']":
    import numpy as np

    from benchmarks.utils.pixels import from_pixels

    return from_pixels(source.read(np.array([clip]), positions.numpy()[None])[0])


def _system(row: Mapping[str, Any]) -> Any:
    from lightning_modules.checkpoints.build import build, load

    try:
        return (load(row["checkpoint"]) if "checkpoint" in row else build(row["model"])).eval()
    except (ValueError, OSError) as error:
        raise UserError(f"The row '{row['label']}': {error}") from error


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _write_sheet(frames: "UInt8[Tensor, 't c h w']", path: Path) -> Path:
    """The frames from left to right and from top to bottom."""
    import torch
    from PIL import Image

    count, channels, height, width = frames.shape
    columns = _columns(count)
    rows = -(-count // columns)
    sheet = torch.zeros(rows * columns, channels, height, width, dtype=torch.uint8)
    sheet[:count] = frames
    sheet = sheet.reshape(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    pixels = sheet.reshape(rows * height, columns * width, channels).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels).save(path, "WEBP", lossless=True, method=6)
    return path
