"""Laws of LatentODE: any times, per clip, at no extra solves."""

import math

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules.dynamics import ConvField, LatentODE

DOUBLE = torch.float64


class Pendulum(nn.Module):
    """Not linear, cheap, and smooth."""

    def forward(self, state: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]:
        angle, speed = state.unbind(1)
        return torch.stack([speed, -angle.sin()], dim=1)


def start(clips: int) -> Tensor:
    return torch.linspace(0.3, 1.2, 2 * clips, dtype=DOUBLE).unflatten(0, (clips, 2))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_solvers_converge_at_their_order(solver: str, order: int) -> None:
    times = torch.tensor([[0.4, 1.0]], dtype=DOUBLE)
    truth = LatentODE(Pendulum(), solver="dopri5", rtol=1e-12, atol=1e-13)(start(1), times)
    steps = (0.1, 0.05)
    errors = [
        float((LatentODE(Pendulum(), solver=solver, max_step=h)(start(1), times) - truth).abs().max()) for h in steps
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


def test_state_at_zero_is_the_initial_state() -> None:
    initial = nn.Linear(3, 2, dtype=DOUBLE)
    code = torch.randn(2, 3, dtype=DOUBLE)
    states = LatentODE(Pendulum(), initial=initial)(code, torch.tensor([[0.0, 0.5]] * 2, dtype=DOUBLE))
    assert_close(states[:, 0], initial(code))


@pytest.mark.parametrize("solver", ["euler", "midpoint", "rk4"])
def test_a_clip_in_a_batch_gets_what_it_gets_alone(solver: str) -> None:
    """Grids of equal longest intervals take equal steps, so agreement is to rounding, with any company."""
    times = torch.tensor([[0.1, 0.2, 0.5], [0.05, 0.2, 0.41], [0.02, 0.09, 0.39]], dtype=DOUBLE)
    dynamics = LatentODE(Pendulum(), solver=solver, max_step=1.0)
    together = dynamics(start(3), times)
    alone = torch.cat([dynamics(start(3)[i : i + 1], times[i : i + 1]) for i in range(3)])
    assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_mixed_grids_agree_to_the_solvers_tolerance() -> None:
    times = torch.tensor([[0.1, 0.2, 2.5], [0.05, 1.2, 1.41]], dtype=DOUBLE)
    dynamics = LatentODE(Pendulum(), max_step=0.1)
    alone = torch.cat([dynamics(start(2)[i : i + 1], times[i : i + 1]) for i in range(2)])
    assert_close(dynamics(start(2), times), alone, rtol=1e-6, atol=1e-6)


def test_states_at_shared_times_agree_between_grids() -> None:
    dynamics = LatentODE(Pendulum(), max_step=0.05)
    coarse = dynamics(start(2), torch.arange(0, 5, dtype=DOUBLE).expand(2, -1) * 0.2)
    fine = dynamics(start(2), torch.arange(0, 17, dtype=DOUBLE).expand(2, -1) * 0.05)
    assert_close(fine[:, ::4], coarse, rtol=1e-12, atol=1e-12)
    odd = dynamics(start(2), torch.tensor([[0.13, 0.2, 0.31, 0.8]] * 2, dtype=DOUBLE))
    assert_close(odd[:, 1::2], coarse[:, [1, 4]], rtol=1e-7, atol=1e-7)


def test_there_and_back_again() -> None:
    dynamics = LatentODE(Pendulum(), max_step=0.02)
    there = dynamics(start(2), torch.tensor([[0.7]] * 2, dtype=DOUBLE))[:, 0]
    assert_close(dynamics(there, torch.tensor([[-0.7]] * 2, dtype=DOUBLE))[:, 0], start(2), rtol=1e-8, atol=1e-8)


def test_negative_times_integrate_outwards_from_zero() -> None:
    dynamics = LatentODE(Pendulum(), max_step=0.05)
    times = torch.tensor([[-0.5, -0.2, 0.0, 0.3], [0.1, 0.2, 0.3, 0.4]], dtype=DOUBLE)
    states = dynamics(start(2), times)
    assert_close(states[0, 2], start(2)[0])
    for row, column in [(0, 0), (0, 1), (0, 3), (1, 3)]:
        one = dynamics(start(2)[row : row + 1], times[row : row + 1, column : column + 1])[0, 0]
        assert_close(states[row, column], one, rtol=1e-6, atol=1e-6)
    dynamics(start(1), torch.tensor([[-0.5, -0.2]], dtype=DOUBLE))
    assert dynamics.function_evaluations == 4 * 10  # not to -0.5 and back


def test_grids_per_clip_cost_what_one_grid_costs() -> None:
    """Solving at the union of the clips' times, as torchdiffeq asks for, costs more with every clip."""
    torch.manual_seed(0)
    counts, unions = [], []
    for clips in (1, 4, 16):
        times = torch.rand(clips, 5, dtype=DOUBLE).sort(dim=1).values
        times[:, -1] = 1
        dynamics = LatentODE(Pendulum(), max_step=1.0)
        dynamics(start(clips), times)
        counts.append(dynamics.function_evaluations)
        union = times.flatten().unique()
        dynamics(start(1), union[None])
        unions.append(dynamics.function_evaluations)
    assert counts == [4 * 5] * 3
    assert unions == [4 * (4 * clips + 1) for clips in (1, 4, 16)]


def test_evaluations_are_bounded_by_the_longest_interval() -> None:
    dynamics = LatentODE(Pendulum(), max_step=0.1)
    dynamics(start(2), torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.2, 0.35]], dtype=DOUBLE))
    assert dynamics.function_evaluations == 4 * (1 + 1 + 2)  # an interval of max_step up to rounding is one step


def test_adaptive_solver_agrees_with_fine_fixed_steps() -> None:
    times = torch.tensor([[0.0, 0.3, 0.9]] * 2, dtype=DOUBLE)
    adaptive = LatentODE(Pendulum(), solver="dopri5", rtol=1e-9, atol=1e-9)
    assert_close(adaptive(start(2), times), LatentODE(Pendulum(), max_step=0.01)(start(2), times), rtol=1e-7, atol=1e-7)


def test_dynamics_run_in_single_precision_under_autocast() -> None:
    torch.manual_seed(0)
    dynamics = LatentODE(ConvField(4, 2), max_step=0.1)
    code, times = torch.randn(1, 4, 3, 3), torch.tensor([[12.04, 12.08]]) - 12
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = dynamics(code.bfloat16(), times)
    assert mixed.dtype == torch.float32
    assert_close(mixed, dynamics(code.bfloat16().float(), times))


def test_steps_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_step must be positive; got 0"):
        LatentODE(Pendulum(), max_step=0.0)
