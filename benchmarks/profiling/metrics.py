"""`benchmarks speed --metrics`: times each metric in turn with an independent implementation, in one run.

Other load slows both sides, so ratios hold where times do not. Importing this module imports no torch.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.utils.errors import UserError
from datamodules.files import write_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchmarks.metrics.base import ClipMetric

Report = dict[str, Any]
Run = Callable[[], Any]


class Comparison(NamedTuple):
    """One computation, by our code and by a reference."""

    name: str
    clips: int
    ours: Run
    reference: str = ""
    theirs: Run | None = None
    network: "torch.nn.Module | None" = None
    """Its share of our time is measured."""


def main(args: argparse.Namespace) -> int:
    """Time every metric, print one line each, and write the numbers to --json."""
    if args.dimension < 2:
        raise UserError(f"--dimension must be at least 2; got {args.dimension}.")
    import torch

    torch.set_num_threads(args.threads)
    settings = {"clips": args.batch_size or 8, "frames": args.frames or 16, "size": args.size or 64}
    report: Report = {
        **settings,
        "threads": args.threads,
        "device": "cpu",
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "rows": [],
        "left_out": {},
    }
    print(_HEAD)
    for comparison in _comparisons(args.dimension, report["left_out"], **settings):
        row = measured(comparison, args.steps)
        report["rows"].append(row)
        print(line(row), flush=True)
    for name, reason in report["left_out"].items():
        print(f"{name}: n/a ({reason})")
    if args.json is not None:
        write_text(args.json, json.dumps(report, indent=1) + "\n")
    return 0


def measured(comparison: Comparison, steps: int) -> Report:
    """Ours and theirs in turn: the fewest seconds of each, and the share of ours outside the network."""
    from benchmarks.profiling.measure import Stopwatch

    watch = Stopwatch("cpu")
    ours: list[float] = []
    theirs: list[float] = []
    inside: list[float] = []
    clock = _Clock(comparison.network)
    for step in range(steps + 1):  # the first is the warm-up
        for run, times in ((comparison.ours, ours), (comparison.theirs, theirs)):
            if run is None:
                continue
            clock.seconds = 0.0
            watch.start()
            run()
            seconds = watch.stop()["wall"]
            if step:
                times.append(seconds)
                if run is comparison.ours:
                    inside.append(clock.seconds / seconds)
    clock.remove()
    row: Report = {"name": comparison.name, "clips": comparison.clips, "seconds": min(ours)}
    row["clips_per_second"] = comparison.clips / row["seconds"]
    if comparison.theirs is not None:
        row |= {"reference": comparison.reference, "reference_seconds": min(theirs)}
        row["faster"] = row["reference_seconds"] / row["seconds"]
    if comparison.network is not None:
        row["outside_network"] = 1 - max(inside)
    return row


_HEAD = f"{'':38}{'seconds':>10}{'clips/s':>11}   reference"


def line(row: Report) -> str:
    """The printed line of a metric."""
    text = f"{row['name']:38}{row['seconds']:10.4f}{row['clips_per_second']:11.1f}"
    if "faster" in row:
        text += f"   {row['reference']}: {row['reference_seconds']:.4f} s, {row['faster']:.2f} times ours"
    if "outside_network" in row:
        text += f"   {row['outside_network']:.1%} outside the network"
    return text


class _Clock:
    """Seconds spent in the forward pass of a network."""

    def __init__(self, network: "torch.nn.Module | None") -> None:
        from time import perf_counter

        self.seconds, self._hooks, self._since = 0.0, [], 0.0
        if network is not None:

            def before(*_: Any) -> None:
                self._since = perf_counter()

            def after(*_: Any) -> None:
                self.seconds += perf_counter() - self._since

            self._hooks = [network.register_forward_pre_hook(before), network.register_forward_hook(after)]

    def remove(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()


def _comparisons(
    dimension: int, left_out: dict[str, str], *, clips: int, frames: int, size: int
) -> Iterator[Comparison]:
    """The timed comparisons that are available here."""
    import torch

    from datamodules.clip import VideoClip, sample_id

    generator = torch.Generator().manual_seed(0)
    frame_pairs = torch.rand(2, clips, frames, 3, size, size, generator=generator) * 2 - 1
    times = torch.arange(frames, dtype=torch.float32).expand(clips, -1)
    prediction, target = VideoClip(frame_pairs[0], times), VideoClip(frame_pairs[1], times)
    ids = torch.tensor([sample_id(number, 0) for number in range(clips)])

    def update(metric: "ClipMetric") -> Run:
        def run() -> None:
            metric.reset()
            metric.update(prediction, target, ids)

        return run

    def update_fresh(metric: "ClipMetric") -> Run:
        """As `update`, with new tensors: features of tensors that were seen before are cached."""

        def run() -> None:
            metric.reset()
            made, real = (VideoClip(sample.frames.clone(), times) for sample in (prediction, target))
            metric.update(made, real, ids)

        return run

    yield from _paired(update, left_out, frame_pairs, clips)
    yield from _of_networks(update_fresh, left_out, clips)
    yield from _of_features(dimension)


def _paired(
    update: "Callable[[ClipMetric], Run]", left_out: dict[str, str], frame_pairs: "Tensor", clips: int
) -> Iterator[Comparison]:
    from torchmetrics.functional.image import peak_signal_noise_ratio

    from benchmarks.metrics.lpips import LPIPS, network_of
    from benchmarks.metrics.reference import SSIM, PooledPSNR
    from benchmarks.pretrained.registry import WeightsUnavailable

    x, y = frame_pairs[0], frame_pairs[1]
    psnr = PooledPSNR()
    yield Comparison(
        "psnr_pooled", clips, update(psnr), "torchmetrics", lambda: peak_signal_noise_ratio(x, y, (-1.0, 1.0))
    )
    try:
        from skimage.metrics import structural_similarity

        a, b = (((side + 1) / 2).double().flatten(0, 1).numpy() for side in (x, y))
        settings = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1.0, "channel_axis": 0}
        yield Comparison(
            "ssim",
            clips,
            update(SSIM()),
            "scikit-image",
            lambda: [structural_similarity(one, other, **settings) for one, other in zip(a, b, strict=True)],
        )
    except ImportError:
        yield Comparison("ssim", clips, update(SSIM()))
    try:
        network = network_of("alex")
    except WeightsUnavailable as error:
        left_out["lpips_alex"] = str(error)
        return
    theirs = _lpips_of_torchmetrics()
    flat = x.flatten(0, 1), y.flatten(0, 1)
    yield Comparison(
        "lpips_alex",
        clips,
        update(LPIPS("alex")),
        "torchmetrics",
        None if theirs is None else lambda: theirs(*flat),
        network,
    )


def _lpips_of_torchmetrics() -> "Callable[..., Any] | None":
    """Their network with random weights, which take as long; None where torchvision is not installed."""
    import torch
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    try:
        network = _NoTrainLpips(pretrained=True, pnet_rand=True, net="alex")
    except (ImportError, ModuleNotFoundError):
        return None
    return torch.no_grad()(network)


def _of_networks(update: "Callable[[ClipMetric], Run]", left_out: dict[str, str], clips: int) -> Iterator[Comparison]:
    """Metrics on features of a video network, which takes nearly all of their time."""
    from benchmarks.metrics.features.extractor import I3DFeatures, _i3d
    from benchmarks.metrics.fvd import FrechetVideoDistance
    from benchmarks.metrics.temporal import TemporalDistance
    from benchmarks.pretrained.registry import WeightsUnavailable

    yield Comparison("temporal", clips, update(TemporalDistance()))
    try:
        I3DFeatures().prepare()
    except WeightsUnavailable as error:
        left_out["fvd"] = str(error)
        return
    yield Comparison("fvd (features of both sides)", 2 * clips, update(FrechetVideoDistance()), network=_i3d("logits"))


def _of_features(dimension: int) -> Iterator[Comparison]:
    """Metrics on given features, without the network."""
    import torch
    from scipy.linalg import sqrtm
    from scipy.spatial.distance import cdist
    from torchmetrics.image.fid import _compute_fid
    from torchmetrics.image.kid import poly_mmd

    from benchmarks.metrics.frechet import frechet_distance_of_moments
    from benchmarks.metrics.inception import inception_score
    from benchmarks.metrics.mmd import polynomial_mmd
    from benchmarks.metrics.moments import Moments
    from benchmarks.metrics.precision_recall import within_reach

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 2 * dimension, dimension, generator=generator, dtype=torch.float64)
    first, second = Moments.of(x), Moments.of(1.1 * y + 0.05)
    covariances = first.covariance(), second.covariance()
    name, count = f"frechet distance, {dimension} features", len(x)

    def ours() -> float:
        return frechet_distance_of_moments(first, second)

    def by_sqrtm() -> float:
        root = sqrtm(covariances[0].numpy() @ covariances[1].numpy())
        between = float((first.mean - second.mean).square().sum())
        return between + float(sum(one.trace() for one in covariances)) - 2 * float(root.trace().real)

    def by_torchmetrics() -> float:
        return float(_compute_fid(first.mean, covariances[0], second.mean, covariances[1]))

    found = [run() for run in (ours, by_torchmetrics)]
    if abs(found[0] - found[1]) > 1e-6 * found[1]:
        raise RuntimeError(f"The timed Fréchet distances differ: {found}.")
    yield Comparison(name, count, ours, "scipy's sqrtm", by_sqrtm)
    yield Comparison(name, count, ours, "torchmetrics", by_torchmetrics)
    few, others = torch.randn(2, 1000, 400, generator=generator, dtype=torch.float64)
    yield Comparison(
        "mmd, 400 features",
        len(few),
        lambda: polynomial_mmd(few, others),
        "torchmetrics",
        lambda: poly_mmd(few, others),
    )

    def by_scipy() -> Any:
        reach = torch.from_numpy(cdist(others, others)).kthvalue(4, 1).values
        return (torch.from_numpy(cdist(few, others)) <= reach).any(1)

    yield Comparison(
        "precision, 400 features", len(few), lambda: within_reach(few, others), "scipy's distances", by_scipy
    )
    yield Comparison("inception score, 400 classes", len(few), lambda: inception_score(few, 10))
