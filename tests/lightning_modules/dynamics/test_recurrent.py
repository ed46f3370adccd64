import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules.dynamics import Interpolated, Recurrent
from lightning_modules.networks.conv_gru import ConvGRUCell


class Doubling(nn.Module):
    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return x + h


def test_states_are_the_cell_applied_again_and_again() -> None:
    dynamics = Recurrent(Doubling(), interval=0.1)
    states = dynamics(torch.ones(2, 1), torch.tensor([[0.0, 0.1, 0.3], [0.1, 0.2, 0.4]]))
    assert_close(states[..., 0], torch.tensor([[1.0, 2.0, 8.0], [2.0, 4.0, 16.0]]))


def test_times_off_the_grid_are_refused_with_a_way_out() -> None:
    way_out = "is 0.5 steps off it. .*seconds_per_unit.* Interpolated, or use LatentODE or LatentSDE"
    with pytest.raises(ValueError, match=rf"grid of 0.1 model units.*{way_out}"):
        Recurrent(Doubling(), interval=0.1)(torch.ones(1, 1), torch.tensor([[0.0, 0.15]]))


@pytest.mark.parametrize("times", [[-0.1, 0.1], [-0.05, 0.15]])
def test_times_before_zero_are_left_to_the_ode_alone(times: list[float]) -> None:
    with pytest.raises(ValueError, match=rf"from 0 on; .*{times[0]}\. Use LatentODE,") as refusal:
        Recurrent(Doubling(), interval=0.1)(torch.ones(1, 1), torch.tensor([times]))
    assert not any(name in str(refusal.value) for name in ("Interpolated", "LatentSDE"))


def test_interpolated_blends_the_two_neighbours() -> None:
    dynamics = Interpolated(Recurrent(Doubling(), interval=0.1), interval=0.1)
    states = dynamics(torch.ones(1, 1), torch.tensor([[0.0, 0.05, 0.1, 0.175]]))
    assert_close(states[0, :, 0], torch.tensor([1.0, 1.5, 2.0, 3.5]))


def test_interpolated_refuses_times_before_zero() -> None:
    with pytest.raises(ValueError, match=r"times from 0 on; .*-0\.1\. Use LatentODE"):
        Interpolated(Recurrent(Doubling(), 0.1), 0.1)(torch.ones(1, 1), torch.tensor([[-0.1, 0.1]]))


def test_the_gate_decides_between_old_and_new() -> None:
    """u = 0 keeps the state, u = 1 replaces it; with r = 0 the new one is made of the input alone."""
    torch.manual_seed(0)
    cell = ConvGRUCell(2)
    x, h = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    nn.init.zeros_(cell.gates.weight)
    assert cell.gates.bias is not None
    with torch.no_grad():
        cell.gates.bias.copy_(torch.tensor([-99.0, -99, -99, -99]))
        assert_close(cell(x, h), h)
        cell.gates.bias.copy_(torch.tensor([-99.0, -99, 99, 99]))
        only_input = cell.candidate(torch.cat([x, torch.zeros_like(h)], dim=1)).tanh()
        assert_close(cell(x, h), only_input)
