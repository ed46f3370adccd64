"""`benchmarks evaluate`: scores a folder of videos of any model with the metrics of the suite."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.commands.compare import EVALUATION
from benchmarks.commands.evaluate_counts import Counts, Side, asked_reference, check_names, chosen, counts_of
from benchmarks.commands.evaluate_metrics import build_metrics, compares_sets, metric_config
from benchmarks.commands.evaluate_options import DEFAULTS, FEWEST, FRAMES, STATISTICS, check_options
from benchmarks.commands.evaluate_options import add_arguments as add_arguments
from benchmarks.records.clip_scores import write_per_clip
from benchmarks.records.parts import Measurement, Protocol
from benchmarks.records.provenance import package_versions
from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import content_hash, plain, slug
from datamodules.files import write_text

if TYPE_CHECKING:
    from benchmarks.evaluation.folder import FolderEvaluation
    from benchmarks.evaluation.gates import Gate
    from benchmarks.evaluation.saved_reference import SavedReference
    from benchmarks.evaluation.video_files import ClipFile


@dataclass(frozen=True)
class _Sides:
    """What is compared: the generated clips, and those of the reference or what was saved of them."""

    generated: "list[ClipFile]"
    reference: "list[ClipFile]"
    saved: "SavedReference | None"
    counts: Counts
    sources: list[str]
    data: str
    content: str


def main(args: argparse.Namespace) -> int:
    """Find the clips, measure, print one line per metric; returns 1 if every metric is n/a."""
    names = list(dict.fromkeys(args.metrics or DEFAULTS[args.paired]))
    configs = {name: metric_config(name) for name in names}
    check_options(args)
    compared = [name for name in names if compares_sets(configs[name])]
    if not args.paired and (of_pairs := [name for name in names if name not in compared]):
        raise UserError(f"'{of_pairs[0]}' compares each clip with its target: give --paired, and files of equal names.")
    from benchmarks.evaluation.feature_stream import Reading
    from benchmarks.evaluation.fitting import check_saved
    from benchmarks.evaluation.folder import FolderEvaluation

    reading = Reading(args.frames or FRAMES, args.size, args.fps)
    sides = _sides(args, (2 if args.gates else 1) * FEWEST if compared else 1)
    counts = sides.counts
    built, unfit = build_metrics(configs, reading.frames, counts)
    metrics = list(built.values())
    seeing = [metric for metric in metrics if "target" in getattr(metric, "sides", ())]
    if sides.saved is not None:
        check_saved(args.reference, sides.saved, reading, seeing)
    if args.save_reference is not None and not seeing:
        raise UserError(
            f"--save-reference saves what metrics of sets need of the reference; {', '.join(names)} need none."
        )
    evaluation = FolderEvaluation(
        sides.generated, sides.reference, reading, sides.sources, _device(args.device), sides.saved,
        counts.asked is not None,
    )  # fmt: skip
    results = {**evaluation.measure(metrics), **unfit}
    saved, unsaved = [], None
    if args.save_reference is not None:
        try:
            saved = [_save_reference(args.save_reference, evaluation, seeing, sides)]
        except UserError as error:  # told in the end: what could be measured is shown
            unsaved = error
    if not sides.generated:
        if unsaved is not None:
            raise unsaved
        print(*saved)
        return 0
    gates = _gates(evaluation, {name: configs[name] for name in built}, counts) if args.gates else {}
    protocol = _protocol(args, evaluation, counts, metrics)
    _show(results, protocol.id, sides.data, [*map(str, gates.values()), *evaluation.notes, *saved])
    if args.json is not None:
        from benchmarks.evaluation.video_files import content_of

        content = {
            "kind": EVALUATION,
            "version": 1,
            "generated": f"{slug(args.generated.stem)}-{content_hash(content_of(sides.generated))[:8]}",
            "data": sides.data,
            "frame_sizes": {"generated": str(evaluation.generated_extent), "reference": str(evaluation.extent)},
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
    if unsaved is not None:
        raise unsaved
    return 0 if any(entry.value is not None for entry in results.values()) else 1


def _sides(args: argparse.Namespace, least: int) -> _Sides:
    """The clips to compare, or what was saved of them."""
    from benchmarks.evaluation.saved_reference import SavedReference
    from benchmarks.evaluation.video_files import content_of, find_clips, sources_of

    saved = SavedReference.read(args.reference) if args.reference.suffix == STATISTICS else None
    generated = [] if args.generated is None else find_clips(args.generated)
    reference = [] if saved else find_clips(args.reference)
    if args.paired:
        check_names(generated, reference, args.generated, args.reference)
    mine = None if args.generated is None else Side(args.generated, len(generated))
    real = Side(args.reference, len(saved.origins) if saved else len(reference), saved is not None)
    counts = counts_of(mine, real, args.clips, asked_reference(args.reference_clips), least)
    generated = chosen(generated, counts.generated)
    if saved is not None:
        return _Sides(generated, [], saved, counts, [], saved.data, saved.content)
    reference = chosen(reference, counts.reference)
    content = content_hash(content_of(reference))
    data = f"{slug(args.reference.stem)}-{content[:8]}"
    return _Sides(generated, reference, None, counts, sources_of(reference, args.sources), data, content)


def _gates(evaluation: "FolderEvaluation", configs: Mapping[str, Any], counts: Counts) -> "dict[str, Gate]":
    """The gates of the metrics of two sets; evaluation's notes say which cannot be had."""
    half = counts.reference // 2
    of_sets = {name: config for name, config in configs.items() if compares_sets(config)}
    halved, unfit = build_metrics(of_sets, evaluation.reading.frames, Counts(half, half), none_is_fine=True)
    evaluation.notes += [f"gate {name}: n/a ({entry.reason})" for name, entry in unfit.items()]
    return evaluation.gates([metric for metric in halved.values() if len(metric.sides) > 1], half)


def _save_reference(path: Path, evaluation: "FolderEvaluation", metrics: Sequence[Any], sides: _Sides) -> str:
    """Write what these metrics need of the reference; what was written, in words.

    Raises:
        UserError: if all of them are n/a.
    """
    from benchmarks.evaluation.feature_stream import looks_at

    left_out = [
        f"{one.name} ({evaluation.unavailable[one.name]})" for one in metrics if one.name in evaluation.unavailable
    ]
    saved = evaluation.reference_for(metrics, sides.data, sides.content)
    if saved is None:
        raise UserError(f"Nothing of the reference could be saved into {path}: {'; '.join(left_out)}.")
    saved.save(path)
    what = ", ".join(f"{one.holds} of {looks_at(one.network, one.each_frame)}" for one in saved.seen)
    without = f", without {'; '.join(left_out)}" if left_out else ""
    return f"Saved {what} for {len(saved.origins)} clips{without}: --reference {path}"


def _protocol(
    args: argparse.Namespace, evaluation: "FolderEvaluation", counts: Counts, metrics: Sequence[Any]
) -> Protocol:
    """Everything that must agree before two numbers may be compared."""
    way = "paired" if args.paired else "unpaired"
    settings: Mapping[str, Any] = {
        **asdict(evaluation.reading),
        "first_frames": True,
        "n": counts.generated,
        "paired": args.paired,
        "metrics": {metric.name: metric.protocol for metric in metrics},
        **({} if counts.asked is None else {"n_reference": counts.reference}),
    }
    return Protocol.create(f"evaluate-{way}-{counts}x{evaluation.reading.frames}f", settings)


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
