"""What a temporal generator costs in training: its share of a step, fixed steps or adaptive, adjoint or backprop.

`python -m benchmarks.timing.dynamics configs/model/mocogan_*.yaml` prints one line for each; `benchmarks speed`
measures the rest. All numbers of one call are of one process, the fastest of several turns.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from benchmarks.canonical import write_text
from benchmarks.errors import UserError
from benchmarks.plan import read_yaml
from datamodules.clip import Batch, VideoClip
from lightning_modules.adversarial import detached, frozen
from lightning_modules.build import build
from lightning_modules.dynamics import LatentODE
from lightning_modules.latent_dynamics import LatentDynamicsGAN

Report = dict[str, Any]


class Call(NamedTuple):
    """A question to the dynamics in a training step, and whether a gradient went back through the answer."""

    code: Tensor
    times: Tensor
    learns: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timing.dynamics", description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="files of configs/model")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="turns, of which the fastest counts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where to write all numbers")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    reports = []
    for path in args.models:
        reports.append({"model": path.stem, **measured(gan(path), args.batch_size, args.repeats)})
        print(" ".join(f"{key}={_short(value)}" for key, value in reports[-1].items()), flush=True)
    if args.json is not None:
        write_text(args.json, json.dumps(reports, indent=1) + "\n")
    return 0


def gan(path: Path) -> LatentDynamicsGAN:
    """The model in a file; raises UserError for one of another kind."""
    system = build(read_yaml(path))
    if not isinstance(system, LatentDynamicsGAN):
        raise UserError(f"{path} is a {type(system).__name__}; the share of dynamics is that of a LatentDynamicsGAN.")
    return system.train()


def measured(system: LatentDynamicsGAN, batch_size: int, repeats: int) -> Report:
    """Seconds of a step and the dynamics' share of it; for ODEs what the solver and its gradient cost."""
    batch = clips(system, batch_size)
    optimizers = [player["optimizer"] for player in system.configure_optimizers()]
    calls: list[Call] = []
    hook = system.network.dynamics.register_forward_hook(
        lambda _, given, states: calls.append(Call(given[0].detach(), given[1], False))
    )
    drawn = _turns(system, batch, optimizers)
    hook.remove()
    calls = [call._replace(learns=index >= drawn) for index, call in enumerate(calls)]
    step = fastest(lambda: _turns(system, batch, optimizers), repeats)
    dynamics = fastest(lambda: replay(system, calls), repeats)
    report: Report = {"step": step, "dynamics": dynamics, "share": dynamics / step}
    if isinstance(system.network.dynamics, LatentODE):
        report |= solvers(system.network.dynamics, calls[0], repeats)
    return report


def clips(system: LatentDynamicsGAN, count: int) -> Batch:
    """Random clips of 16 frames that the system's critics take, one model unit long."""
    with torch.no_grad():
        size = system.network(torch.zeros(2, 1))[-1].shape[-1]
    frames = torch.rand(count, 16, 3, size, size) * 2 - 1
    times = (torch.arange(16) / 15 * system.seconds_per_unit).expand(count, -1)
    present = torch.ones(count, 16, dtype=torch.bool)
    return Batch(VideoClip(frames, times), torch.arange(count), torch.full((count,), -1), present, None)


def replay(system: LatentDynamicsGAN, calls: Sequence[Call]) -> None:
    """What the dynamics did in a step, alone: every answer, and the way back through those that taught it."""
    for code, times, learns in calls:
        with torch.set_grad_enabled(learns):
            states = system.network.dynamics(code, times)
        if learns:
            states.sum().backward()
    system.network.dynamics.zero_grad()


def solvers(dynamics: LatentODE, call: Call, repeats: int) -> Report:
    """Seconds, evaluations and kept bytes of one answer and its gradient, by solver and by way back.

    `rk4` takes one step from frame to frame; `dopri5` is the adaptive solver at the same tolerances as the
    dynamics has. `adjoint` solves backwards instead of keeping the steps. Kept bytes are those of tensors that the
    forward pass saves for the backward one.
    """
    start = dynamics.initial(call.code).detach()
    grid = call.times[0].to(start.dtype)
    evaluations = 0

    def field(_: Tensor, jet: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return _derivative(dynamics, jet)

    report: Report = {}
    for name, method in (("rk4", {"method": "rk4"}), ("dopri5", {"method": "dopri5", **dynamics.tolerances})):
        for way, solve in (("backprop", odeint), ("adjoint", odeint_adjoint)):
            extra = {"adjoint_params": tuple(dynamics.field.parameters())} if way == "adjoint" else {}
            ask = partial(solve, field, start.requires_grad_(), grid, **method, **extra)
            evaluations = 0
            _there_and_back(ask)
            report[f"{name}_{way}_evaluations"] = evaluations
            report[f"{name}_{way}_bytes"] = kept_bytes(ask)
            report[f"{name}_{way}"] = fastest(partial(_there_and_back, ask), repeats)
    dynamics.zero_grad()
    return report


def kept_bytes(forward: Callable[[], Tensor]) -> int:
    """Bytes of the distinct tensors that a forward pass keeps for the backward one."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        answer = forward()  # what is kept is alive as long as this is, so no address comes twice
    count = sum(kept.values())
    del answer
    return count


def fastest(work: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest of some turns, after one that is not timed."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _turns(system: LatentDynamicsGAN, batch: Batch, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    """One update of the critics, then of the generator; how many calls of the dynamics the first turn made."""
    generator, critic = optimizers
    with torch.no_grad():
        fakes = system.draw(batch)
    sum(system.critic_losses(batch, detached(fakes)).values(), torch.zeros(())).backward()
    critic.step()
    critic.zero_grad()
    with frozen(system.critics):
        fakes = system.draw(batch)
        sum(system.generator_losses(batch, fakes).values(), torch.zeros(())).backward()
    generator.step()
    generator.zero_grad()
    system.after_generator_update()
    return 2 if "image" in system.critics else 1


def _there_and_back(ask: Callable[[], Tensor]) -> None:
    """A solution and its gradient."""
    ask().sum().backward()


def _derivative(dynamics: LatentODE, jet: Tensor) -> Tensor:
    """Each part's derivative is the next part, the last one's the field's answer."""
    if dynamics.order == 1:
        return dynamics.field(jet)
    _, *higher = jet.chunk(dynamics.order, dim=1)
    return torch.cat([*higher, dynamics.field(jet if dynamics.sees == "jet" else higher[-1])], dim=1)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
