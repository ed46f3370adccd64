"""What MODE-GAN's two stages share: WGAN-GP by a critic of moments and one of clips, and a weighted diversity."""

from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.testing import assert_close

from datamodules.clip import Batch, Trajectory
from lightning_modules.manual_optimization import Scalar
from lightning_modules.two_critic_gan import TwoCriticGAN

TIMES = torch.arange(5).expand(3, -1) / 5


class Linear(nn.Module):
    """A critic whose gradient is known."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs))

    def forward(self, x: Float[Tensor, "batch *rest"]) -> Float[Tensor, " batch"]:
        return x.flatten(1) @ self.weight


class Marked(TwoCriticGAN):
    """Real clips count 0, 1, 2, ... in time, made ones are 100 more."""

    def generate_fakes(self, batch: Batch) -> Any:
        assert isinstance(batch.clip, Trajectory)
        return batch.clip.values, batch.clip.values + 100

    def critic_inputs(self, fakes: Any) -> tuple[Tensor, Tensor]:
        return fakes

    def diversity(self, batch: Batch, fakes: Any) -> Scalar:
        return torch.tensor(7.0)


def batch() -> Batch:
    values = torch.arange(5.0)[None, :, None].expand(3, 5, 2).contiguous()
    there = torch.ones(3, 5, dtype=torch.bool)
    return Batch(Trajectory(values, TIMES), torch.arange(3), torch.arange(3), torch.full((3,), -1), there)


def gan(**arguments: Any) -> Marked:
    torch.manual_seed(0)
    return Marked(nn.Identity(), Linear(2), Linear(10), **arguments)


def test_the_losses_are_wgan_gps_with_their_weights() -> None:
    system, data = gan(penalty_weight=3.0, diversity_weight=0.5), batch()
    fakes = system.generate_fakes(data)
    critic, generator = system.critic_losses(data, fakes), system.generator_losses(data, fakes)
    frame, clip = (dict(system.critics.named_parameters())[f"{name}.weight"] for name in ("frame", "sequence"))
    assert_close(critic["frame"], 100 * frame.sum())  # E D(fake) - E D(real), at the same moments
    assert_close(critic["sequence"], 100 * clip.sum())
    assert_close(critic["frame_penalty"], 3 * (frame.norm() - 1) ** 2)
    assert_close(critic["sequence_penalty"], 3 * (clip.norm() - 1) ** 2)
    assert_close(generator["sequence"], -system.critics["sequence"](fakes[1]).mean())
    assert_close(generator["diversity"], torch.tensor(3.5))


def test_the_frame_critic_sees_one_moment_of_each_clip_the_same_of_real_and_made() -> None:
    system, data = gan(), batch()
    seen = set()
    for _ in range(20):
        (name, real, fake), (other, whole, _) = system._views(system.generate_fakes(data))
        assert (name, other) == ("frame", "sequence")
        assert_close(fake, real + 100)
        assert real.shape == (3, 2)
        assert whole.shape == (3, 5, 2)
        seen |= {tuple(row) for row in real[:, :1].T.int().tolist()}
    assert {moment for moments in seen for moment in moments} == set(range(5))
    assert any(len(set(moments)) > 1 for moments in seen)  # each clip has a moment of its own


@pytest.mark.parametrize("critic", ["frame", "sequence"])
def test_a_critic_and_a_weight_can_be_left_out(critic: str) -> None:
    system = gan(diversity_weight=0.0)
    del system.critics[critic]
    fakes = system.generate_fakes(batch())
    (left,) = {"frame", "sequence"} - {critic}
    assert set(system.critic_losses(batch(), fakes)) == {left, f"{left}_penalty"}
    assert set(system.generator_losses(batch(), fakes)) == {left}
