"""LatentDynamicsGAN: TGAN, MoCoGAN and TGANv2 with an exchangeable temporal model (Gordon and Parde, 2020)."""

from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from datamodules.clip import Batch, KeypointClip, VideoClip
from datamodules.errors import UserError
from lightning_modules import noise
from lightning_modules.adversarial import AdversarialSystem
from lightning_modules.losses import adversarial as losses
from lightning_modules.losses.clipping import clip_singular_values
from lightning_modules.losses.penalties import zero_centred_penalty
from lightning_modules.manual_optimization import Losses
from lightning_modules.networks.video_generator import VideoGenerator

Times = Float[Tensor, "batch time"]
Index = Int[Tensor, " batch"]
Loss = Literal["non_saturating", "wasserstein"]


class LatentDynamicsGAN(AdversarialSystem):
    """A GAN of clips with a video critic and, in MoCoGAN, an image critic.

    Families differ in networks, losses and regularisers; within a family only the temporal model differs
    (`generator.dynamics`):

    - TGAN: `loss: wasserstein`, RMSprop at 5e-5, `clip_every: 5`.
    - MoCoGAN: cross-entropy, an image critic, Adam at 2e-4 with weight decay 1e-5; noise in the critics, and
      categories, are options of the networks and of `label_weight` and `infogan_weight`.
    - TGANv2: `loss: non_saturating` on every level of the pyramid, `penalty_weight`, Adam at 1e-4 decaying to 0.

    Args:
        generator: from times and seeds to clips, coarse to fine.
        video_critic: called with the levels of a clip; with categories, their logits follow the score.
        image_critic: scores one frame of each clip; its fakes come from separate clips. None: no image critic.
        loss: `non_saturating` (cross-entropy with logits) or `wasserstein`.
        clip_every: clip the critics' singular values and gains after the first generator update and every n-th one from
            there on, as the public code does; 0: never.
        penalty_weight: weight of the squared gradient of the video critic's score at real clips, mean over clips.
            TGANv2's code sums over them: its 0.5 at a batch of 32 is 16 here.
        label_weight: weight of the video critic's cross-entropy with the labels of real clips ("use categories").
        infogan_weight: weight of the generator's cross-entropy with the categories it was given; the public code
            does not train the critic's category logits on fakes.
        generator_optimizer: MoCoGAN's, Adam at 2e-4 with weight decay 1e-5; TGAN's and TGANv2's are in their files.
        critic_optimizer: the same, one for all critics.
        schedule: of both learning rates.
        adversarial: see `AdversarialSystem`.

    Raises:
        UserError: if generator and critics are built for different clips, if labels or categories have a weight but the
            generator has no categories, or if the loss is neither of the two.
    """

    def __init__(
        self,
        generator: VideoGenerator,
        video_critic: nn.Module,
        image_critic: nn.Module | None = None,
        loss: Loss = "non_saturating",
        clip_every: int = 0,
        penalty_weight: float = 0.0,
        label_weight: float = 0.0,
        infogan_weight: float = 0.0,
        generator_optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, 2e-4, (0.5, 0.999), weight_decay=1e-5),
        critic_optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, 2e-4, (0.5, 0.999), weight_decay=1e-5),
        schedule: LRSchedulerCallable | None = None,
        **adversarial: Any,
    ) -> None:
        critics = {"video": video_critic} | ({} if image_critic is None else {"image": image_critic})
        for name, critic in critics.items():
            for part in ("channels", "size", "categories"):
                theirs, ours = getattr(critic, part, None), getattr(generator, part)
                if None not in (theirs, ours) and theirs != ours:
                    raise UserError(
                        f"Generator and critics must be built for the same clips; the generator has {part} {ours}, the "
                        f"{name}_critic {theirs}. Set the same {part} in both."
                    )
        super().__init__(
            generator,
            critics,
            generator_optimizer=generator_optimizer,
            critic_optimizer=critic_optimizer,
            schedule=schedule,
            **adversarial,
        )
        if (label_weight or infogan_weight) and not generator.categories:
            raise UserError(
                f"label_weight {label_weight} and infogan_weight {infogan_weight} need categories, but the generator "
                "has none. Give it `categories`, and the video critic as many, or set both weights to 0."
            )
        if loss not in get_args(Loss):
            raise UserError(f"The loss must be {' or '.join(get_args(Loss))}; got {loss!r}. Name one of them.")
        self.loss = loss
        self.clip_every = clip_every
        self.penalty_weight = penalty_weight
        self.label_weight = label_weight
        self.infogan_weight = infogan_weight

    @property
    def network(self) -> VideoGenerator:
        """The generator, with its own type."""
        assert isinstance(self.generator, VideoGenerator)
        return self.generator

    @property
    def knows_labels(self) -> bool:
        """Whether its categories are the data's classes: only `label_weight` makes them so."""
        return bool(self.label_weight)

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the dynamics' field in the last call."""
        return self.network.dynamics.function_evaluations

    @torch.no_grad()
    def generate(self, times: Times, *, seeds: Index, labels: Index | None = None) -> VideoClip:
        """Clips at `times` (seconds), each a function of its own seed.

        Args:
            times: of the frames; continuous temporal models support any.
            seeds: one per clip.
            labels: categories, if the generator has any; -1 or None samples one by the seed.
        """
        drawn = self.network(self.model_time(times), seeds=seeds, labels=self._categories(len(times), seeds, labels))
        return VideoClip(drawn[-1].float(), times)

    def generate_fakes(self, batch: Batch) -> "LatentDynamicsFakes":
        """One fake clip per clip of the batch, at its times; for the image critic one frame each of as many others."""
        if not isinstance(batch.clip, VideoClip | KeypointClip):
            raise UserError("LatentDynamicsGAN generates frames; this data has trajectories. Choose data with pixels.")
        if not bool(batch.present.all()) or batch.valid is not None:
            raise UserError(
                "LatentDynamicsGAN needs complete clips; this batch lacks frames or pixels, by which its critics would "
                "recognise real clips. Use a sampling without missing frames."
            )
        times = self.model_time(batch.clip.times)
        labels = self._categories(len(times))
        levels, images = self.network(times, labels=labels), None
        if "image" in self.critics:
            index = torch.randint(times.shape[1], (len(times),))
            (images,) = self.network(times, labels=self._categories(len(times)), only=index)
            images = images[:, 0]
        return LatentDynamicsFakes(levels, images, labels)

    def critic_losses(self, batch: Batch, fakes: "LatentDynamicsFakes") -> Losses:
        """Each critic's loss, and the video critic's gradient penalty and label loss."""
        frames = _frames(batch)
        reals, video = self.network.levels(frames), self.critics["video"]
        scores, classes = self._split(video(*reals))
        terms = {"video": self._real(scores) + self._fake(self._verdict(*fakes.levels))}
        if fakes.images is not None:
            image = self.critics["image"]
            clips = torch.arange(len(frames), device=frames.device)
            images = frames[clips, torch.randint(frames.shape[1], (len(frames),), device=frames.device)]
            terms["image"] = self._real(image(images)) + self._fake(image(fakes.images))
        if self.penalty_weight:
            terms["penalty"] = self.penalty_weight * zero_centred_penalty(self._verdict, reals)
        if self.label_weight:
            if bool((batch.labels < 0).any()):
                raise UserError("label_weight needs a label for every clip; this data has clips without. Set it to 0.")
            terms["labels"] = self.label_weight * cross_entropy(classes.mean(-1), batch.labels)
        return terms

    def generator_losses(self, batch: Batch, fakes: "LatentDynamicsFakes") -> Losses:
        """Each critic's score of the fakes, and how well the video critic recovers the category (InfoGAN)."""
        scores, classes = self._split(self.critics["video"](*fakes.levels))
        terms = {"video": self._fool(scores)}
        if fakes.images is not None:
            terms["image"] = self._fool(self.critics["image"](fakes.images))
        if self.infogan_weight and fakes.labels is not None:
            found = cross_entropy(classes.mean(-1), fakes.labels.to(classes.device))
            terms["infogan"] = self.infogan_weight * found
        return terms

    def after_generator_update(self) -> None:
        """Clip the critics' singular values every `clip_every` updates (TGAN)."""
        if self.clip_every and (self.generator_updates - 1) % self.clip_every == 0:
            clip_singular_values(self.critics)

    def _real(self, scores: Tensor) -> Float[Tensor, ""]:
        return losses.wasserstein_real(scores) if self.loss == "wasserstein" else losses.non_saturating_real(scores)

    def _fake(self, scores: Tensor) -> Float[Tensor, ""]:
        return losses.wasserstein_fake(scores) if self.loss == "wasserstein" else losses.non_saturating_fake(scores)

    def _fool(self, scores: Tensor) -> Float[Tensor, ""]:
        if self.loss == "wasserstein":
            return losses.wasserstein_generator(scores)
        return losses.non_saturating_generator(scores)

    def _verdict(self, *levels: Tensor) -> Tensor:
        """The video critic's scores, without category logits."""
        return self._split(self.critics["video"](*levels))[0]

    def _split(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The scores and the category logits."""
        return (scores[:, :1], scores[:, 1:]) if self.network.categories else (scores, scores[:, :0])

    def _categories(self, batch: int, seeds: Index | None = None, labels: Index | None = None) -> Index | None:
        count = self.network.categories
        if not count:
            return None
        if labels is not None and bool((labels >= count).any()):
            raise UserError(f"The generator has categories 0 to {count - 1}; got label {int(labels.max())}.")
        drawn = noise.integers(seeds, batch, count, stream="category").to(self.device)
        return drawn if labels is None else torch.where(labels < 0, drawn, labels.to(self.device))


class LatentDynamicsFakes(NamedTuple):
    """Clips by level, single frames for the image critic, and the clips' categories."""

    levels: list[Tensor]
    images: Tensor | None
    labels: Index | None


def _frames(batch: Batch) -> Tensor:
    assert isinstance(batch.clip, VideoClip | KeypointClip)
    return batch.clip.frames
