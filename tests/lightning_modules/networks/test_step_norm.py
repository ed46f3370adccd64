"""Batch normalisation with running statistics for each step: torch's own, once per step."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules.networks.step_norm import StepBatchNorm2d

CLIPS, COUNT, CHANNELS = 3, 4, 2


def video(seed: int = 0) -> Tensor:
    """Maps (clips, count, channels, height, width) whose scale and mean change from step to step."""
    maps = torch.randn(CLIPS, COUNT, CHANNELS, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    step = torch.arange(COUNT)[:, None, None, None]
    return maps * (1 + step) + 3 * step


def norm(steps: int = 8, **options: str) -> StepBatchNorm2d:
    torch.manual_seed(1)
    made = StepBatchNorm2d(CHANNELS, steps, **options).double()  # type: ignore[arg-type]
    for parameter in made.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    return made


def theirs(like: StepBatchNorm2d) -> list[nn.BatchNorm2d]:
    """A norm of torch's for each step."""
    norms = [nn.BatchNorm2d(CHANNELS).double() for _ in range(COUNT)]
    for one in norms:
        one.weight, one.bias = like.weight, like.bias
    return norms


def trained(steps: int = 8, **options: str) -> StepBatchNorm2d:
    ours = norm(steps, **options)
    for seed in range(30):
        ours(video(seed).flatten(0, 1), torch.arange(COUNT))
    return ours


@pytest.mark.parametrize("momentum", [0.1, None])
def test_it_is_a_batch_norm_for_each_step(momentum: float | None) -> None:
    ours, separate = norm(), theirs(norm())
    for one in (ours, *separate):
        one.momentum = momentum
    for seed in range(3):
        maps = video(seed)
        expected = torch.stack([one(maps[:, step]) for step, one in enumerate(separate)], dim=1)
        assert_close(ours(maps.flatten(0, 1), torch.arange(COUNT)), expected.flatten(0, 1))
    assert ours.running_mean is not None
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert_close(getattr(ours, name)[:COUNT], torch.stack([getattr(one, name) for one in separate]))
    assert ours.num_batches_tracked is not None
    assert not bool(ours.num_batches_tracked[COUNT:].any())
    for one in (ours, *separate):
        one.eval()
    maps = video(9)
    expected = torch.stack([one(maps[:, step]) for step, one in enumerate(separate)], dim=1)
    assert_close(ours(maps.flatten(0, 1), torch.arange(COUNT)), expected.flatten(0, 1))


@pytest.mark.parametrize("training", [True, False])
def test_steps_in_one_call_are_steps_one_after_another(training: bool) -> None:
    together, apart, maps = trained().train(training), trained().train(training), video(7).requires_grad_()
    whole = together(maps.flatten(0, 1), torch.arange(COUNT)).unflatten(0, (CLIPS, COUNT))
    single = torch.stack([apart(maps[:, k], torch.tensor([k])) for k in range(COUNT)], dim=1)
    assert_close(whole, single)
    target = video(8)
    gradients = [torch.autograd.grad((output * target).sum(), maps)[0] for output in (whole, single)]
    assert_close(gradients[0], gradients[1], atol=1e-12, rtol=1e-7)
    for one, other in zip(together.buffers(), apart.buffers(), strict=True):
        assert_close(one, other)


def test_a_map_has_the_statistics_of_its_own_step_and_beyond_the_last_those_of_the_last() -> None:
    ours, maps = trained().eval(), video(5)
    own = torch.tensor([[0, 1, 2, 3], [2, 2, 0, 9], [63, 4, 3, 1]])
    mixed = ours(maps.flatten(0, 1), own).unflatten(0, (CLIPS, COUNT))
    for clip in range(CLIPS):
        for place in range(COUNT):
            step = own[clip, place].clamp(max=COUNT - 1)[None]
            assert_close(mixed[clip, place], ours(maps[clip, place][None], step)[0])


def test_beyond_the_last_set_steps_share_it_in_turn() -> None:
    """With a single set it is one batch norm, called for every step."""
    ours, shared = norm(1), theirs(norm(1))[0]
    maps = video()
    expected = torch.stack([shared(maps[:, step]) for step in range(COUNT)], dim=1)
    assert_close(ours(maps.flatten(0, 1), torch.arange(COUNT)), expected.flatten(0, 1))
    assert_close(ours.running_mean, shared.running_mean[None])  # type: ignore[index]
    assert_close(ours.running_var, shared.running_var[None])  # type: ignore[index]
    assert ours.num_batches_tracked == COUNT


def test_batch_statistics_are_the_batchs_in_evaluation_too() -> None:
    ours = trained(statistics="batch").eval()
    before = [buffer.clone() for buffer in ours.buffers()]
    output = ours(video(2).flatten(0, 1), torch.arange(COUNT))
    assert_close(output, norm().train()(video(2).flatten(0, 1), torch.arange(COUNT)))
    assert all(map(torch.equal, before, ours.buffers()))


def test_a_single_set_is_loaded_as_the_set_of_every_step() -> None:
    old, ours = nn.BatchNorm2d(CHANNELS).double(), norm()
    for seed in range(3):
        old(video(seed).flatten(0, 1))
    ours.load_state_dict(old.state_dict())
    maps = video(3).flatten(0, 1)
    assert_close(ours.eval()(maps, torch.arange(COUNT)), old.eval()(maps))
    again = norm()
    again.load_state_dict(trained().state_dict())
    assert_close(again.eval()(maps, torch.arange(COUNT)), trained().eval()(maps, torch.arange(COUNT)))
