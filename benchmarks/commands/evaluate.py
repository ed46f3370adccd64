"""`benchmarks evaluate`: scores any folder of videos, made by any model, with the metrics that the suite uses."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.commands.compare import EVALUATION
from benchmarks.records.clip_scores import write_per_clip
from benchmarks.records.provenance import package_versions
from benchmarks.records.record import Measurement, Protocol
from benchmarks.utils.errors import UserError, unknown_name_error
from benchmarks.utils.io import content_hash, plain, slug
from datamodules.files import write_text

if TYPE_CHECKING:
    from benchmarks.evaluation.video_files import ClipFile

FRAMES = 16
"""How many frames of each clip are compared if nobody says."""
FEWEST = 10
"""Clips of either side that a metric of sets needs: its interval leaves out a tenth of them at a time."""

_FEATURES = "benchmarks.metrics.features"


class _Choice(NamedTuple):
    """A metric that can be asked for by name: its class, its settings, and the network it looks through."""

    path: str
    settings: dict[str, Any]
    network: str = ""
    network_settings: dict[str, Any] = {}  # noqa: RUF012 - read only


PAIRED = {
    "mse": _Choice("benchmarks.metrics.reference.MSE", {}),
    "psnr_frames": _Choice("benchmarks.metrics.reference.PSNR", {}),
    "psnr_pooled": _Choice("benchmarks.metrics.reference.PooledPSNR", {}),
    "ssim": _Choice("benchmarks.metrics.reference.SSIM", {}),
    "ssim_vid_ode": _Choice("benchmarks.metrics.reference.VidODESSIM", {}),
    "lpips_alex": _Choice("benchmarks.metrics.lpips.LPIPS", {"backbone": "alex"}),
    "lpips_vgg": _Choice("benchmarks.metrics.lpips.LPIPS", {"backbone": "vgg"}),
}
"""Metrics of a clip and its truth, by the name they have in records."""

_FVD, _I3D = "benchmarks.metrics.fvd.FrechetVideoDistance", f"{_FEATURES}.extractor.I3DFeatures"
_MMD, _PR = "benchmarks.metrics.mmd.MaximumMeanDiscrepancy", "benchmarks.metrics.precision_recall.PrecisionRecall"
_FID, _IS = "benchmarks.metrics.fid.FrechetInceptionDistance", "benchmarks.metrics.inception.InceptionScore"
_C3D, _UNTRAINED = f"{_FEATURES}.c3d.C3DFeatures", f"{_FEATURES}.extractor.UntrainedFeatures"
SETS = {
    "fvd": _Choice(_FVD, {}, _I3D),
    "fvd_mixed5c": _Choice(_FVD, {}, _I3D, {"output": "mixed5c"}),
    "fvd_ddof0": _Choice(_FVD, {"ddof": 0}, _I3D),
    "fvd_infinity": _Choice("benchmarks.metrics.fvd.FVDInfinity", {}, _I3D),
    "video_fid": _Choice(_FVD, {}, f"{_FEATURES}.resnext3d.ResNeXt3DFeatures"),
    "fid": _Choice(_FID, {}, f"{_FEATURES}.inception.InceptionFeatures"),
    "mmd": _Choice(_MMD, {}, _I3D),
    "mmd_mixed5c": _Choice(_MMD, {}, _I3D, {"output": "mixed5c"}),
    "precision": _Choice(_PR, {"which": "precision"}, _I3D),
    "recall": _Choice(_PR, {"which": "recall"}, _I3D),
    "is": _Choice(_IS, {}, _C3D),
    "is_real": _Choice(_IS, {"of": "truth"}, _C3D),
    "is_tgan": _Choice(_IS, {}, _C3D, {"recipe": "tgan"}),
    "is_tgan2": _Choice(_IS, {}, _C3D, {"recipe": "tgan2"}),
    "is_i3d": _Choice(_IS, {}, _I3D),
    "is_i3d_real": _Choice(_IS, {"of": "truth"}, _I3D),
    "temporal": _Choice("benchmarks.metrics.temporal.TemporalDistance", {}),
    "no_fvd": _Choice(_FVD, {}, _UNTRAINED),
    "no_fid": _Choice(_FID, {}, _UNTRAINED),
    "no_precision": _Choice(_PR, {"which": "precision"}, _UNTRAINED),
    "no_is": _Choice(_IS, {}, _UNTRAINED),
    "no_is_real": _Choice(_IS, {"of": "truth"}, _UNTRAINED),
}
"""Metrics of two sets of clips; frames, clips, network and layer are added to the name."""

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
        help=f"of sets: {', '.join(SETS)}; with --paired also {', '.join(PAIRED)} (default: "
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
    for name in names:
        if name not in SETS and name not in PAIRED:
            raise unknown_name_error("metric", name, [*SETS, *PAIRED])
        if name in PAIRED and not args.paired:
            raise UserError(f"'{name}' compares each clip with its own truth: give --paired, and files of equal names.")
    for option in ("frames", "clips", "size", "fps"):
        value = getattr(args, option)
        if value is not None and not value > 0:
            raise UserError(f"--{option} must be positive; got {value:g}.")
    if args.json is not None and args.json.suffix != ".json":
        raise UserError(f"--json must name a file that ends in .json; got '{args.json.name}'.")
    from benchmarks.evaluation.folder import FolderExam, Reading
    from benchmarks.evaluation.video_files import content_of, find_clips

    generated, reference = find_clips(args.generated), find_clips(args.reference)
    if args.paired:
        _check_names(generated, reference, args)
    least = (2 if args.gates else 1) * FEWEST if any(name in SETS for name in names) else 1
    number = _number(len(generated), len(reference), args, least)
    generated, reference = _chosen(generated, number), _chosen(reference, number)
    reading = Reading(args.frames or FRAMES, args.size, args.fps)
    exam = FolderExam(generated, reference, reading, _device(args.device))
    metrics = [_build(name, reading.frames, number) for name in names]
    results = exam.measure(metrics)
    half = number // 2
    compared = [name for name in names if name in SETS and SETS[name].path != _IS] if args.gates else []
    gates = exam.gates([_build(name, reading.frames, half) for name in compared], half)
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
    _show(results, protocol.id, data, [*map(str, gates.values()), *exam.notes])
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
        write_per_clip(args.json, exam.per_clip)
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


def _build(name: str, frames: int, clips: int) -> Any:
    """The metric of a name; one of sets has its frames, clips and network in its own name."""
    if name in PAIRED:
        return _class(PAIRED[name].path)(**PAIRED[name].settings)
    choice = SETS[name]
    if not choice.network:
        return _class(choice.path)(frames=frames, clips=clips, **choice.settings)
    network = _class(choice.network)(**choice.network_settings)
    return _class(choice.path)(network=network, frames=frames, clips=clips, **choice.settings)


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


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
