"""`benchmarks evaluate`: scores any folder of videos, made by any model, with the metrics that the suite uses."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.commands.compare import EVALUATION
from benchmarks.config.build import build
from benchmarks.config.resolve import full_class_paths, is_config_file, read_config
from benchmarks.metrics.names import PAIRED, SETS
from benchmarks.records.clip_scores import write_per_clip
from benchmarks.records.parts import Measurement, Protocol
from benchmarks.records.provenance import package_versions
from benchmarks.utils.errors import UserError, unknown_name_error
from benchmarks.utils.hashing import content_hash, plain, slug
from datamodules.files import write_text

if TYPE_CHECKING:
    from benchmarks.evaluation.video_files import ClipFile

FRAMES = 16
"""How many frames of each clip are compared if nobody says."""
FEWEST = 10
"""Clips of either side that a metric of sets needs: its interval leaves out a tenth of them at a time."""

DEFAULTS = {False: ["fvd"], True: ["mse", "psnr_frames", "ssim", "lpips_alex"]}
"""What is measured if nobody says: without and with `--paired`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    kinds = "a folder of videos (mp4, avi, mkv, mov, gif, mpg, webm; .npy, .npz), or one .npy or .npz"
    parser.add_argument("--generated", required=True, type=Path, metavar="PLACE", help=f"what is scored: {kinds}")
    parser.add_argument("--reference", required=True, type=Path, metavar="PLACE", help="the real clips, likewise")
    parser.add_argument("--paired", action="store_true", help="compare clips of one name, frame by frame")
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"of sets: {', '.join(SETS)}; with --paired also {', '.join(PAIRED)}; or the class path of any other, "
        "alone, or as `{class_path: ..., init_args: {...}}`, or a .yaml file with that (default: "
        f"{' '.join(DEFAULTS[False])}; with --paired {' '.join(DEFAULTS[True])})",
    )
    parser.add_argument("--frames", type=int, help=f"compare the first so many frames of each clip (default: {FRAMES})")
    parser.add_argument("--clips", type=int, help="compare so many clips of either side, spread evenly over the names")
    parser.add_argument("--size", type=int, help="cut clips to squares of so many pixels (default: as they are)")
    parser.add_argument("--fps", type=float, help="resample video files to so many frames per second")
    parser.add_argument(
        "--gates",
        action="store_true",
        help="measure one half of the reference, and noise, against its other half too; code 2 if a metric does not "
        "tell them apart",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers here, for `benchmarks compare`")
    parser.add_argument("--device", default="auto", help="cpu or cuda (default: cuda if there is one)")


def main(args: argparse.Namespace) -> int:
    """Find the clips, measure, print a line for each metric; returns 1 if nothing could be measured."""
    names = list(dict.fromkeys(args.metrics or DEFAULTS[args.paired]))
    configs = {name: metric_config(name) for name in names}
    for option in ("frames", "clips", "size", "fps"):
        value = getattr(args, option)
        if value is not None and not value > 0:
            raise UserError(f"--{option} must be positive; got {value:g}.")
    if args.json is not None and args.json.suffix != ".json":
        raise UserError(f"--json must name a file that ends in .json; got '{args.json.name}'.")
    from benchmarks.evaluation.folder import FolderEvaluation, Reading
    from benchmarks.evaluation.video_files import content_of, find_clips

    compared = [name for name in names if _compares_sets(configs[name])]
    for name in names:
        if name not in compared and not args.paired:
            raise UserError(f"'{name}' compares each clip with its target: give --paired, and files of equal names.")
    generated, reference = find_clips(args.generated), find_clips(args.reference)
    if args.paired:
        _check_names(generated, reference, args)
    least = (2 if args.gates else 1) * FEWEST if compared else 1
    number = _number(len(generated), len(reference), args, least)
    generated, reference = _chosen(generated, number), _chosen(reference, number)
    reading = Reading(args.frames or FRAMES, args.size, args.fps)
    evaluation = FolderEvaluation(generated, reference, reading, _device(args.device))
    metrics = [build_metric(configs[name], reading.frames, number) for name in names]
    results = evaluation.measure(metrics)
    half = number // 2
    gated = [
        name
        for name, metric in zip(names, metrics, strict=True)
        if args.gates and len(getattr(metric, "sides", ())) > 1
    ]
    halves = [build_metric(configs[name], reading.frames, half) for name in gated]
    gates = evaluation.gates(halves, half)
    way = "paired" if args.paired else "unpaired"
    settings = {
        **asdict(reading),
        "first_frames": True,
        "n": number,
        "paired": args.paired,
        "metrics": {metric.name: metric.protocol for metric in metrics},
    }
    protocol = Protocol.create(f"evaluate-{way}-{number}x{reading.frames}f", settings)
    data = f"{slug(args.reference.stem)}-{content_hash(content_of(reference))[:8]}"
    _show(results, protocol.id, data, [*map(str, gates.values()), *evaluation.notes])
    if args.json is not None:
        content = {
            "kind": EVALUATION,
            "version": 1,
            "generated": f"{slug(args.generated.stem)}-{content_hash(content_of(generated))[:8]}",
            "data": data,
            "protocol": asdict(protocol),
            "metrics": {name: asdict(entry) for name, entry in results.items()},
            **({"gates": {name: asdict(gate) for name, gate in gates.items()}} if gates else {}),
            "versions": package_versions(),
        }
        write_text(args.json, json.dumps(plain(content), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        write_per_clip(args.json, evaluation.per_clip)
    if failed := [name for name, gate in gates.items() if not gate.passed]:
        raise UserError(
            f"{' and '.join(failed)} hardly tell the reference from noise, so the numbers above mean nothing. "
            "Look at the reference clips, and give more of them."
        )
    return 0 if any(entry.value is not None for entry in results.values()) else 1


def _check_names(generated: "list[ClipFile]", reference: "list[ClipFile]", args: argparse.Namespace) -> None:
    """Raise unless each clip has its namesake."""
    mine, real = ({clip.name for clip in clips} for clips in (generated, reference))
    for place, lacking in ((args.generated, real - mine), (args.reference, mine - real)):
        if lacking:
            raise UserError(
                f"With --paired each clip needs one of its name on the other side; {place} lacks {len(lacking)}: "
                f"{', '.join(sorted(lacking)[:4])}{', ...' if len(lacking) > 4 else ''}."
            )


def _chosen(clips: "list[ClipFile]", number: int) -> "list[ClipFile]":
    """So many, spread evenly."""
    return [clips[index * len(clips) // number] for index in range(number)]


def _number(generated: int, reference: int, args: argparse.Namespace, least: int) -> int:
    """How many clips of either side are compared: as many as asked, or as many as both have."""
    number = args.clips or min(generated, reference)
    for place, count in ((args.generated, generated), (args.reference, reference)):
        if count < number:
            raise UserError(f"--clips asks for {number}, {place} has {count}. Lower --clips, or make more clips.")
    if number < least:
        raise UserError(
            f"A metric of sets needs {least} clips of either side at least, and hundreds to mean much; here {number} "
            f"are compared: {args.generated} has {generated}, {args.reference} has {reference}. Give more clips, or "
            "compare them one by one with --paired."
        )
    return number


def metric_config(name: str) -> dict[str, Any]:
    """The configuration of a metric that was named: by a short name, a class path, a file, or outright as YAML."""
    if name in SETS or name in PAIRED:
        return {**SETS, **PAIRED}[name]
    if is_config_file(name):
        return read_config(Path(name))
    config = yaml.safe_load(name) if name.lstrip().startswith("{") else {"class_path": name}
    config = full_class_paths(config)
    if "." not in config.get("class_path", ""):
        raise unknown_name_error("metric", name, [*SETS, *PAIRED])
    return dict(config)


def build_metric(config: Mapping[str, Any], frames: int, clips: int) -> Any:
    """The metric that a configuration describes; one of sets has its frames and clips in its own name."""
    from benchmarks.metrics.base import ClipMetric

    if _compares_sets(config):
        config = {**config, "init_args": {**(config.get("init_args") or {}), "frames": frames, "clips": clips}}
    return build(ClipMetric, config, config["class_path"].rpartition(".")[2])  # type: ignore[type-abstract]


def _compares_sets(config: Mapping[str, Any]) -> bool:
    """Whether a metric compares two sets of clips, not each clip with its target."""
    from benchmarks.config.signatures import class_named
    from benchmarks.metrics.base import ClipMetric
    from benchmarks.metrics.distribution import DistributionMetric
    from benchmarks.metrics.reference import ReferenceMetric

    cls = class_named(config["class_path"], (ClipMetric,))
    if not issubclass(cls, DistributionMetric | ReferenceMetric):
        raise UserError(
            f"{cls.__name__} is neither a {DistributionMetric.__name__} nor a {ReferenceMetric.__name__}: it cannot "
            "score videos alone."
        )
    return issubclass(cls, DistributionMetric)


def _show(results: dict[str, Measurement], protocol: str, data: str, notes: Sequence[str]) -> None:
    for name, entry in results.items():
        if entry.value is None:
            print(f"{name}: — ({entry.reason})")
            continue
        low_high = f" [{entry.interval[0]:.5g}, {entry.interval[1]:.5g}]" if entry.interval else ""
        better = "higher" if entry.higher_is_better else "lower"
        print(f"{name}: {entry.value:.5g}{low_high}  n = {entry.n}  ({better} is better)")
    print(f"protocol {protocol}, reference {data}; intervals are 95 %")
    for note in notes:
        print(note)


def _device(name: str) -> str:
    import torch

    if name != "auto":
        here = ["cpu", *["cuda"] * torch.cuda.is_available()]
        if name.partition(":")[0] not in here:
            raise UserError(f"--device must be auto or one of those that are here, {', '.join(here)}; got {name}.")
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"  # SSIM and the Fréchet distance need float64, which mps lacks
