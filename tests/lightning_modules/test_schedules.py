import pytest
import torch
from torch import nn

from lightning_modules.schedules import FlooredExponentialLR
from support.vid_ode_maker import make


def rates(epochs: int, **arguments: float) -> list[float]:
    optimizer = torch.optim.Adamax(nn.Linear(1, 1).parameters(), lr=1e-3)
    schedule = FlooredExponentialLR(optimizer, **arguments)
    values = []
    for _ in range(epochs):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


def test_the_released_schedule_decays_before_the_first_epoch_and_stops_at_a_tenth() -> None:
    """lr <- max(0.99 lr, 1e-4) at the start of every epoch, written out as the released code does it."""
    lr, theirs = 1e-3, []
    for _ in range(500):
        lr = max(lr * 0.99, 1e-4)
        theirs.append(lr)
    ours = rates(500)
    assert ours == pytest.approx(theirs, rel=1e-9)
    assert ours[0] == pytest.approx(9.9e-4)
    assert ours[228] > 1e-4
    assert ours[229] == pytest.approx(1e-4)


def test_the_papers_schedule_has_no_floor() -> None:
    assert rates(500, floor=0.0)[-1] == pytest.approx(1e-3 * 0.99**500)


def test_vid_ode_gives_both_players_the_schedule() -> None:
    for player in make().configure_optimizers():
        assert isinstance(player["optimizer"], torch.optim.Adamax)
        assert player["optimizer"].param_groups[0]["lr"] == pytest.approx(9.9e-4)


@pytest.mark.parametrize("arguments", [{"decay": 0.0}, {"decay": 1.1}, {"floor": -0.1}, {"floor": 2.0}])
def test_nonsense_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="decay must be in"):
        rates(1, **arguments)
