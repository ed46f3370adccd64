"""`benchmarks evaluate`: scores a folder of videos of any model with the metrics of the suite."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.commands.compare import EVALUATION
from benchmarks.config.bounded_yaml import read_yaml_text
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
"""Compared frames of each clip by default."""
FEWEST = 10
"""Clips per side that a distribution metric needs: its jackknife leaves out a tenth of them at a time."""

DEFAULTS = {False: ["fvd"], True: ["mse", "psnr_frames", "ssim", "lpips_alex"]}
"""Default metrics, without and with `--paired`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    kinds = "a folder of videos (mp4, avi, mkv, mov, gif, mpg, webm; .npy, .npz), or one .npy or .npz"
    parser.add_argument("--generated", required=True, type=Path, metavar="PATH", help=f"clips to score: {kinds}")
    parser.add_argument("--reference", required=True, type=Path, metavar="PATH", help="the real clips, likewise")
    parser.add_argument("--paired", action="store_true", help="compare clips of equal names, frame by frame")
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"distribution metrics: {', '.join(SETS)}; with --paired also {', '.join(PAIRED)}; or another metric by "
        "class path, as `{class_path: ..., init_args: {...}}`, or as a .yaml file with that (default: "
        f"{' '.join(DEFAULTS[False])}; with --paired {' '.join(DEFAULTS[True])})",
    )
    parser.add_argument(
        "--frames", type=int, help=f"number of first frames of each clip to compare (default: {FRAMES})"
    )
    parser.add_argument(
        "--clips", type=int, help="number of clips per side, evenly spaced over the names (default: all)"
    )
    parser.add_argument("--size", type=int, help="crop and resize clips to squares of this size (default: unchanged)")
    parser.add_argument("--fps", type=float, help="resample video files to this frame rate")
    parser.add_argument(
        "--sources",
        metavar="PATTERN",
        help="a regular expression whose first group, in a reference clip's name, is the person or film that the clip "
        "is cut from, as '^(person\\d+)': intervals resample these (default: every clip is a source of its own)",
    )
    parser.add_argument(
        "--gates",
        action="store_true",
        help="also score half of the reference, and noise, against the other half; code 2 if a metric does not "
        "separate them",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers here, for `benchmarks compare`")
    parser.add_argument("--device", default="auto", help="cpu or cuda (default: cuda if there is one)")


def main(args: argparse.Namespace) -> int:
    """Find the clips, measure, print one line per metric; returns 1 if every metric is n/a."""
    names = list(dict.fromkeys(args.metrics or DEFAULTS[args.paired]))
    configs = {name: metric_config(name) for name in names}
    for option in ("frames", "clips", "size", "fps"):
        value = getattr(args, option)
        if value is not None and not value > 0:
            raise UserError(f"--{option} must be positive; got {value:g}.")
    if args.json is not None and args.json.suffix != ".json":
        raise UserError(f"--json must name a file that ends in .json; got '{args.json.name}'.")
    from benchmarks.evaluation.folder import FolderEvaluation, Reading
    from benchmarks.evaluation.video_files import content_of, find_clips, sources_of

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
    sources = sources_of(reference, args.sources)
    evaluation = FolderEvaluation(generated, reference, reading, sources, _device(args.device))
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
            f"{' and '.join(failed)} cannot separate the reference from noise, so the numbers above are meaningless. "
            "Check the reference clips, or give more of them."
        )
    return 0 if any(entry.value is not None for entry in results.values()) else 1


def _check_names(generated: "list[ClipFile]", reference: "list[ClipFile]", args: argparse.Namespace) -> None:
    """Raise unless every name is on both sides."""
    mine, real = ({clip.name for clip in clips} for clips in (generated, reference))
    for path, missing in ((args.generated, real - mine), (args.reference, mine - real)):
        if missing:
            raise UserError(
                f"With --paired each clip needs one of the same name on the other side; {path} lacks {len(missing)}: "
                f"{', '.join(sorted(missing)[:4])}{', ...' if len(missing) > 4 else ''}."
            )


def _chosen(clips: "list[ClipFile]", number: int) -> "list[ClipFile]":
    """`number` of the clips, evenly spaced."""
    return [clips[index * len(clips) // number] for index in range(number)]


def _number(generated: int, reference: int, args: argparse.Namespace, least: int) -> int:
    """The number of compared clips per side: --clips, or as many as both sides have."""
    number = args.clips or min(generated, reference)
    for path, count in ((args.generated, generated), (args.reference, reference)):
        if count < number:
            raise UserError(f"--clips is {number}, {path} has {count}. Lower --clips, or give more clips.")
    if number < least:
        raise UserError(
            f"A distribution metric needs at least {least} clips per side, and hundreds to be reliable; here {number} "
            f"are compared: {args.generated} has {generated}, {args.reference} has {reference}. Give more clips, or "
            "compare them one by one with --paired."
        )
    return number


def metric_config(name: str) -> dict[str, Any]:
    """The configuration of a metric given as a short name, a class path, a file, or YAML."""
    if name in SETS or name in PAIRED:
        return {**SETS, **PAIRED}[name]
    if is_config_file(name):
        return read_config(Path(name))
    try:
        config = read_yaml_text(name) if name.lstrip().startswith("{") else {"class_path": name}
    except yaml.YAMLError as error:
        raise UserError(f"A metric is a name or YAML; got '{name[:80]}': {error}.") from error
    config = full_class_paths(config)
    if "." not in config.get("class_path", ""):
        raise unknown_name_error("metric", name, [*SETS, *PAIRED])
    return dict(config)


def build_metric(config: Mapping[str, Any], frames: int, clips: int) -> Any:
    """The metric of a configuration; a distribution metric gets its frames and clips as arguments."""
    from benchmarks.metrics.base import ClipMetric

    if _compares_sets(config):
        config = {**config, "init_args": {**(config.get("init_args") or {}), "frames": frames, "clips": clips}}
    return build(ClipMetric, config, config["class_path"].rpartition(".")[2])  # type: ignore[type-abstract]


def _compares_sets(config: Mapping[str, Any]) -> bool:
    """Whether a metric compares two distributions of clips, not each clip with its target."""
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
    from benchmarks.metrics.jackknife import FEWEST_SOURCES as JACKKNIFE_SOURCES
    from benchmarks.utils.by_source import FEWEST_SOURCES

    for name, entry in results.items():
        if entry.value is None:
            print(f"{name}: n/a ({entry.reason})")
            continue
        low_high = f" [{entry.interval[0]:.5g}, {entry.interval[1]:.5g}]" if entry.interval else " [n/a]"
        better = "higher" if entry.higher_is_better else "lower"
        count = f"n = {entry.n} of {entry.sources} source{'s' if entry.sources != 1 else ''}"
        print(f"{name}: {entry.value:.5g}{low_high}  {count}  ({better} is better)")
    print(
        f"protocol {protocol}, reference {data}; intervals are 95 % over sources, of which a mean needs "
        f"{FEWEST_SOURCES} and a distance of sets {JACKKNIFE_SOURCES}"
    )
    for note in notes:
        print(note)


def _device(name: str) -> str:
    import torch

    if name != "auto":
        here = ["cpu", *["cuda"] * torch.cuda.is_available()]
        if name.partition(":")[0] not in here:
            raise UserError(f"--device must be auto or available here, {', '.join(here)}; got {name}.")
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"  # SSIM and the Fréchet distance need float64, which mps lacks
