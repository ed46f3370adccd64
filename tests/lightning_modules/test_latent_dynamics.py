"""TGAN and MoCoGAN: the sizes of the public code, turns, regularisers, seeds."""

from functools import partial
from typing import Any

import jaxtyping
import pytest
import torch
from lightning import Trainer
from scipy.stats import chisquare
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close
from torch.utils.data import DataLoader

from benchmarks.evaluation.tasks import Generate
from datamodules.clip import Batch, VideoClip
from lightning_modules.adversarial import detached
from lightning_modules.dynamics import (
    ConvLSTM,
    Deconvolution1d,
    Dynamics,
    LatentODE,
    NoisyGRU,
    VectorField,
    parameter_matched_ode,
    parameter_matched_sde,
)
from lightning_modules.dynamics.matched import count
from lightning_modules.latent_dynamics import LatentDynamicsGAN
from lightning_modules.losses.clipping import clip_singular_values
from lightning_modules.networks.mocogan import (
    InstanceNoise,
    MoCoGANGenerator,
    MoCoGANImageCritic,
    MoCoGANVideoCritic,
)
from lightning_modules.networks.tgan import TGANCritic, TGANGenerator
from lightning_modules.networks.tganv2 import TGANv2Critic, TGANv2Generator
from lightning_modules.networks.video_generator import VideoGenerator

SIZE = 32
TIMES = (torch.arange(16) / 16).expand(3, -1)
SEEDS = torch.tensor([5, 6, 7])


def mocogan(dynamics: Dynamics | None = None, categories: int = 0, **arguments: Any) -> LatentDynamicsGAN:
    torch.manual_seed(0)
    dynamics = dynamics or NoisyGRU(4, 1 / 15)
    return LatentDynamicsGAN(
        MoCoGANGenerator(dynamics, content=6, motion=4, categories=categories, size=SIZE, width=4),
        MoCoGANVideoCritic(size=SIZE, width=4, categories=categories),
        MoCoGANImageCritic(width=4, noise=0.1),
        seconds_per_unit=15 / 16,
        **arguments,
    )


def tgan(dynamics: Dynamics | None = None, clip_every: int = 1) -> LatentDynamicsGAN:
    torch.manual_seed(0)
    generator = TGANGenerator(dynamics or Deconvolution1d(8, 8, 4), code=8, size=SIZE, width=4)
    critic = TGANCritic(size=SIZE, width=4)
    return LatentDynamicsGAN(
        generator,
        critic,
        loss="wasserstein",
        clip_every=clip_every,
        seconds_per_unit=15 / 16,
        critic_optimizer=partial(torch.optim.RMSprop, lr=5e-5),  # without weight decay, as TGAN
    )


SYSTEMS = {
    "mocogan": mocogan,
    "mocogan_ode2": lambda: mocogan(parameter_matched_ode(4, 200, order=2)),
    "mocogan_sde": lambda: mocogan(parameter_matched_sde(4, 120)),
    "tgan": tgan,
    "tgan_ode3": lambda: tgan(parameter_matched_ode(8, 2000, order=3, encoder_width=16)),
    "tgan_sde": lambda: tgan(parameter_matched_sde(8, 1500, encoder_width=16)),
}


def with_unit_gain(system: LatentDynamicsGAN) -> LatentDynamicsGAN:
    """The system with weights of unit gain: as initialised, TGAN's clips of different codes agree to rounding."""
    for name, layer in system.generator.named_modules():
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd) and not name.startswith("dynamics"):
            nn.init.kaiming_normal_(layer.weight)
    return system


def moving(clips: int, frames: int = 16) -> Batch:
    torch.manual_seed(1)
    clip = VideoClip(torch.rand(clips, frames, 3, SIZE, SIZE) * 2 - 1, torch.arange(frames).expand(clips, -1) / 16)
    index = torch.arange(clips)
    return Batch(clip, index, index, torch.full_like(index, -1), torch.ones(clips, frames, dtype=torch.bool))


def real_frames(data: Batch) -> Tensor:
    assert isinstance(data.clip, VideoClip)
    return data.clip.frames


def test_networks_have_the_sizes_of_the_public_code() -> None:
    assert count(MoCoGANGenerator(NoisyGRU(10, 1.0), motion=10, categories=6)) == 3_298_836
    assert count(MoCoGANVideoCritic(categories=6)) == 11_253_504
    assert count(MoCoGANImageCritic()) == 663_296


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_clip_is_a_function_of_its_own_seed(name: str) -> None:
    system = with_unit_gain(SYSTEMS[name]()).eval()
    clip = system.generate(TIMES, seeds=SEEDS)
    assert clip.frames.shape == (3, 16, 3, SIZE, SIZE)
    assert clip.times is TIMES
    assert clip.frames.abs().max() <= 1
    assert_close(system.generate(TIMES[:1], seeds=SEEDS[1:2]).frames, clip.frames[1:2], atol=1e-5, rtol=1e-4)
    assert float((clip.frames[0] - clip.frames[1]).detach().abs().max()) > 0.1


@pytest.mark.parametrize("name", SYSTEMS)
def test_continuous_members_raise_the_frame_rate_and_the_others_refuse(name: str) -> None:
    system = SYSTEMS[name]().eval()
    fine = (torch.arange(61) / 64).expand(3, -1)
    if "_" not in name:
        with pytest.raises(ValueError, match="times on its grid"):
            system.generate(fine, seeds=SEEDS)
        return
    coarse = system.generate(TIMES, seeds=SEEDS).frames
    assert_close(system.generate(fine, seeds=SEEDS).frames[:, ::4], coarse, atol=2e-4, rtol=1e-3)
    longer = torch.arange(40).expand(3, -1) / 16
    assert_close(system.generate(longer, seeds=SEEDS).frames[:, :16], coarse, atol=1e-5, rtol=1e-4)
    if "ode" in name:
        before = system.generate(TIMES - 0.5, seeds=SEEDS).frames
        assert_close(before[:, 8:], coarse[:, :8], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SYSTEMS)
def test_both_players_move(name: str) -> None:
    system = SYSTEMS[name]()
    before = {key: value.clone() for key, value in system.state_dict().items()}
    quiet: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    batches: Any = [moving(4)]
    loader: Any = DataLoader(batches, batch_size=None)
    Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(system, loader)
    parameters = [name for name, _ in system.named_parameters()]
    still = [key for key in parameters if torch.equal(before[key], system.state_dict()[key])]
    # a constant on every score is no distance between real and fake
    assert still == (["critics.video.last.bias"] if system.loss == "wasserstein" else [])
    assert all(bool(loss.isfinite()) for loss in system.last_losses.values())


def test_the_losses_are_binary_cross_entropy() -> None:
    system, data = mocogan().eval(), moving(3)
    fakes = detached(system.generate_fakes(data))
    assert fakes.images is not None
    assert fakes.images.shape == (3, 3, SIZE, SIZE)
    video, bce = system.critics["video"], binary_cross_entropy_with_logits
    fake, real = video(*fakes.levels), video(real_frames(data))
    ours = system.critic_losses(data, fakes)
    assert_close(ours["video"], bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake)))
    patches = system.critics["image"](fakes.images)
    told = system.generator_losses(data, fakes)
    assert_close(told, {"video": bce(fake, torch.ones_like(fake)), "image": bce(patches, torch.ones_like(patches))})


def numbered(clips: int, frames: int) -> Tensor:
    """Clips of single pixels, whose frames are counted from 1 on, clip after clip."""
    return (torch.arange(clips * frames) + 1.0).reshape(clips, frames, 1, 1, 1).expand(-1, -1, 3, -1, -1)


class Numbered(VideoGenerator):
    """Draws what is counted, with a minus before it."""

    def forward(self, times: Tensor, *, only: Tensor | None = None, **_: Any) -> list[Tensor]:
        frames = -numbered(*times.shape)
        return [frames if only is None else frames[torch.arange(len(times)), only][:, None]]


class Watching(nn.Module):
    """A critic that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, shown: Tensor) -> Tensor:
        self.shown.append(shown[..., 0, 0, 0].long())
        return shown.flatten(1)


def test_the_image_critic_sees_each_frame_of_each_clip_equally_often() -> None:
    """Of the real clips and of the fakes, and each clip's frame is drawn for itself."""
    clips, frames, draws = 8, 16, 100
    image = Watching()
    system = LatentDynamicsGAN(Numbered(NoisyGRU(1, 1 / 15), size=1), Watching(), image)
    data = moving(clips, frames)
    data = data._replace(clip=VideoClip(numbered(clips, frames), torch.arange(frames).expand(clips, -1) / 16))
    for _ in range(draws):
        system.critic_losses(data, system.generate_fakes(data))
    seen = torch.stack(image.shown)
    for sign in (1, -1):
        shown = sign * seen[(sign * seen > 0).all(1)] - 1
        assert shown.shape == (draws, clips)
        assert torch.equal(shown // frames, torch.arange(clips).expand(draws, -1))
        # were one place drawn for the whole batch, the counts would scatter eight times as much
        assert chisquare(torch.bincount(shown.flatten() % frames, minlength=frames).numpy()).pvalue > 1e-3


def test_categories_are_told_and_found() -> None:
    system, data = mocogan(categories=3, label_weight=1.0, infogan_weight=0.5), moving(3)
    data = data._replace(labels=torch.tensor([0, 1, 2]))
    fakes = system.generate_fakes(data)
    assert set(system.critic_losses(data, detached(fakes))) == {"video", "image", "labels"}
    assert set(system.generator_losses(data, fakes)) == {"video", "image", "infogan"}
    system.eval()
    told = [system.generate(TIMES, seeds=SEEDS, labels=torch.full((3,), k)).frames for k in (0, 1)]
    assert not torch.equal(*told)
    assert_close(
        system.generate(TIMES, seeds=SEEDS, labels=torch.full((3,), -1)).frames,
        system.generate(TIMES, seeds=SEEDS).frames,
    )
    with pytest.raises(ValueError, match="categories 0 to 2; got label 3"):
        system.generate(TIMES, seeds=SEEDS, labels=torch.full((3,), 3))
    with pytest.raises(ValueError, match="the generator has none"):
        mocogan(infogan_weight=1.0)


def test_categories_that_were_learned_without_labels_are_not_the_datas_classes() -> None:
    """Of which there may be ten where the generator has three categories."""
    data = moving(3)
    queries = [
        Generate().make_query(data._replace(labels=labels), VideoClip) for labels in torch.tensor([[2, 1, 9], [-1] * 3])
    ]
    with pytest.raises(ValueError, match="categories 0 to 2; got label 9"):
        Generate().run(mocogan(categories=3, label_weight=1.0).eval(), queries[0])
    system = mocogan(categories=3, infogan_weight=1.0).eval()
    with_labels, without = (Generate().run(system, query) for query in queries)
    assert isinstance(with_labels, VideoClip)
    assert_close(with_labels.frames, without.frames)  # type: ignore[union-attr]


def test_the_penalty_is_of_the_verdict_and_not_of_the_categories() -> None:
    system, data = mocogan(categories=3, penalty_weight=0.7).eval(), moving(2)
    frames = real_frames(data).requires_grad_()
    (slope,) = torch.autograd.grad(system.critics["video"](frames)[:, 0].sum(), frames)
    ours = system.critic_losses(data, detached(system.generate_fakes(data)))["penalty"]
    assert_close(ours, 0.7 * slope.square().sum() / len(slope))


@pytest.mark.parametrize(("critics", "message"), [
    ({"video_critic": MoCoGANVideoCritic(size=64, width=4)}, "has size 32, the video_critic 64"),
    ({"video_critic": TGANCritic(size=64, width=4)}, "has size 32, the video_critic 64"),
    ({"video_critic": MoCoGANVideoCritic(1, SIZE, width=4)}, "has channels 3, the video_critic 1"),
    ({"video_critic": TGANv2Critic(1, width=2)}, "has channels 3, the video_critic 1"),
    ({"image_critic": MoCoGANImageCritic(1, width=4)}, "has channels 3, the image_critic 1"),
    ({"video_critic": MoCoGANVideoCritic(size=SIZE, width=4, categories=6)}, "has categories 0, the video_critic 6"),
])  # fmt: skip
def test_critics_for_other_clips_are_refused(critics: dict[str, nn.Module], message: str) -> None:
    generator = MoCoGANGenerator(NoisyGRU(4, 1 / 15), content=6, motion=4, size=SIZE, width=4)
    LatentDynamicsGAN(generator, nn.Identity(), nn.Identity())  # a critic that does not say what it is made for
    with pytest.raises(ValueError, match=message):
        LatentDynamicsGAN(generator, **{"video_critic": MoCoGANVideoCritic(size=SIZE, width=4), **critics})


def test_clipping_bounds_singular_values_and_gains() -> None:
    critic = TGANCritic(size=SIZE, width=4)
    for layer in critic.modules():
        if isinstance(layer, nn.BatchNorm3d):
            assert layer.running_var is not None
            layer.running_var.uniform_(0.25, 4)
            nn.init.uniform_(layer.weight, -1, 3)
    before = {key: value.clone() for key, value in critic.state_dict().items()}
    clip_singular_values(critic)
    largest = []
    for name, weight in critic.named_parameters():
        if weight.ndim >= 4:
            u, s, v = torch.linalg.svd(before[name].flatten(1), full_matrices=False)
            assert_close(weight.flatten(1), (u * s.clamp(max=1)) @ v, atol=1e-5, rtol=1e-4)
            largest.append(float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)))
    assert max(largest) <= 1 + 1e-5
    assert max(largest) > 0.999
    for layer in critic.modules():
        if isinstance(layer, nn.BatchNorm3d):
            assert layer.running_var is not None
            deviation = layer.running_var.sqrt()
            assert bool((layer.weight <= deviation).all() and (layer.weight >= 0.01 * deviation).all())


def test_generators_say_what_they_draw() -> None:
    generators = [
        MoCoGANGenerator(NoisyGRU(4, 1 / 15), motion=4, channels=1, size=SIZE, width=2),
        TGANGenerator(Deconvolution1d(8, 8, 4), code=8, channels=1, size=SIZE, width=2),
        TGANv2Generator(ConvLSTM(8), code=6, channels=8, widths=(4, 4, 4), levels=1, image_channels=1, side=4),
    ]
    for generator in generators:
        (clip,) = generator.eval()(torch.arange(3)[None] / 15, seeds=SEEDS[:1])
        assert clip.shape == (1, 3, generator.channels, generator.size, generator.size) == (1, 3, 1, SIZE, SIZE)


def test_unknown_losses_are_refused_where_nothing_checks_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match="non_saturating or wasserstein; got 'hinge-like'"):
        mocogan(loss="hinge-like")


def test_clipping_waits_for_its_turn() -> None:
    system = tgan(clip_every=5)
    critic = system.critics["video"]
    assert isinstance(critic, TGANCritic)

    def norm() -> float:
        return float(torch.linalg.matrix_norm(critic.last.weight.detach().flatten(1), 2))

    clipped = []
    for update in range(1, 13):  # the public code counts from 0, and clips when that is a multiple of 5
        with torch.no_grad():
            critic.last.weight.mul_(100 / norm())
        system.generator_updates = update
        system.after_generator_update()
        clipped += [update] if norm() == pytest.approx(1, abs=1e-5) else []
    assert clipped == [1, 6, 11]


def test_instance_noise_is_for_training() -> None:
    torch.manual_seed(0)
    layer, x = InstanceNoise(0.1), torch.ones(100, 100)
    noisy = layer(x)
    assert float(noisy.mean()) == pytest.approx(1, abs=0.01)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.05)
    assert layer.eval()(x) is x
    assert InstanceNoise(0.0)(x) is x


def test_the_sde_system_refuses_the_past() -> None:
    with pytest.raises(ValueError, match="Ito"):
        mocogan(parameter_matched_sde(4, 120)).eval().generate(TIMES - 0.5, seeds=SEEDS)


def test_missing_frames_are_refused() -> None:
    data = moving(2)
    data.present[0, 3] = False
    with pytest.raises(ValueError, match="complete clips"):
        tgan().generate_fakes(data)
    with pytest.raises(ValueError, match="13 frames; got 12"):
        MoCoGANVideoCritic(size=SIZE)(torch.zeros(1, 12, 3, SIZE, SIZE))


def test_the_field_sees_what_the_motion_code_is() -> None:
    system = mocogan(LatentODE(VectorField(4), max_step=1 / 15)).eval()
    system.generate(TIMES, seeds=SEEDS)
    assert system.function_evaluations == 15 * 4
