"""Stage II of MODE-GAN and the two stages joined: motion and appearance kept apart, frames kept independent."""

from pathlib import Path

import pytest
import torch
import yaml
from torch.testing import assert_close

from benchmarks.evaluation.tasks import Generates
from datamodules.clip import Batch, KeypointClip, VideoClip, check_clip
from datamodules.errors import UserError
from lightning_modules.checkpoints.build import build, load, save
from lightning_modules.mode_gan import ModeGAN, join
from lightning_modules.motion_gan import MotionGAN
from lightning_modules.motion_to_video_gan import MotionToVideoGAN
from lightning_modules.networks.heatmaps import Heatmaps
from lightning_modules.networks.mode_gan import CompositionBlock, MotionToVideoGenerator
from lightning_modules.networks.mode_gan_critics import FrameCritic, SequenceCritic
from support import mode_gan_maker
from support.mode_gan_maker import SIZE

CONFIGS = Path(__file__).parents[2] / "configs"
JOINTS, FRAMES = 3, 8


def video_gan() -> MotionToVideoGAN:
    torch.manual_seed(0)
    return MotionToVideoGAN(
        MotionToVideoGenerator(JOINTS, 1, SIZE, width=2, code_size=4, hidden=4),
        Heatmaps(SIZE),
        FrameCritic(JOINTS + 1, 2, SIZE),
        SequenceCritic(JOINTS + 1, 2, SIZE),
    )


def stages() -> tuple[MotionGAN, MotionToVideoGAN]:
    torch.manual_seed(0)
    motion, video = build(mode_gan_maker.motion(critic=True)), build(mode_gan_maker.video())
    assert isinstance(motion, MotionGAN)
    assert isinstance(video, MotionToVideoGAN)
    return motion, video


def balls(count: int = 3, frames: int = FRAMES) -> KeypointClip:
    times = (torch.arange(frames) / 16).expand(count, -1)
    keypoints = 1.6 * torch.rand(count, frames, JOINTS, 2) - 0.8
    pictures = 2 * torch.rand(count, frames, 1, SIZE, SIZE) - 1
    return KeypointClip(pictures, times, keypoints, torch.ones(count, frames, JOINTS))


def batch(clip: KeypointClip) -> Batch:
    count, length = clip.times.shape
    ids = torch.arange(count)
    return Batch(clip, ids, ids, torch.full((count,), -1), torch.ones(count, length, dtype=torch.bool))


def test_the_generator_is_that_of_table_4_and_grows_by_one_block() -> None:
    with torch.device("meta"):
        paper, larger = MotionToVideoGenerator(17), MotionToVideoGenerator(17, size=128)
    for generator, widths in ((paper, [512, 256, 128, 64]), (larger, [512, 256, 128, 64, 32])):
        blocks = [block for block in generator.blocks if isinstance(block, CompositionBlock)]
        assert [block.convolve.out_channels for block in blocks] == widths
        assert blocks[0].convolve.in_channels == 512
    assert paper.appearance(torch.empty(2, 128, device="meta")).shape == (2, 8192)
    assert larger(torch.empty(1, 2, 128).to("meta")[:, 0], torch.empty(1, 2, 17, 128, 128).to("meta")).shape[-1] == 128


def test_a_block_is_equation_5() -> None:
    """Against the equation written out, with statistics over all frames of the batch."""
    torch.manual_seed(1)
    block = CompositionBlock(4, 5, JOINTS, 6, 3)
    with torch.no_grad():
        block.balance.copy_(torch.tensor([0.3, -0.7]))
    image, maps, feature = torch.randn(6, 4, 8, 8), torch.rand(6, JOINTS, 8, 8), torch.randn(3, 6)
    ours = block(image, maps, feature, 2)
    mean, variance = image.mean((0, 2, 3)), image.var((0, 2, 3), correction=0)
    standard = (image - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    appearance = block.project(feature)[[0, 0, 1, 1, 2, 2]]
    a, b = torch.sigmoid(torch.tensor([0.3, -0.7]))
    gamma = a * block.motion_scale(maps) + (1 - a) * block.appearance_scale(appearance)[..., None, None]
    beta = b * block.motion_shift(maps) + (1 - b) * block.appearance_shift(appearance)[..., None, None]
    theirs = block.convolve(torch.nn.functional.leaky_relu(gamma * standard + beta, 0.2))
    assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_frame_depends_on_no_other_frame_at_test_time() -> None:
    system, motion = video_gan(), balls(2, 12)
    system.generate_fakes(batch(balls()))  # running statistics that are not the initial ones
    system.eval()
    seeds = torch.tensor([1, 2])
    with torch.no_grad():
        whole, chunked = (system.render(motion, seeds=seeds, chunk=chunk) for chunk in (64, 5))
        fewer = KeypointClip(*(field[:, ::3] for field in motion))
        third = system.render(fewer, seeds=seeds)
    assert_close(chunked.frames, whole.frames, atol=1e-5, rtol=0)
    assert_close(third.frames, whole.frames[:, ::3], atol=1e-5, rtol=0)
    check_clip(whole)


def test_every_part_learns() -> None:
    system, data = video_gan(), batch(balls())
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


def test_a_missing_frame_is_grey_before_the_critics_real_or_made() -> None:
    data = batch(balls())
    data.present[1, 2] = False
    fakes = video_gan().generate_fakes(data)
    for shown in (fakes.real, fakes.fake, fakes.maps):
        assert float(shown[1, 2].detach().abs().max()) == 0
        assert float(shown[1, 3].detach().abs().max()) > 0


def test_unsure_joints_are_whole_in_training_and_in_sampling() -> None:
    """Eq. 2 has no weights, and stage I's motions have none: what is trained on must look like what is rendered."""
    clip, system = balls(), video_gan()
    unsure = clip._replace(confidence=torch.full_like(clip.confidence, 0.3))
    for one in (clip, unsure):
        assert_close(system.generate_fakes(batch(one)).maps, system.heatmaps(clip.keypoints))
    seeds = torch.arange(3)
    assert torch.equal(system.eval().render(clip, seeds=seeds).frames, system.render(unsure, seeds=seeds).frames)


def test_a_stage_that_fades_unsure_joints_does_so_in_both_and_cannot_be_joined() -> None:
    clip, system = balls(), video_gan()
    unsure = clip._replace(confidence=torch.full_like(clip.confidence, 0.3))
    system.weight_by_confidence = True
    assert_close(system.generate_fakes(batch(unsure)).maps, 0.3 * system.heatmaps(clip.keypoints))
    seeds = torch.arange(3)
    assert not torch.equal(system.eval().render(clip, seeds=seeds).frames, system.render(unsure, seeds=seeds).frames)
    motion, video = stages()
    assert video.config is not None
    video.config["init_args"]["weight_by_confidence"] = True
    with pytest.raises(UserError, match="confidence"):
        join(motion, video)


def test_what_does_not_fit_is_refused() -> None:
    clip = balls()
    with pytest.raises(ValueError, match="keypoints of its clips"):
        video_gan().generate_fakes(batch(clip)._replace(clip=VideoClip(clip.frames, clip.times)))
    with pytest.raises(ValueError, match="frames of"):
        video_gan().generate_fakes(batch(clip._replace(frames=torch.zeros(3, FRAMES, 1, 8, 8))))
    with pytest.raises(ValueError, match="sizes must agree"):
        MotionToVideoGAN(MotionToVideoGenerator(JOINTS, size=SIZE, width=1), Heatmaps(8))


def test_motion_is_bit_equal_for_every_appearance_and_the_reverse() -> None:
    joined = join(*stages())
    times = (torch.arange(8) / 16).expand(2, -1)
    received: list[torch.Tensor] = []
    joined.video.generator.register_forward_pre_hook(lambda _, inputs: received.append(inputs[1]))
    with torch.no_grad():
        one, other, same = (
            joined.generate(times, seeds=torch.tensor([0, 1]), appearance_seeds=torch.tensor(seeds))
            for seeds in ([5, 6], [7, 8], [5, 6])
        )
        moved = joined.generate(
            times, seeds=torch.tensor([0, 1]), motion_seeds=torch.tensor([9, 9]), appearance_seeds=torch.tensor([5, 6])
        )
    assert torch.equal(received[0], received[1])
    assert not torch.equal(one.frames, other.frames)
    assert torch.equal(one.frames, same.frames)
    assert not torch.equal(received[0], received[3])
    assert not torch.equal(one.frames, moved.frames)


def test_frames_at_shared_times_agree_at_16_and_64_per_second_and_backwards() -> None:
    joined, seeds = join(*stages()), torch.tensor([3])
    slow, fast = (torch.arange(8) / 16)[None], (torch.arange(29) / 64)[None]
    with torch.no_grad():
        at_16, at_64 = (joined.generate(times, seeds=seeds) for times in (slow, fast))
        both = joined.generate(torch.cat([slow - 1, slow], dim=1), seeds=seeds)
        uneven = joined.generate(torch.cat([slow[:, :4], fast[:, 13:20], slow[:, 5:]], dim=1), seeds=seeds)
    assert_close(at_64.frames[:, ::4], at_16.frames, atol=1e-4, rtol=0)
    assert_close(both.frames[:, 8:], at_16.frames, atol=1e-4, rtol=0)
    assert_close(uneven.frames[:, :4], at_16.frames[:, :4], atol=1e-4, rtol=0)
    assert torch.equal(at_64.times, fast)
    assert isinstance(joined, Generates)


def test_a_joined_model_is_one_file_without_critics(tmp_path: Path) -> None:
    joined = join(*stages())
    assert not [name for name in joined.state_dict() if ".critics." in name]
    save(joined, tmp_path / "mode_gan.safetensors")
    again = load(tmp_path / "mode_gan.safetensors")
    assert isinstance(again, ModeGAN)
    times, seeds = (torch.arange(4) / 16)[None], torch.tensor([11])
    with torch.no_grad():
        assert torch.equal(again.generate(times, seeds=seeds).frames, joined.generate(times, seeds=seeds).frames)
    motion, video = stages()
    with pytest.raises(ValueError, match="in this order"):
        join(video, motion)


@pytest.mark.parametrize(("name", "parameters"), [("motion_gan", 136_482), ("motion_to_video_gan", 10_008_331)])
def test_the_configurations_are_the_papers(name: str, parameters: int) -> None:
    config = yaml.safe_load((CONFIGS / "model" / f"{name}.yaml").read_text())
    with torch.device("meta"):
        system = build(config)
    assert isinstance(system, MotionGAN | MotionToVideoGAN)
    assert sum(p.numel() for p in system.network.parameters()) == parameters
    if isinstance(system, MotionGAN):
        times = system.model_time(torch.arange(16) / 16)
        assert_close(times, torch.arange(1, 17) / 16)
