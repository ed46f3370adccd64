"""Whose turn it is: every order against a loop written by hand."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import DataLoader

from datamodules.clip import Batch, VideoClip
from lightning_modules.adversarial import AdversarialSystem, Losses, detached, frozen
from support.vid_ode_maker import batch, make

ORDERS = ("critic_first", "generator_first", "joint")


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


class TinyGAN(AdversarialSystem):
    """One number in, one number out; the least squares of both players."""

    def __init__(self, **arguments: Any) -> None:
        torch.manual_seed(0)
        generator, critic = (
            nn.Linear(4, 4).double(),
            nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double(),
        )
        super().__init__(generator, {"only": critic}, generator_optimizer=sgd, critic_optimizer=sgd, **arguments)
        self.draws = 0

    def generate_fakes(self, batch: Batch) -> Any:
        self.draws += 1
        return {"nested": [self.generator(real(batch).flip(1))]}

    def critic_losses(self, batch: Batch, fakes: Any) -> Losses:
        (fake,) = fakes["nested"]
        critic = self.critics["only"]
        return {"real": (critic(real(batch)) - 1).square().mean(), "fake": critic(fake).square().mean()}

    def generator_losses(self, batch: Batch, fakes: Any) -> Losses:
        (fake,) = fakes["nested"]
        return {"fool": (self.critics["only"](fake) - 1).square().mean()}


def real(batch: Batch) -> Tensor:
    assert isinstance(batch.clip, VideoClip)
    return batch.clip.frames.flatten(1)


def batches(count: int, clips: int) -> list[Batch]:
    return [batch(clips, 1, size=2, seed=seed) for seed in range(count)]


def fit(system: AdversarialSystem, data: Sequence[Batch], epochs: int = 1) -> AdversarialSystem:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    loader: Any = DataLoader(data, batch_size=None)  # type: ignore[arg-type]
    Trainer(max_epochs=epochs, accelerator="cpu", **quiet).fit(system, loader)  # type: ignore[arg-type]
    return system


def by_hand(data: Sequence[Batch], order: str, fakes: str) -> nn.ModuleList:
    """The same players, moved with nothing but autograd."""
    players = TinyGAN()
    generator, critic = players.generator, players.critics["only"]

    def move(player: nn.Module, loss: Tensor) -> None:
        parameters = list(player.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            with torch.no_grad():
                parameter.sub_(0.1 * gradient)

    def on_critic(batch: Batch, fake: Tensor) -> Tensor:
        return (critic(real(batch)) - 1).square().mean() + critic(fake.detach()).square().mean()

    def on_generator(fake: Tensor) -> Tensor:
        return (critic(fake) - 1).square().mean()

    for one in data:
        drawn = generator(real(one).flip(1))
        if order == "joint":
            at_old_weights = copy.deepcopy(critic)
            move(critic, on_critic(one, drawn))
            move(generator, (at_old_weights(drawn) - 1).square().mean())
        elif order == "critic_first":
            move(critic, on_critic(one, drawn))
            move(generator, on_generator(drawn))
        else:
            move(generator, on_generator(drawn))
            move(critic, on_critic(one, drawn if fakes == "shared" else generator(real(one).flip(1))))
    return nn.ModuleList([generator, critic])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fakes", ["fresh", "shared"])
def test_turns_are_those_written_by_hand(order: str, fakes: str) -> None:
    data = batches(3, 4)
    ours = fit(TinyGAN(order=order, fakes=fakes), data)
    theirs = by_hand(data, order, fakes)
    assert_close(list(ours.generator.parameters()), list(theirs[0].parameters()))
    assert_close(list(ours.critics["only"].parameters()), list(theirs[1].parameters()))
    assert isinstance(ours, TinyGAN)
    assert ours.draws == (6 if fakes == "fresh" and order != "joint" else 3)
    assert ours.generator_updates == 3
    assert all(p.requires_grad and p.grad is None for p in ours.parameters())


def test_joint_is_generator_first_with_shared_fakes_and_nothing_else() -> None:
    data = batches(3, 4)
    joint = list(fit(TinyGAN(order="joint"), data).parameters())
    assert_close(list(fit(TinyGAN(order="generator_first", fakes="shared"), data).parameters()), joint)
    for order, fakes in (("critic_first", "fresh"), ("critic_first", "shared"), ("generator_first", "fresh")):
        other = fit(TinyGAN(order=order, fakes=fakes), data).parameters()
        assert max(float((p - q).abs().max()) for p, q in zip(other, joint, strict=True)) > 1e-6


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fakes", ["fresh", "shared"])
def test_two_batches_of_four_are_one_of_eight(order: str, fakes: str) -> None:
    fours = batches(4, 4)
    eights = [_joined(*fours[:2]), _joined(*fours[2:])]
    halves = fit(TinyGAN(order=order, fakes=fakes, accumulate=2), fours)
    whole = fit(TinyGAN(order=order, fakes=fakes), eights)
    assert_close(list(halves.parameters()), list(whole.parameters()))
    assert halves.generator_updates == whole.generator_updates == 2


def _joined(a: Batch, b: Batch) -> Batch:
    frames, times = (torch.cat(fields) for fields in zip(a.clip, b.clip, strict=True))
    ids, labels, present = (torch.cat(fields) for fields in zip(a[1:4], b[1:4], strict=True))
    return Batch(VideoClip(frames, times), ids, ids, labels, present)


def test_the_last_update_of_an_epoch_takes_what_is_left() -> None:
    system = fit(TinyGAN(accumulate=2), batches(3, 4), epochs=2)
    assert (system.updates, system.generator_updates) == (4, 4)


@pytest.mark.parametrize("order", ORDERS)
def test_the_generator_moves_in_every_second_update(order: str) -> None:
    system = fit(TinyGAN(order=order, critic_updates=2), batches(5, 4))
    assert (system.updates, system.generator_updates) == (5, 2)
    checkpoint: dict[str, Any] = {}
    system.on_save_checkpoint(checkpoint)
    other = TinyGAN()
    other.on_load_checkpoint(checkpoint)
    assert (other.updates, other.generator_updates) == (5, 2)


def test_gradients_are_clipped_player_by_player() -> None:
    before = TinyGAN()
    system = fit(TinyGAN(clip_norm=1e-3), batches(1, 4))
    for player, start in ((system.generator, before.generator), (system.critics, before.critics)):
        moves = zip(player.parameters(), start.parameters(), strict=True)
        length = torch.cat([(p - q).detach().flatten() for p, q in moves]).norm()
        assert_close(length.item(), 0.1 * 1e-3, rtol=1e-3, atol=0.0)


def test_frozen_gives_back_what_it_took_and_no_more() -> None:
    module = nn.Linear(2, 2)
    assert module.bias is not None
    module.bias.requires_grad_(False)
    with frozen(module):
        assert not any(p.requires_grad for p in module.parameters())
    assert [p.requires_grad for p in module.parameters()] == [True, False]


def test_detached_cuts_the_history_of_tensors_in_any_nesting() -> None:
    tensor = torch.ones(1, requires_grad=True) * 2
    cut = detached({"a": [tensor], "b": (None, 3)})
    assert not cut["a"][0].requires_grad
    assert cut["b"] == (None, 3)


@pytest.mark.parametrize("arguments", [{"critic_updates": 0}, {"accumulate": 0}])
def test_nonsense_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        TinyGAN(**arguments)


@pytest.mark.parametrize("mode", ["extrapolate", "interpolate"])
def test_vid_odes_shared_pass_is_the_plain_joint_turn(mode: str) -> None:
    """`VidODE.joint_losses` against the method that it replaces."""
    system, clips = make(mode), batch(frames=10 if mode == "extrapolate" else 5)
    results = []
    for losses in (system.joint_losses, lambda *args: AdversarialSystem.joint_losses(system, *args)):
        system.zero_grad()
        critic, generator = losses(clips, system.generate_fakes(clips))
        sum(critic.values()).backward()
        sum(generator.values()).backward()
        gradients = [p.grad.clone() for p in system.parameters() if p.grad is not None]
        results.append([*(critic | generator).values(), *gradients])
    assert_close(results[0], results[1], rtol=1e-6, atol=1e-12)


def test_without_critics_there_is_one_optimiser_and_no_adversarial_term() -> None:
    system, clips = make(image_critic=None, sequence_critic=None), batch()
    assert len(system.configure_optimizers()) == 1
    before = [p.clone() for p in system.parameters()]
    assert set(system.generator_losses(clips, system.generate_fakes(clips))) == {"reconstruction", "difference"}
    fit(system, [clips])
    assert system.generator_updates == 1
    assert any(not torch.equal(p, q) for p, q in zip(system.parameters(), before, strict=True))
