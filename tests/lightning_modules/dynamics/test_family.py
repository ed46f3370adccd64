"""Laws of the temporal generators: orders, stochastic paths, grids, sizes."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torchsde
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules.dynamics import (
    ConvJetEncoder,
    ConvLSTM,
    Deconvolution1d,
    Dynamics,
    Interpolated,
    JetEncoder,
    LatentODE,
    LatentSDE,
    LeakyConvField,
    NoisyGRU,
    VectorField,
    parameter_matched_ode,
    parameter_matched_sde,
)
from lightning_modules.dynamics.brownian import BrownianPaths
from lightning_modules.dynamics.matched import count

DOUBLE = torch.float64
GRID = torch.arange(16) / 15


class Scaled(nn.Module):
    """A constant times the state, or a constant alone."""

    def __init__(self, factor: float = 0.0, constant: float = 0.0) -> None:
        super().__init__()
        self.factor, self.constant = factor, constant

    def forward(self, state: Tensor) -> Tensor:
        return self.factor * state + self.constant


class Free(nn.Module):
    """No force, on the last share of the jet's channels."""

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, jet: Tensor) -> Tensor:
        return torch.zeros_like(jet.chunk(self.order, dim=1)[-1])


@pytest.mark.parametrize("shape", [(4,), (4, 3, 3)])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_without_force_order_k_is_a_polynomial_of_degree_k_less_1(order: int, shape: tuple[int, ...]) -> None:
    jet = torch.randn(2, order * shape[0], *shape[1:], dtype=DOUBLE)
    times = torch.tensor([[-1.0, 0.0, 0.5, 2.0], [-0.3, 0.1, 0.7, 1.1]], dtype=DOUBLE)
    states = LatentODE(Free(order), order=order)(jet, times)
    parts, t = jet.chunk(order, dim=1), times.reshape(2, 4, *[1] * len(shape))
    assert_close(states, sum(part[:, None] * t**k / math.factorial(k) for k, part in enumerate(parts)))


@pytest.mark.parametrize("field_input", ["all_derivatives", "highest"])
def test_an_oscillator_needs_the_jet_and_the_highest_derivative_alone_decays(field_input: str) -> None:
    """z'' = -z from the jet's first half; z'' = -z' where the field sees no more than z'."""

    class Force(nn.Module):
        def forward(self, seen: Tensor) -> Tensor:
            return -seen[:, :2]

    times = torch.tensor([[0.5, 1.0]], dtype=DOUBLE)
    jet = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=DOUBLE)  # (z, z') = (1, 0) and (0, 1)
    states = LatentODE(Force(), order=2, field_input=field_input, max_step=0.01)(jet, times)  # type: ignore[arg-type]
    t = times[0]
    wanted = [t.cos(), t.sin()] if field_input == "all_derivatives" else [torch.ones_like(t), 1 - (-t).exp()]
    assert_close(states[0], torch.stack(wanted, dim=1), atol=1e-8, rtol=0)


def test_a_jet_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"At order 2 .*got 3.*2 times"):
        LatentODE(Free(2), order=2)(torch.zeros(1, 3), torch.zeros(1, 1))


@pytest.mark.parametrize("order", [0, 4])
@pytest.mark.parametrize(
    "member",
    [partial(LatentODE, Free(1)), partial(parameter_matched_ode, 4, 200)]
    + [partial(part, 4) for part in (VectorField, LeakyConvField, JetEncoder, ConvJetEncoder)],
    ids=lambda member: member.func.__name__,
)
def test_orders_are_one_to_three(member: Callable[..., nn.Module], order: int) -> None:
    with pytest.raises(ValueError, match=f"1, 2 or 3; got {order}"):
        member(order=order)


def test_without_diffusion_an_sde_is_the_ode_of_its_drift() -> None:
    drift = VectorField(3, hidden=5).double()
    code, times = torch.randn(2, 3, dtype=DOUBLE), torch.tensor([[0.0, 0.33, 0.5, 1.0]] * 2, dtype=DOUBLE)
    ours = LatentSDE(drift, Scaled(), step=0.001)(code, times)
    assert_close(ours, LatentODE(drift)(code, times), atol=2e-3, rtol=0)


class Brownian:
    """Our path, for torchsde."""

    levy_area_approximation = "none"

    def __init__(self, increments: Tensor, step: float) -> None:
        self.path = torch.cat([torch.zeros_like(increments[:, :1]), increments.cumsum(1)], dim=1)
        self.step, self.shape = step, self.path[:, 0].shape

    def __call__(self, start: Tensor, end: Tensor, **_: object) -> Tensor:
        first, last = (round(float(t) / self.step) for t in (start, end))
        return self.path[:, last] - self.path[:, first]


def test_the_sde_walks_as_torchsde_does() -> None:
    drift, diffusion = VectorField(3, hidden=4).double(), VectorField(3).double()

    class Theirs(nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, _: Tensor, state: Tensor) -> Tensor:
            return drift(state)

        def g(self, _: Tensor, state: Tensor) -> Tensor:
            return diffusion(state)

    code, seeds, times = torch.randn(2, 3, dtype=DOUBLE), torch.tensor([3, 4]), torch.tensor([0.0, 0.25, 1.0]).double()
    ours = LatentSDE(drift, diffusion, step=0.05)(code, times.expand(2, -1), seeds=seeds)
    bm = Brownian(BrownianPaths(seeds, 2, (3,), 0.05, dtype=DOUBLE).increments(20), 0.05)
    theirs = torchsde.sdeint(Theirs(), code, times, bm=bm, method="euler", dt=0.05)
    assert_close(ours, theirs.transpose(0, 1))


def test_an_sde_clip_depends_on_its_seed_and_times_alone() -> None:
    """Other company, more frames, four times the frame rate: the same states at the same times."""
    sde = LatentSDE(VectorField(3), VectorField(3), step=1 / 30)
    code, seeds = torch.randn(2, 3), torch.tensor([7, 8])
    coarse, fine = torch.arange(8).float() / 15, torch.arange(61).float() / 60
    ours = sde(code, coarse.expand(2, -1), seeds=seeds)
    assert_close(sde(code, fine.expand(2, -1), seeds=seeds)[:, ::4][:, :8], ours)
    assert_close(sde(code[1:], coarse[None], seeds=seeds[1:]), ours[1:])
    mixed = torch.stack([coarse, coarse + 0.013])
    assert_close(sde(code, mixed, seeds=seeds)[0], ours[0])
    assert not torch.allclose(sde(code, coarse.expand(2, -1), seeds=seeds + 1), ours)


@pytest.mark.parametrize("step", [0.0333333, 0.0333334])
def test_a_rounded_step_keeps_to_its_grid_in_long_clips(step: float) -> None:
    """Frames 1 / 15 apart are every second moment of the grid, in the 400th frame as in the first."""
    sde = LatentSDE(VectorField(2), VectorField(2), step=step)
    code, seeds = torch.randn(1, 2), torch.tensor([3])
    times = torch.arange(401)[None] / 15
    ours = sde(code, times, seeds=seeds)
    assert sde.function_evaluations == 800  # none from a moment of the grid to a time a little beyond it
    assert torch.equal(ours, sde(code, times.double() * 15 * 2 * step, seeds=seeds))
    sde(code, times + 0.001, seeds=seeds)
    assert sde.function_evaluations == 801


def test_the_sde_refuses_the_past() -> None:
    with pytest.raises(ValueError, match=r"from 0 on.*-0\.5.*LatentODE"):
        LatentSDE(Scaled(), Scaled())(torch.zeros(1, 2), torch.tensor([[-0.5, 0.0]]))


def test_brownian_bridges_have_the_moments_of_brownian_motion() -> None:
    clips = 600
    paths = BrownianPaths(torch.arange(clips), clips, (8,), 0.5)
    whole = paths.increments(2)
    assert_close(paths.increments(20)[:, :2], whole)
    index, first = torch.arange(clips), torch.zeros(clips, dtype=torch.int64)
    quarter, half = (paths.within(index, first, first + ticks, whole[:, 0]) for ticks in (256, 512))
    for ours, variance in (
        (quarter, 0.125),
        (half - quarter, 0.125),
        (whole[:, 0] - half, 0.25),
        (whole[:, 0], 0.5),
    ):
        assert abs(float(ours.mean())) < 4 * math.sqrt(variance / ours.numel())
        assert float(ours.var()) == pytest.approx(variance, rel=0.1)
    assert abs(float((quarter * (half - quarter)).mean())) < 0.01


def test_an_ornstein_uhlenbeck_process_has_its_moments() -> None:
    torch.manual_seed(0)
    sde = LatentSDE(Scaled(-2.0), Scaled(0.0, 0.7), step=0.01)
    ours = sde(torch.full((4000, 2), 1.5), torch.tensor([[0.2, 1.0]]).expand(4000, -1))
    for k, t in enumerate((0.2, 1.0)):
        assert float(ours[:, k].mean()) == pytest.approx(1.5 * math.exp(-2 * t), abs=0.02)
        assert float(ours[:, k].var()) == pytest.approx(0.7**2 * (1 - math.exp(-4 * t)) / 4, rel=0.06)


def test_the_sde_converges_with_strong_order_one_half() -> None:
    """Geometric Brownian motion, whose solution on a path is known; refined by sums of one path's increments."""
    clips, fine = 2000, 128
    torch.manual_seed(0)
    increments = torch.randn(clips, fine, 1, dtype=DOUBLE) / math.sqrt(fine)
    truth = torch.exp((0.5 - 0.5) + increments.sum(1))  # drift z / 2, diffusion z: exp(W)

    def error(steps: int, monkeypatch: pytest.MonkeyPatch) -> float:
        monkeypatch.setattr(BrownianPaths, "increments", lambda *_: increments.unflatten(1, (steps, -1)).sum(2))
        sde = LatentSDE(Scaled(0.5), Scaled(1.0), step=1 / steps)
        ones = torch.ones(clips, 1, dtype=DOUBLE)
        return float((sde(ones, ones) - truth[:, None]).abs().mean())

    with pytest.MonkeyPatch.context() as patch:
        errors = [error(steps, patch) for steps in (8, 128)]
    assert math.log2(errors[0] / errors[1]) / 4 == pytest.approx(0.5, abs=0.1)


DISCRETE = [NoisyGRU(4, 1 / 15), Deconvolution1d(4, 4, 2), ConvLSTM(4)]


@pytest.mark.parametrize("member", DISCRETE, ids=lambda member: type(member).__name__)
def test_a_discrete_member_answers_its_grid_and_refuses_the_rest(member: Dynamics) -> None:
    code = torch.randn(2, 4, 3, 3) if isinstance(member, ConvLSTM) else torch.randn(2, 4)
    member.eval()
    seeds = torch.tensor([1, 2])
    states = member(code, GRID.expand(2, -1), seeds=seeds)
    assert states.shape == (2, 16, *code.shape[1:])
    assert_close(member(code[1:], GRID[None, ::3], seeds=seeds[1:]), states[1:, ::3])
    for times in (GRID[None, :2] + 0.01, -GRID[None, 1:2]):
        with pytest.raises(ValueError, match=f"{type(member).__name__} .*grid.*LatentODE"):
            member(code[:1], times)


EVERY = [*DISCRETE, Interpolated(NoisyGRU(4, 1 / 15), 1 / 15), LatentODE(Free(1)), LatentSDE(Scaled(), Scaled())]


@pytest.mark.parametrize("member", EVERY, ids=lambda member: type(member).__name__)
def test_times_that_are_no_moments_are_refused(member: Dynamics) -> None:
    code = torch.randn(1, 4, 3, 3) if isinstance(member, ConvLSTM) else torch.randn(1, 4)
    name = type(member).__name__
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{name} needs finite times; 1 of 2 are not"):
            member(code, torch.tensor([[0.0, bad]]))
    with pytest.raises(ValueError, match=rf"{name} needs at least one time; got times of shape \(1, 0\)"):
        member(code, torch.zeros(1, 0))


def test_the_deconvolutions_end_after_sixteen_frames() -> None:
    with pytest.raises(ValueError, match=r"steps 0 to 15; .*16"):
        Deconvolution1d(4, 4, 2)(torch.zeros(1, 4), torch.tensor([[16 / 15]]))


def test_the_convolutional_lstm_is_an_lstm_of_one_pixel() -> None:
    """With 1x1 pictures only the kernels' middles count, and those are an LSTM's matrices."""
    ours, theirs = ConvLSTM(3), nn.LSTMCell(3, 3)
    order = torch.tensor([0, 1, 3, 2])  # torch's gates: input, forget, candidate, output
    with torch.no_grad():
        for name, kernel in (("ih", ours.of_input), ("hh", ours.of_state)):
            middle = kernel.weight[:, :, 1, 1].unflatten(0, (4, 3))[order].flatten(0, 1)
            getattr(theirs, f"weight_{name}").copy_(middle)
        assert ours.of_input.bias is not None
        theirs.bias_ih.copy_(ours.of_input.bias.unflatten(0, (4, 3))[order].flatten())
        theirs.bias_hh.zero_()
    code = torch.randn(2, 3)
    state, wanted = theirs(code), []
    for _ in range(3):
        wanted.append(state[0])
        state = theirs(torch.zeros_like(code), state)
    states = ours(code[..., None, None], GRID[None, :3].expand(2, -1))
    assert_close(states[..., 0, 0], torch.stack(wanted, dim=1))


@pytest.mark.parametrize(("size", "original", "width"), [(16, NoisyGRU(16, 1.0), None), (100, Deconvolution1d(), 512)])
def test_members_are_matched_to_the_original(size: int, original: Dynamics, width: int | None) -> None:
    parameters = count(original)
    assert parameters == {16: 1632, 100: 826_468}[size]
    members = [parameter_matched_ode(size, parameters, order, width) for order in (1, 2, 3)]
    for member in [*members, parameter_matched_sde(size, parameters, width)]:
        assert abs(count(member) / parameters - 1) <= 0.01
    if width is None:
        assert count(members[0]) == 1633  # the public code's: a hidden layer of 49
    with pytest.raises(ValueError, match=r"to 1 %.*encoder_width"):
        parameter_matched_ode(size, size)


@pytest.mark.parametrize("order", [2, 3])
def test_convolutional_states_have_orders_too(order: int) -> None:
    member = LatentODE(LeakyConvField(4, order), nn.Conv2d(4, 4 * order, 1), order=order)
    code = torch.randn(2, 4, 3, 3)
    states = member(code, torch.tensor([[-0.2, 0.0, 1.0]] * 2))
    assert states.shape == (2, 3, 4, 3, 3)
    assert_close(states[:, 1], member.initial(code)[:, :4])
    assert JetEncoder(4, order)(torch.randn(2, 4)).shape == (2, 4 * order)
