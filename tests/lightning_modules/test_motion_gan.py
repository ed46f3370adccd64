"""Stage I of MODE-GAN: heatmaps, diversity, critics at the tables' shapes, and motions at any times."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from benchmarks.evaluation.tasks import Generates
from datamodules.clip import Batch, KeypointClip, Trajectory, check_clip
from lightning_modules.dynamics import Dynamics, LatentODE, LatentSDE
from lightning_modules.dynamics.mlp import MLP
from lightning_modules.dynamics.motion_rnn import MotionRNN
from lightning_modules.losses.diversity import diversity_loss
from lightning_modules.losses.penalties import gradient_penalty
from lightning_modules.motion_gan import MotionGAN
from lightning_modules.networks.heatmaps import Heatmaps, gaussian_heatmaps
from lightning_modules.networks.mode_gan import MotionGenerator
from lightning_modules.networks.mode_gan_critics import FrameCritic, SequenceCritic, StateCritic, TrajectoryCritic

JOINTS, FRAMES = 3, 8


def ode() -> LatentODE:
    return LatentODE(MLP([6, 8, 6], "tanh"), MLP([4, 8, 6]), max_step=1 / 16)


def gru() -> MotionRNN:
    return MotionRNN(6, MLP([4, 8, 6]))


def sde() -> LatentSDE:
    return LatentSDE(MLP([6, 8, 6]), MLP([6, 8, 6]), MLP([4, 8, 6]), step=1 / 16)


def motion_gan(dynamics: Dynamics | None = None, size: int = 16, **options: Any) -> MotionGAN:
    torch.manual_seed(0)
    return MotionGAN(
        MotionGenerator(dynamics or ode(), MLP([6, 8, 2 * JOINTS]), code_size=4),
        Heatmaps(size),
        FrameCritic(JOINTS, 2, size),
        SequenceCritic(JOINTS, 2, size),
        first_time=1 / 16,
        **options,
    )


def pendulum_gan(dynamics: Dynamics | None = None) -> MotionGAN:
    torch.manual_seed(0)
    generator = MotionGenerator(dynamics or ode(), MLP([6, 8, 2]), code_size=4)
    return MotionGAN(generator, None, StateCritic(2, 4), TrajectoryCritic(2, 2), first_time=1 / 16)


def batch(clip: KeypointClip | Trajectory) -> Batch:
    ids = torch.arange(len(clip.times))
    return Batch(clip, ids, ids, torch.full_like(ids, -1), torch.ones(clip.times.shape, dtype=torch.bool))


def balls(count: int = 3) -> KeypointClip:
    times = (torch.arange(FRAMES) / 16).expand(count, -1)
    keypoints = 1.6 * torch.rand(count, FRAMES, JOINTS, 2) - 0.8
    return KeypointClip(torch.zeros(count, FRAMES, 1, 16, 16), times, keypoints, torch.ones(count, FRAMES, JOINTS))


def test_a_heatmap_is_equation_2_and_its_peak_is_at_the_keypoint() -> None:
    keypoints = 1.4 * torch.rand(5, JOINTS, 2, dtype=torch.float64) - 0.7
    ours = gaussian_heatmaps(keypoints, (64, 32), 0.1)
    grid = torch.stack(
        torch.meshgrid(torch.linspace(-1, 1, 64).double(), torch.linspace(-1, 1, 32).double(), indexing="ij"), -1
    ).flip(-1)
    theirs = torch.exp(-((grid - keypoints[..., None, None, :]) ** 2).sum(-1) / (2 * 0.1**2))
    assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    weight = ours / ours.sum((-2, -1), keepdim=True)
    found = (weight[..., None] * grid).sum((-3, -2))
    assert_close(found, keypoints, atol=2 / 31 * 0.15, rtol=0)  # a fraction of a pixel, the border's cut included
    rows = torch.arange(15)
    highest = ours.flatten(0, 1).flatten(1).argmax(1)
    nearest = grid.reshape(-1, 2)[highest] - keypoints.flatten(0, 1)[rows]
    assert bool((nearest.abs() <= torch.tensor([1 / 31, 1 / 63]) + 1e-6).all())


def test_a_heatmap_of_another_size_shows_the_same() -> None:
    point = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    for size in (8, 64, 128):
        drawn = Heatmaps(size)(point)
        assert drawn[0, -1, 0] == 1
        assert drawn[1, 0, -1] == 1
    with pytest.raises(ValueError, match="positive sigma"):
        Heatmaps(64, 0.0)


def test_the_diversity_loss_is_the_quotient_and_finite_where_either_part_is_zero() -> None:
    z, other, out, other_out = (torch.randn(4, 6) for _ in range(4))
    ours = diversity_loss(z, other, out, other_out, floor=0.0)
    theirs = ((z - other).norm(1, dim=1) / (out - other_out).norm(1, dim=1)).mean()
    assert_close(ours, theirs)
    assert float(diversity_loss(z, z, out, out)) == 0
    out.requires_grad_()
    for code in (other, z):
        out.grad = None
        loss = diversity_loss(z, code, out, out.detach())
        loss.backward()
        assert loss.isfinite()
        assert out.grad is not None
        assert bool(out.grad.isfinite().all())


def test_the_gradient_penalty_of_a_linear_critic_is_exact_for_each_sample() -> None:
    weights = torch.randn(5, 8 * 3)

    def critic(x: Tensor) -> Tensor:
        return (x.flatten(1) * weights).sum(1)

    ours = gradient_penalty(critic, torch.randn(5, 8, 3), torch.randn(5, 8, 3))
    assert_close(ours, (weights.norm(dim=1) - 1).square().mean())


@pytest.mark.parametrize(("critic", "shape", "layers"), [
    (FrameCritic(17), (2, 17, 64, 64), [32, 64, 128, 256, 256, 1]),
    (SequenceCritic(17), (1, 16, 17, 64, 64), [32, 32, 64, 64, 128, 128, 256, 256, 256, 1]),
    (FrameCritic(20, 64), (2, 20, 64, 64), [64, 128, 256, 512, 512, 1]),
])  # fmt: skip
def test_the_critics_are_those_of_the_tables(critic: nn.Module, shape: tuple[int, ...], layers: list[int]) -> None:
    convolutions = [m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    assert [convolution.out_channels for convolution in convolutions] == layers
    assert critic(torch.randn(shape)).shape == shape[:1]
    assert not [m for m in critic.modules() if "Norm" in type(m).__name__]


def test_the_sequence_critic_halves_space_and_time_in_turn() -> None:
    seen: list[tuple[int, ...]] = []
    critic = SequenceCritic(2, 1, 64)
    for module in critic.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(lambda m, i, o: seen.append((o.shape[2], o.shape[3])))
    critic(torch.randn(1, 16, 2, 64, 64))
    assert seen == [(16, 32), (8, 32), (8, 16), (4, 16), (4, 8), (2, 8), (2, 4), (1, 4), (1, 1), (1, 1)]
    with pytest.raises(ValueError, match="multiple of 16"):
        critic(torch.randn(1, 20, 2, 64, 64))


@pytest.mark.parametrize("make", [ode, gru])
def test_the_initial_value_is_p_of_the_code(make: Callable[[], LatentODE]) -> None:
    dynamics = make()
    generator = MotionGenerator(dynamics, nn.Identity(), code_size=4)
    code = torch.randn(3, 4)
    assert_close(generator.initial_value(code), dynamics.initial(code))


@pytest.mark.parametrize("bounded", [False, True])
def test_keypoints_leave_the_picture_unless_they_are_bounded(bounded: bool) -> None:
    torch.manual_seed(0)
    generator = MotionGenerator(ode(), MLP([6, 2 * JOINTS]), code_size=4, bounded=bounded)
    nn.init.normal_(generator.readout.layers[0].weight, std=100)
    keypoints = generator(torch.randn(3, 4), (torch.arange(FRAMES) / 16).expand(3, -1))
    assert bool((keypoints.abs() <= 1).all()) == bounded
    assert bool((keypoints.abs().amax(1) > 0.5).any())


def test_frames_at_shared_times_agree_at_16_and_64_per_second_and_before_zero() -> None:
    system, seeds = motion_gan().eval(), torch.tensor([3, 9])
    slow = (torch.arange(16) / 16).expand(2, -1)
    fast = (torch.arange(61) / 64).expand(2, -1)
    with torch.no_grad():
        at_16, at_64 = (system.generate(times, seeds=seeds) for times in (slow, fast))
        earlier = system.generate(torch.cat([slow - 1, slow], dim=1), seeds=seeds)
    assert isinstance(at_16, KeypointClip)
    assert isinstance(at_64, KeypointClip)
    assert isinstance(earlier, KeypointClip)
    assert_close(at_64.keypoints[:, ::4], at_16.keypoints, atol=1e-5, rtol=0)
    assert_close(earlier.keypoints[:, 16:], at_16.keypoints, atol=1e-5, rtol=0)
    assert not torch.equal(earlier.keypoints[:, 0], earlier.keypoints[:, 8])
    check_clip(at_64)
    assert isinstance(system, Generates)


@pytest.mark.parametrize("make", [ode, gru])
def test_a_motion_is_a_function_of_its_seed(make: Callable[[], LatentODE]) -> None:
    system = motion_gan(make()).eval()
    times = (torch.arange(8) / 16).expand(3, -1)
    with torch.no_grad():
        together = system.generate(times, seeds=torch.tensor([5, 6, 7]))
        alone = system.generate(times[:1], seeds=torch.tensor([6]))
    assert isinstance(together, KeypointClip)
    assert isinstance(alone, KeypointClip)
    assert_close(together.keypoints[1], alone.keypoints[0])
    assert not torch.allclose(together.keypoints[0], together.keypoints[1])


def test_the_rnn_refuses_times_off_its_grid() -> None:
    with pytest.raises(ValueError, match="wrap it in Interpolated"):
        motion_gan(gru()).generate(torch.tensor([[0.0, 0.03]]), seeds=torch.tensor([0]))


@pytest.mark.parametrize("make", [ode, gru])
@pytest.mark.parametrize("kind", ["heatmaps", "trajectories"])
def test_every_part_learns(make: Callable[[], LatentODE], kind: str) -> None:
    system = motion_gan(make()) if kind == "heatmaps" else pendulum_gan(make())
    times = (torch.arange(FRAMES) / 16).expand(3, -1)
    data = batch(balls() if kind == "heatmaps" else Trajectory(torch.randn(3, FRAMES, 2), times))
    fakes = system.generate_fakes(data)
    critic = system.critic_losses(data, fakes._replace(fake=fakes.fake.detach()))
    generator = system.generator_losses(data, fakes)
    assert set(critic) == {"frame", "frame_penalty", "sequence", "sequence_penalty"}
    assert set(generator) == {"frame", "sequence", "diversity"}
    for players, losses in ((system.critics, critic), (system.generator, generator)):
        players.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        for name, parameter in players.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name


@pytest.mark.parametrize("make", [ode, gru, sde])
def test_any_member_learns_and_moves_by_its_seed(make: Callable[[], Dynamics]) -> None:
    system = motion_gan(make())
    data = batch(balls())
    losses = system.generator_losses(data, system.generate_fakes(data))
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in system.generator.parameters())
    moved = [system.generate(data.clip.times, seeds=torch.tensor(seeds)) for seeds in ([1, 2, 3], [3, 1, 2])]
    first, second = (clip.keypoints for clip in moved if isinstance(clip, KeypointClip))
    assert_close(second, first[[2, 0, 1]])
    assert not torch.allclose(first[0], first[1])


def test_what_the_data_are_not_sure_of_may_fade_from_real_and_made_alike() -> None:
    clip = balls()
    clip.confidence[:, :, 1] = 0
    data = batch(clip)
    data.present[0, 3] = False
    motions = motion_gan(weight_by_confidence=True).generate_fakes(data)
    for drawn in (motions.real, motions.fake):
        assert float(drawn[:, :, 1].detach().abs().max()) == 0
        assert float(drawn[0, 3].detach().abs().max()) == 0
        assert float(motions.real[0, 2, 0].detach().abs().max()) > 0


def test_unsure_joints_count_whole_unless_told() -> None:
    clip = balls()
    clip.confidence[:, :, 1] = 0
    data = batch(clip)
    data.present[0, 3] = False
    motions = motion_gan().generate_fakes(data)
    assert_close(motions.real[1:], motion_gan().heatmaps(clip.keypoints)[1:])
    for drawn in (motions.real, motions.fake):
        assert float(drawn[0, 3].detach().abs().max()) == 0


def test_data_of_the_wrong_kind_are_refused_by_name() -> None:
    states = Trajectory(torch.randn(3, FRAMES, 2), (torch.arange(FRAMES) / 16).expand(3, -1))
    with pytest.raises(ValueError, match="has Trajectorys"):
        motion_gan().generate_fakes(batch(states))
    with pytest.raises(ValueError, match="without `heatmaps`"):
        pendulum_gan().generate_fakes(batch(balls()))
    other = motion_gan()
    other.network.readout = MLP([6, 8, 10])
    with pytest.raises(ValueError, match="5 keypoints"):
        other.generate_fakes(batch(balls()))
