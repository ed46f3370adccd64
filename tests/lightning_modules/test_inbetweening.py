"""The inbetweening system: its verb, its losses, its penalty, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy
from torch.testing import assert_close
from torch.utils.data import DataLoader

from benchmarks.evaluation.tasks import Inbetween, Inbetweens
from datamodules.clip import Batch, Trajectory, VideoClip
from datamodules.errors import UserError
from lightning_modules.checkpoints.build import build
from lightning_modules.inbetweening import Inbetweening, InbetweeningFakes
from lightning_modules.losses.penalties import weighted_logit_penalty
from lightning_modules.networks.inbetweening_critics import VideoCritic, exchange_ends, rank_auc

torch.set_num_threads(1)

NETWORKS = "lightning_modules.networks"


def config(variant: str = "fusion", frames: int = 8, **system: Any) -> dict[str, Any]:
    small = {"channels": 1, "size": 16}
    generator = small | {"frames": frames, "width": 4, "latent": 4, "noise": 4, "variant": variant}
    blocks = {4: 3, 8: 4, 16: 3, 32: 4}[frames]
    parts = {
        "generator": {
            "class_path": f"{NETWORKS}.inbetweening.InbetweeningNetwork",
            "init_args": generator | {"blocks": blocks},
        },
        "video_critic": {
            "class_path": f"{NETWORKS}.inbetweening_critics.VideoCritic",
            "init_args": small | {"frames": frames, "width": 4},
        },
        "image_critic": {
            "class_path": f"{NETWORKS}.inbetweening_critics.ImageCritic",
            "init_args": small | {"width": 4},
        },
    }
    return {"class_path": "lightning_modules.inbetweening.Inbetweening", "init_args": parts | system}


def system_of(**arguments: Any) -> Inbetweening:
    torch.manual_seed(0)
    system = build(config(**arguments))
    assert isinstance(system, Inbetweening)
    for part in system.generator.modules():  # fresh norms let the noise through hardly at all
        if isinstance(part, nn.BatchNorm3d):
            nn.init.uniform_(part.weight, 0.5, 2)
    return system.eval()


def batch_of(clips: int = 3, frames: int = 8, **fields: Any) -> Batch:
    times = (torch.arange(frames) / 25).expand(clips, -1).clone()
    clip = VideoClip(torch.rand(clips, frames, 1, 16, 16) * 2 - 1, times)
    ids = torch.arange(clips)
    batch = Batch(clip, ids, ids, torch.full((clips,), -1), torch.ones(clips, frames, dtype=torch.bool))
    return batch._replace(**fields)


def ends(batch: Batch) -> VideoClip:
    assert isinstance(batch.clip, VideoClip)
    return VideoClip(batch.clip.frames[:, [0, -1]], batch.clip.times[:, [0, -1]])


def test_the_ends_come_back_exactly_as_given() -> None:
    system, batch = system_of(), batch_of()
    with torch.no_grad():
        clip = system.inbetween(ends(batch), batch.clip.times, seeds=torch.arange(3))
    assert clip.frames.shape == batch.clip.frames.shape  # type: ignore[union-attr]
    assert torch.equal(clip.frames[:, [0, -1]], ends(batch).frames)
    assert torch.equal(clip.times, batch.clip.times)
    assert clip.frames.abs().max() <= 1


@pytest.mark.parametrize("variant", ["fusion", "without_fusion", "naive"])
def test_a_seed_is_a_clip_wherever_it_stands_and_another_seed_another_clip(variant: str) -> None:
    system, batch = system_of(variant=variant, frames=4), batch_of(frames=4)
    observed, times = ends(batch), batch.clip.times[:, 1:-1]
    with torch.no_grad():
        ours = system.inbetween(observed, times, seeds=torch.tensor([5, 6, 7])).frames
        alone = system.inbetween(VideoClip(*(x[1:2] for x in observed)), times[1:2], seeds=torch.tensor([6])).frames
        other = system.inbetween(observed, times, seeds=torch.tensor([5, 8, 7])).frames
    assert_close(ours[1:2], alone)
    assert_close(ours[[0, 2]], other[[0, 2]])
    assert (ours[1] - other[1]).abs().max() > 1e-4


def test_fewer_times_are_the_same_frames() -> None:
    system, batch = system_of(), batch_of()
    with torch.no_grad():
        whole = system.inbetween(ends(batch), batch.clip.times, seeds=torch.arange(3)).frames
        some = system.inbetween(ends(batch), batch.clip.times[:, [2, 5]], seeds=torch.arange(3)).frames
    assert_close(some, whole[:, [2, 5]])


def test_a_chain_of_key_frames_is_filled_gap_by_gap_each_with_its_own_noise() -> None:
    system = system_of()
    keys = torch.rand(2, 1, 1, 16, 16).expand(2, 3, 1, 16, 16)  # the same picture three times
    known = torch.tensor([[0.0, 0.7, 1.4], [0.0, 1.4, 2.8]])  # another frame rate for each clip
    times = torch.arange(15) / 10 * torch.tensor([[1.0], [2.0]])
    with torch.no_grad():
        frames = system.inbetween(VideoClip(keys, known), times, seeds=torch.arange(2)).frames
        first = system.inbetween(VideoClip(keys[:, :2], known[:, :2]), times[:, :8], seeds=torch.arange(2)).frames
    assert torch.equal(frames[:, [0, 7, 14]], keys)
    assert_close(frames[:, :8], first)
    assert not torch.allclose(frames[:, 1:7], frames[:, 8:14])


def test_key_frames_alone_need_no_network() -> None:
    system, batch = system_of(), batch_of()
    asked = system.inbetween(ends(batch), ends(batch).times, seeds=torch.arange(3))
    assert torch.equal(asked.frames, ends(batch).frames)


@pytest.mark.parametrize("moment", [0.02, -0.04, 0.32])
def test_times_off_the_grid_are_refused_with_the_way_out(moment: float) -> None:
    system, batch = system_of(), batch_of(1)
    with pytest.raises(ValueError, match=r"every 0\.04 s; .* Vid-ODE"):
        system.inbetween(ends(batch), torch.tensor([[moment]]), seeds=torch.arange(1))


NAN = float("nan")


@pytest.mark.parametrize(("known", "moment", "message"), [
    ([0.0, 0.28], NAN, "asked for must be finite"),
    ([0.0, NAN], 0.04, "of a clip must be finite"),
    ([0.28, 0.28], 0.28, "increase strictly; the smallest step is 0 s"),
    ([0.28, 0.0], 0.04, "increase strictly; the smallest step is -0.28 s"),
])  # fmt: skip
def test_times_that_are_none_and_two_key_frames_at_one_time_are_refused(
    known: list[float], moment: float, message: str
) -> None:
    observed = VideoClip(torch.zeros(1, 2, 1, 16, 16), torch.tensor([known]))
    with pytest.raises(UserError, match=message):
        system_of().inbetween(observed, torch.tensor([[moment]]), seeds=torch.arange(1))


def test_one_key_frame_is_refused() -> None:
    observed = VideoClip(torch.zeros(1, 1, 1, 16, 16), torch.zeros(1, 1))
    with pytest.raises(ValueError, match="a start and an end frame"):
        system_of().inbetween(observed, torch.tensor([[0.04]]), seeds=torch.arange(1))


def test_it_answers_the_inbetweening_task() -> None:
    system = system_of()
    assert isinstance(system, Inbetweens)
    query = Inbetween().make_query(batch_of(), VideoClip)
    with torch.no_grad():
        answer = Inbetween().run(system, query)
    assert answer.frames.shape == query.target.frames.shape
    assert torch.equal(answer.times, query.target.times)


def test_the_critics_see_the_given_ends_and_a_frame_between() -> None:
    system, batch = system_of(), batch_of(64)
    fakes = system.generate_fakes(batch)
    assert isinstance(fakes, InbetweeningFakes)
    assert torch.equal(fakes.videos[:, [0, -1]], ends(batch).frames)
    assert set(fakes.middle.tolist()) == {1, 2, 3, 4, 5, 6}


def test_losses_are_binary_cross_entropy() -> None:
    system, batch = system_of(penalty_weight=0.0), batch_of()
    fakes = system.generate_fakes(batch)
    rows = torch.arange(3)
    views = {
        "video": (batch.clip.frames, fakes.videos),  # type: ignore[union-attr]
        "image": (batch.clip.frames[rows, fakes.middle], fakes.videos[rows, fakes.middle]),  # type: ignore[union-attr]
    }
    critic, generator = system.critic_losses(batch, fakes), system.generator_losses(batch, fakes)
    assert set(critic) == set(generator) == set(views)
    for name, (real, fake) in views.items():
        d_real, d_fake = (system.critics[name](x).sigmoid() for x in (real, fake))
        one, zero = torch.ones(3), torch.zeros(3)
        assert_close(critic[name], binary_cross_entropy(d_real, one) + binary_cross_entropy(d_fake, zero))
        assert_close(generator[name], binary_cross_entropy(d_fake, one))


def test_the_penalty_is_autograds_by_hand_on_a_toy_critic() -> None:
    """For f(x) = w x^2 / 2 summed, grad f = w x: E (1 - D)^2 |w x|^2 + E D^2 |w y|^2, and its derivative by w."""
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x = torch.randn(5, 3, 2, dtype=torch.float64, requires_grad=True)
    y = torch.randn(5, 3, 2, dtype=torch.float64, requires_grad=True)
    both = torch.cat([x, y])

    def logits(z: Tensor) -> Tensor:
        return weight * z.square().flatten(1).sum(dim=1) / 2

    def by_hand(w: float) -> float:
        total = 0.0
        for real, fake in zip(x.detach(), y.detach(), strict=True):
            d_real = 1 / (1 + torch.exp(-w * real.square().sum() / 2))
            d_fake = 1 / (1 + torch.exp(-w * fake.square().sum() / 2))
            total += float((1 - d_real) ** 2 * w**2 * real.square().sum())
            total += float(d_fake**2 * w**2 * fake.square().sum())
        return total / 5

    ours = weighted_logit_penalty(*logits(both).chunk(2), both)
    assert float(ours) == pytest.approx(by_hand(0.7))
    ours.backward()
    assert weight.grad is not None
    assert float(weight.grad) == pytest.approx((by_hand(0.7 + 1e-6) - by_hand(0.7 - 1e-6)) / 2e-6, rel=1e-6)


def test_half_a_tenth_of_each_critics_penalty_counts() -> None:
    system, batch = system_of(), batch_of()
    fakes = system.generate_fakes(batch)
    fakes = InbetweeningFakes(fakes.videos.detach(), fakes.middle)
    losses = system.critic_losses(batch, fakes)
    assert set(losses) == {"video", "video_penalty", "image", "image_penalty"}
    critic, theirs = system.critics["video"], torch.zeros(())
    for judged, sign in ((batch.clip.frames, -1), (fakes.videos, 1)):  # type: ignore[union-attr]
        x = judged.clone().requires_grad_()
        logits = critic(x)
        (gradient,) = torch.autograd.grad(logits.sum(), x)
        theirs = theirs + ((sign * logits).sigmoid() ** 2 * gradient.flatten(1).norm(dim=1) ** 2).mean()
    assert_close(losses["video_penalty"], 0.05 * theirs)
    losses["video_penalty"].backward()
    assert all(p.grad is not None for name, p in critic.named_parameters() if name != "head.bias")


def test_the_optimisers_are_the_papers() -> None:
    for player in system_of().configure_optimizers():
        assert isinstance(player["optimizer"], torch.optim.Adam)
        group = player["optimizer"].param_groups[0]
        assert (group["lr"], group["betas"], group["eps"]) == (5e-5, (0.5, 0.999), 1e-8)


@pytest.mark.parametrize(("fields", "message"), [
    ({"clip": VideoClip(torch.zeros(1, 6, 1, 16, 16), torch.arange(6.0)[None])}, "num_frames: 8"),
    ({"clip": Trajectory(torch.zeros(1, 8, 2), torch.arange(8.0)[None])}, "without pixels"),
    ({"clip": VideoClip(torch.zeros(1, 8, 1, 16, 16), torch.arange(8.0)[None] ** 2)}, "irregular"),
    ({"present": torch.arange(8)[None] != 3}, "complete clips"),
    ({"valid": torch.ones(1, 8, 1, 16, 16, dtype=torch.bool)}, "complete clips"),
])  # fmt: skip
def test_clips_that_cannot_be_learnt_from_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        system_of().generate_fakes(batch_of(1, **fields))


def test_critics_for_other_frames_are_refused() -> None:
    wrong = config()
    wrong["init_args"]["video_critic"]["init_args"]["frames"] = 16
    with pytest.raises(ValueError, match="the video_critic 16"):
        build(wrong)


def test_the_last_blocks_are_decoded_between_the_ends() -> None:
    system, batch = system_of(), batch_of()
    with torch.no_grad():
        rows = system.decode_blocks(ends(batch), seeds=torch.arange(3), last=2)
        whole = system.inbetween(ends(batch), batch.clip.times[:, 1:-1], seeds=torch.arange(3)).frames
    assert len(rows) == 2
    assert_close(rows[-1], whole)


class Ends(VideoCritic):
    """Sees whether the ends fit the frames beside them, or nothing but the frames between."""

    sees = True

    def forward(self, video: Tensor) -> Tensor:
        if self.sees:
            steps = video.diff(dim=1).abs().flatten(2).mean(2)
            return -(steps[:, 0] + steps[:, -1])
        return video[:, 1:-1].flatten(1).mean(1)


class Clips(LightningDataModule):
    """Clips that hardly change, each of its own brightness, in batches of 4, 4 and 1."""

    def val_dataloader(self) -> DataLoader[Any]:
        batches = []
        for count in (4, 4, 1):
            whole = batch_of(count)
            assert isinstance(whole.clip, VideoClip)
            shade = torch.rand(count, 1, 1, 1, 1)
            batches.append(whole._replace(clip=whole.clip._replace(frames=shade + 0.01 * whole.clip.frames)))
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("sees", "auc"), [(True, 1.0), (False, 0.5)])
@pytest.mark.filterwarnings("ignore:The 'val_dataloader' does not have many workers")
def test_a_validation_says_whether_the_video_critic_sees_the_ends(tmp_path: Path, sees: bool, auc: float) -> None:
    system = system_of()
    critic = Ends(channels=1, size=16, frames=8, width=4)
    critic.sees = sees
    system.critics["video"] = critic
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    for _ in range(2):  # the second validation starts anew
        (logged,) = trainer.validate(system, Clips(), verbose=False)
        assert logged["val/critic_auc_mismatched_ends"] == pytest.approx(auc)
        assert logged["val/critic_prefers_own_ends"] == float(sees)
    assert not any("ends" in name for name in system.state_dict())


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    higher, lower = torch.randn(7).round(), torch.randn(5).round()
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in higher.tolist() for b in lower.tolist()]
    assert float(rank_auc(higher, lower)) == pytest.approx(sum(pairs) / 35)


def test_exchanged_ends_are_those_of_another_clip() -> None:
    videos = batch_of(4).clip.frames  # type: ignore[union-attr]
    exchanged = exchange_ends(videos)
    assert torch.equal(exchanged[:, 1:-1], videos[:, 1:-1])
    assert torch.equal(exchanged[:, [0, -1]], videos[[2, 3, 0, 1]][:, [0, -1]])
    assert torch.equal(exchange_ends(videos[:2])[:, [0, -1]], videos[[1, 0]][:, [0, -1]])
