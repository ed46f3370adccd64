"""The process in which `benchmarks speed --against DIR` measures the public code of latent NDEs, imported from DIR.

The code (github.com/Zasder3/Latent-Neural-Differential-Equations-for-Video-Generation) is not part of this project. Its
training steps are written here in the order of its "MoCoGAN ... UCF101.py" and "tgan SVC ... UCF101.py". Two of its
constants are replaced, without a cost in time: GPUs by name, and the batch of 32 in TGAN's critic.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.profiling.measure import serve, without_gpu
from benchmarks.utils.errors import UserError

_CODE = "lightning_modules.networks.mocogan.MoCoGANGenerator", "lightning_modules.networks.tgan.TGANGenerator"
_DISCRETE = ("NoisyGRU", "Deconvolution1d")


def family_and_member(model: dict[str, Any]) -> tuple[str, str]:
    """The public model that corresponds to one of our configurations, by its classes.

    Raises:
        UserError: if it is neither a MoCoGAN nor a TGAN.
    """
    generator = model.get("init_args", {}).get("generator", {})
    kind = generator.get("class_path", "") if isinstance(generator, dict) else ""
    if kind not in _CODE:
        raise UserError(
            "The public code of latent NDEs is timed for MoCoGAN and TGAN; this model's generator is "
            f"{kind or 'neither'}. Leave --against out, or name configs/model/mocogan_*.yaml or tgan_*.yaml."
        )
    dynamics = generator["init_args"]["dynamics"]
    name, settings = dynamics["class_path"].rsplit(".", 1)[-1], dynamics.get("init_args") or {}
    if name in _DISCRETE:
        return ("mocogan", "tgan")[_CODE.index(kind)], "original"
    if name.endswith("_ode") or name == "LatentODE":
        return ("mocogan", "tgan")[_CODE.index(kind)], f"ode{settings.get('order', 1)}"
    return ("mocogan", "tgan")[_CODE.index(kind)], "sde"


class PublicMoCoGAN:
    """Networks, optimisers and steps of the public "MoCoGAN ... UCF101.py"."""

    def __init__(self, member: str, batch: int, device: torch.device) -> None:
        networks, ours = import_module("models.mocogan"), import_module("models.mocogan_ode")
        sizes: tuple[int, ...] = (3, 50, 0, 16, 16)
        makers: dict[str, Callable[[], nn.Module]] = {
            "original": lambda: networks.VideoGenerator(*sizes),
            "ode1": lambda: ours.VideoGenerator(*sizes, ode_fn=ours.ODEFuncDeep, dim_hidden=49, linear=False),
            "ode2": lambda: ours.VideoGeneratorNOODE(*sizes, dim_hidden=49, order=2),
            "ode3": lambda: ours.VideoGeneratorNOODE(*sizes, dim_hidden=49, order=3),
            "sde": lambda: ours.VideoGeneratorSDE(*sizes, dim_hidden=49),
        }
        self.generator: Any = makers[member]().to(device)
        self.video: Any = networks.VideoDiscriminator(3).to(device)
        self.image: Any = networks.PatchImageDiscriminator(3).to(device)
        self.networks = [self.generator, self.video, self.image]
        self.optimizers = [
            torch.optim.Adam(part.parameters(), lr=2e-4, betas=(0.5, 0.999), weight_decay=1e-5)
            for part in self.networks
        ]
        self.clips = torch.rand(batch, 3, 16, 64, 64, device=device) * 2 - 1

    def step(self) -> None:
        """The image critic, the video critic, the generator; fresh fakes for each."""
        batch, (of_generator, of_video, of_image) = len(self.clips), self.optimizers
        frame = torch.randint(16, (batch,))
        self._train_critic(
            self.image, of_image, self.clips[torch.arange(batch), :, frame], self.generator.sample_images
        )
        self._train_critic(self.video, of_video, self.clips, self.generator.sample_videos)
        of_generator.zero_grad()
        clips, _ = self.generator.sample_videos(batch)
        frames, _ = self.generator.sample_images(batch)
        (_entropy(self.video(clips)[0], 1.0) + _entropy(self.image(frames)[0], 1.0)).backward()
        of_generator.step()

    def _train_critic(
        self, critic: Any, optimizer: torch.optim.Optimizer, real: Tensor, sample: Callable[[int], Any]
    ) -> None:
        optimizer.zero_grad()
        logits = critic(real)[0]
        with torch.no_grad():
            fake, _ = sample(len(real))
        (_entropy(logits, 1.0) + _entropy(critic(fake)[0], 0.0)).backward()
        optimizer.step()


class PublicTGAN:
    """Networks, optimisers, steps and clipping of the public "tgan SVC ... UCF101.py"."""

    def __init__(self, member: str, batch: int, device: torch.device) -> None:
        networks, ours = import_module("models.tgan"), import_module("models.tgan_ode")
        makers: dict[str, Callable[[], nn.Module]] = {
            "original": lambda: networks.VideoGenerator(),
            "ode1": lambda: ours.VideoGenerator(dim=978, linear=True, ode_fn=ours.ODEFuncDeep),
            "ode2": lambda: ours.VideoGeneratorNOODE(linear=True, order=2),
            "ode3": lambda: ours.VideoGeneratorNOODE(linear=True, order=3),
            "sde": lambda: ours.VideoGeneratorSDE(linear=True),
        }
        self.generator: Any = makers[member]().to(device)
        self.critic: Any = networks.VideoDiscriminator().to(device)
        self.networks = [self.generator, self.critic]
        self.optimizers = [torch.optim.RMSprop(part.parameters(), lr=5e-5) for part in self.networks]
        self.clips = torch.rand(batch, 3, 16, 64, 64, device=device) * 2 - 1
        self.steps = 0

    def step(self) -> None:
        """The critic, the generator, and in every fifth step the clipping."""
        of_generator, of_critic = self.optimizers
        of_critic.zero_grad()
        real = self._score(self.clips)
        with torch.no_grad():
            fake = self._generate()
        (-real.mean() + self._score(fake).mean()).backward()
        of_critic.step()
        of_generator.zero_grad()
        (-self._score(self._generate()).mean()).backward()
        of_generator.step()
        if self.steps % 5 == 0:
            self._clip()
        self.steps += 1

    def _generate(self) -> Tensor:
        clips: Tensor = self.generator(torch.rand(len(self.clips), 100, device=self.clips.device) * 2 - 1)
        return clips

    def _score(self, clips: Tensor) -> Tensor:
        """The critic's forward pass, with the size of the batch in place of 32."""
        features = self.critic.model3d(clips)
        scores: Tensor = self.critic.conv2d(features.reshape(len(clips), 512, 4, 4))
        return scores

    @torch.no_grad()
    def _clip(self) -> None:
        for layer in [*self.critic.model3d, self.critic.conv2d]:
            if isinstance(layer, nn.Conv3d | nn.Conv2d):
                left, values, right = torch.linalg.svd(layer.weight.flatten(1), full_matrices=False)
                values[values > 1] = 1
                layer.weight.copy_((left @ torch.diag(values) @ right).view_as(layer.weight))
            elif isinstance(layer, nn.BatchNorm3d):
                assert layer.running_var is not None
                deviation = layer.running_var.sqrt()
                layer.weight.copy_(torch.minimum(torch.maximum(layer.weight, 0.01 * deviation), deviation))


def public(spec: dict[str, Any]) -> PublicMoCoGAN | PublicTGAN:
    """The public model that is compared with ours."""
    batch = spec["batch_size"]
    if (spec["size"], spec["frames"], spec["channels"]) != (64, 16, 3):
        raise UserError(
            f"The public code of latent NDEs generates 16 frames of 3 x 64 x 64; got {spec['frames']} of "
            f"{spec['channels']} x {spec['size']} x {spec['size']}. Leave --size, --frames and --channels out."
        )
    device = torch.device(spec["device"])
    if device.type == "cpu":
        without_gpu()
    family, member = family_and_member(spec["model"])
    return PublicMoCoGAN(member, batch, device) if family == "mocogan" else PublicTGAN(member, batch, device)


def _entropy(logits: Tensor, label: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


if __name__ == "__main__":
    serve("the public code of latent NDEs", public)
