"""What a temporal generator costs in training: its part of a step, fixed steps or adaptive, adjoint or backprop.

`benchmarks speed MODEL --dynamics`. What is compared is timed in turn, the fastest of several turns.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from benchmarks.profiling.measure import Stopwatch
from datamodules.clip import Batch
from lightning_modules.dynamics import LatentODE
from lightning_modules.latent_dynamics import LatentDynamicsGAN

Report = dict[str, Any]


class Call(NamedTuple):
    """A question to the dynamics in a training step, and whether a gradient went back through the answer."""

    code: Tensor
    times: Tensor
    learns: bool


def measured(system: LatentDynamicsGAN, batch: Batch, repeats: int) -> Report:
    """Seconds of what the dynamics does in a training step (`alone`); for ODEs what solver and gradient cost."""
    calls: list[Call] = []
    hook = system.network.dynamics.register_forward_hook(
        lambda _, given, states: calls.append(Call(given[0].detach(), given[1], torch.is_grad_enabled()))
    )
    if system.fakes == "fresh":
        with torch.no_grad():  # the critics' fakes
            system.training_output(batch)
    system.training_output(batch)
    hook.remove()
    report: Report = in_turn({"alone": lambda: replay(system, calls)}, repeats)
    if isinstance(system.network.dynamics, LatentODE):
        report |= solvers(system.network.dynamics, calls[0], repeats)
    return report


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

    counted: Report = {}
    works = {}
    for name, method in (("rk4", {"method": "rk4"}), ("dopri5", {"method": "dopri5", **dynamics.tolerances})):
        for way, solve in (("backprop", odeint), ("adjoint", odeint_adjoint)):
            extra = {"adjoint_params": tuple(dynamics.field.parameters())} if way == "adjoint" else {}
            ask = partial(solve, field, start.requires_grad_(), grid, **method, **extra)
            evaluations = 0
            _there_and_back(ask)
            counted[f"{name}_{way}"] = {"evaluations": evaluations, "bytes": kept_bytes(ask)}
            works[f"{name}_{way}"] = partial(_there_and_back, ask)
    times = in_turn(works, repeats)
    dynamics.zero_grad()
    return {name: times[name] | counted[name] for name in works}


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


def in_turn(works: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of each work's fastest turn, after one that is not timed."""
    watch, found = Stopwatch("cpu"), {name: {"wall": float("inf"), "cpu": float("inf")} for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            watch.start()
            work()
            seconds = watch.stop()
            if turn:
                found[name] = {clock: min(found[name][clock], seconds[clock]) for clock in seconds}
    return found


def _there_and_back(ask: Callable[[], Tensor]) -> None:
    """A solution and its gradient."""
    ask().sum().backward()


def _derivative(dynamics: LatentODE, jet: Tensor) -> Tensor:
    """Each part's derivative is the next part, the last one's the field's answer."""
    if dynamics.order == 1:
        return dynamics.field(jet)
    _, *higher = jet.chunk(dynamics.order, dim=1)
    return torch.cat([*higher, dynamics.field(jet if dynamics.field_input == "all_derivatives" else higher[-1])], dim=1)
