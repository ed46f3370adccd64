"""`python -m benchmarks.profiling.inbetweening`: the cost of a training step of Inbetweening, in time and memory.

Time: steps of a straightforward implementation, of ours and of ours with the channels last in memory, taken in turn in
one process, so that other load slows all equally. Memory: counted on torch's meta device, which computes nothing, so
that the paper's size fits on any machine; with and without gradient checkpointing.
"""

import argparse
import copy
import json
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from datamodules.clip import Batch, VideoClip
from datamodules.files import write_text
from lightning_modules.adversarial import detached, frozen
from lightning_modules.callbacks.compile import channels_last
from lightning_modules.checkpoints.build import build
from lightning_modules.inbetweening import Inbetweening, InbetweeningFakes, views
from lightning_modules.losses.adversarial import non_saturating_fake, non_saturating_real

NETWORKS = "lightning_modules.networks"


class PeakMemory(TorchDispatchMode):
    """The peak of the bytes of all tensors that are created within this context and alive at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation and count the storages of its results."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._free, key, storage.nbytes())

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size


def system_of(size: int, width: int, recompute: bool = False, blocks: int = 24) -> Inbetweening:
    """The paper's model at another size and width: the latent maps have as many channels as the first level."""
    common: dict[str, Any] = {"channels": 3, "size": size, "width": width}
    frames = 16
    generator = common | {"frames": frames, "latent": width, "recompute": recompute, "blocks": blocks}
    parts = {
        "generator": ("inbetweening.InbetweeningNetwork", generator),
        "video_critic": ("inbetweening_critics.VideoCritic", common | {"frames": frames}),
        "image_critic": ("inbetweening_critics.ImageCritic", common),
    }
    arguments = {
        name: {"class_path": f"{NETWORKS}.{path}", "init_args": settings} for name, (path, settings) in parts.items()
    }
    system = build({"class_path": "lightning_modules.inbetweening.Inbetweening", "init_args": arguments})
    assert isinstance(system, Inbetweening)
    return system


def batch_of(system: Inbetweening, clips: int) -> Batch:
    """A batch of noise clips, on the default device."""
    network = system.network
    shape = (clips, network.frames, network.channels, network.size, network.size)
    clip = VideoClip(torch.rand(shape) * 2 - 1, (torch.arange(network.frames) / 25).expand(clips, -1))
    ids = torch.arange(clips)
    return Batch(clip, ids, ids, torch.full_like(ids, -1), torch.ones(clips, network.frames, dtype=torch.bool))


def our_step(system: Inbetweening, batch: Batch) -> None:
    """Both players' gradients as in `AdversarialSystem`: one set of fakes, the critics frozen for the generator."""
    fakes = system.generate_fakes(batch)
    torch.stack(list(system.critic_losses(batch, detached(fakes)).values())).sum().backward()
    with frozen(system.critics):
        torch.stack(list(system.generator_losses(batch, fakes).values())).sum().backward()


def plain_step(system: Inbetweening, batch: Batch) -> None:
    """The straightforward way: each player generates fakes, the critics see real and fake one after the other, and the
    generator's turn computes the critics' gradients too. The losses are the same.
    """
    with torch.no_grad():
        fakes = system.generate_fakes(batch)
    total = torch.zeros(())
    assert isinstance(batch.clip, VideoClip)
    target = InbetweeningFakes(batch.clip.frames, fakes.middle)
    for critic, real, fake in zip(system.critics.values(), views(target), views(fakes), strict=True):
        for inputs, loss, sign in ((real, non_saturating_real, -1), (fake, non_saturating_fake, 1)):
            x = inputs.detach().requires_grad_()
            logits = critic(x)
            (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
            penalty = (sign * logits).sigmoid().square() * gradient.flatten(1).square().sum(dim=1)
            total = total + loss(logits) + system.penalty_weight / 2 * penalty.mean()
    total.backward()
    torch.stack(list(system.generator_losses(batch, system.generate_fakes(batch)).values())).sum().backward()


def times(size: int, width: int, clips: int, steps: int) -> dict[str, Any]:
    """Median seconds of the steps, taken in turn after a warm-up step, and median ratios to the plain one."""
    torch.manual_seed(0)
    plain = system_of(size, width)
    ours, last = copy.deepcopy(plain), copy.deepcopy(plain)
    channels_last(last)
    batch = batch_of(plain, clips)
    variants: dict[str, tuple[Callable[[Inbetweening, Batch], None], Inbetweening]] = {
        "plain, contiguous": (plain_step, plain),
        "ours, contiguous": (our_step, ours),
        "ours, channels last": (our_step, last),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for number in range(steps + 1):
        for name, (step, system) in variants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step(system, batch)
            if number:
                found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    base = found["plain, contiguous"]
    return {
        name: {
            "wall": median(wall for wall, _ in taken),
            "cpu": median(cpu for _, cpu in taken),
            "speedup_wall": median(before[0] / after[0] for before, after in zip(base, taken, strict=True)),
            "speedup_cpu": median(before[1] / after[1] for before, after in zip(base, taken, strict=True)),
        }
        for name, taken in found.items()
    }


def memory(size: int, width: int, clips: int, recompute: bool, blocks: int = 24) -> int:
    """Peak bytes of the tensors of a step, without the weights; nothing is computed."""
    with torch.device("meta"):
        system = system_of(size, width, recompute, blocks)
        batch = batch_of(system, clips)
        present = torch.ones(batch.present.shape, dtype=torch.bool, device="cpu")  # its values are read
        times = torch.arange(present.shape[1], device="cpu").expand(clips, -1).float()
        batch = batch._replace(clip=batch.clip._replace(times=times), present=present)
        u, middle = torch.empty(clips, system.network.noise), torch.zeros(clips, dtype=torch.long)
        with PeakMemory() as count:
            assert isinstance(batch.clip, VideoClip)
            frames = batch.clip.frames
            fakes = InbetweeningFakes(system.generate_clip(frames[:, 0], frames[:, -1], u), middle)
            torch.stack(list(system.critic_losses(batch, detached(fakes)).values())).sum().backward()
            with frozen(system.critics):
                torch.stack(list(system.generator_losses(batch, fakes).values())).sum().backward()
    return count.peak


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the numbers to --json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling.inbetweening", description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="of the frames whose steps are timed (default: 64)")
    parser.add_argument("--width", type=int, default=64, help="of the networks (default: 64, the paper's)")
    parser.add_argument("--clips", type=int, default=2, help="of a timed batch (default: 2)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each kind (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    report: dict[str, Any] = {
        "timed": {name: getattr(args, name) for name in ("size", "width", "clips", "steps", "threads")},
        "torch": torch.__version__,
        "memory_gib_batch_32": {
            f"{size} px, {'checkpointing' if recompute else 'all kept'}": memory(size, 64, 32, recompute) / 2**30
            for size in (64, 128)
            for recompute in (False, True)
        },
    }
    for name, gib in report["memory_gib_batch_32"].items():
        print(f"{name:28} {gib:8.2f} GiB at the paper's width, batch 32", flush=True)
    report["times"] = times(args.size, args.width, args.clips, args.steps)
    for name, row in report["times"].items():
        print(
            f"{name:32} {row['wall']:8.3f} s wall {row['cpu']:8.3f} s CPU; speed-up over plain: "
            f"{row['speedup_wall']:.2f} (wall), {row['speedup_cpu']:.2f} (CPU)"
        )
    if args.json is not None:
        write_text(args.json, json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
