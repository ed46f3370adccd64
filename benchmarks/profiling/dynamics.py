"""The training cost of a temporal generator: its share of a step, fixed or adaptive steps, adjoint or backprop.

`benchmarks speed MODEL --dynamics`. The variants are timed in turn; each reports its fastest turn.
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
    """A call of the dynamics in a training step, and whether a gradient flowed back through its states."""

    code: Tensor
    times: Tensor
    requires_grad: bool


def measured(system: LatentDynamicsGAN, batch: Batch, repeats: int) -> Report:
    """Seconds of the dynamics in a training step (`alone`); for ODEs also the cost by solver and gradient method."""
    calls: list[Call] = []
    hook = system.network.dynamics.register_forward_hook(
        lambda _, inputs, states: calls.append(Call(inputs[0].detach(), inputs[1], torch.is_grad_enabled()))
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
    """Repeat the calls of the dynamics in a step: every forward pass, and the backward passes that were taken."""
    for code, times, requires_grad in calls:
        with torch.set_grad_enabled(requires_grad):
            states = system.network.dynamics(code, times)
        if requires_grad:
            states.sum().backward()
    system.network.dynamics.zero_grad()


def solvers(dynamics: LatentODE, call: Call, repeats: int) -> Report:
    """Seconds, evaluations and saved bytes of one solution and its gradient, by solver and gradient method.

    `rk4` takes one step per frame interval; `dopri5` is the adaptive solver with the tolerances of the dynamics.
    `adjoint` solves an ODE backwards in time instead of saving the steps. Saved bytes are those of tensors that the
    forward pass saves for the backward pass.
    """
    start = dynamics.initial(call.code).detach()
    grid = call.times[0].to(start.dtype)
    evaluations = 0

    def field(_: Tensor, jet: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return _derivative(dynamics, jet)

    counted: Report = {}
    runs = {}
    for name, method in (("rk4", {"method": "rk4"}), ("dopri5", {"method": "dopri5", **dynamics.tolerances})):
        for way, solve in (("backprop", odeint), ("adjoint", odeint_adjoint)):
            extra = {"adjoint_params": tuple(dynamics.field.parameters())} if way == "adjoint" else {}
            forward = partial(solve, field, start.requires_grad_(), grid, **method, **extra)
            evaluations = 0
            _forward_backward(forward)
            counted[f"{name}_{way}"] = {"evaluations": evaluations, "bytes": kept_bytes(forward)}
            runs[f"{name}_{way}"] = partial(_forward_backward, forward)
    times = in_turn(runs, repeats)
    dynamics.zero_grad()
    return {name: times[name] | counted[name] for name in runs}


def kept_bytes(forward: Callable[[], Tensor]) -> int:
    """Bytes of the distinct tensors that a forward pass saves for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = forward()  # keeps the saved tensors alive, so no address is used twice
    count = sum(kept.values())
    del output
    return count


def in_turn(runs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of the fastest turn of each function, after one warm-up turn."""
    watch, found = Stopwatch("cpu"), {name: {"wall": float("inf"), "cpu": float("inf")} for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            watch.start()
            run()
            seconds = watch.stop()
            if turn:
                found[name] = {clock: min(found[name][clock], seconds[clock]) for clock in seconds}
    return found


def _forward_backward(forward: Callable[[], Tensor]) -> None:
    """A solution and its gradient."""
    forward().sum().backward()


def _derivative(dynamics: LatentODE, jet: Tensor) -> Tensor:
    """The derivative of each part is the next part; that of the last is the value of the field."""
    if dynamics.order == 1:
        return dynamics.field(jet)
    _, *higher = jet.chunk(dynamics.order, dim=1)
    return torch.cat([*higher, dynamics.field(jet if dynamics.field_input == "all_derivatives" else higher[-1])], dim=1)
