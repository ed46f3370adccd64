"""Inbetweening: frames between two given frames, by direct 3D convolutions (Li, Roblek and Tagliasacchi, 2019)."""

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from datamodules.clip import Batch, KeypointClip, VideoClip, check_times
from datamodules.errors import UserError
from lightning_modules import noise
from lightning_modules.adversarial import AdversarialSystem
from lightning_modules.losses.adversarial import non_saturating_fake, non_saturating_generator, non_saturating_real
from lightning_modules.losses.penalties import weighted_logit_penalty
from lightning_modules.manual_optimization import Losses
from lightning_modules.networks.inbetweening import InbetweeningNetwork
from lightning_modules.networks.inbetweening_critics import ImageCritic, VideoCritic, exchange_ends, rank_auc

Frames = Float[Tensor, "batch time channel height width"]
Times = Float[Tensor, "batch time"]

OFF_GRID = 0.01
"""Largest distance of a time from the grid, as a share of the grid's step: the rounding of float32 seconds."""


class Inbetweening(AdversarialSystem):
    """Generates the T - 2 frames between a start and an end frame from noise, all at once; the ends do not change.

    The baselines "without fusion" and "naive" of Section 4.2 are the generator's `variant`. T is the generator's
    `frames`: the system supports only the T - 1 equal steps from one key frame to the next.

    Args:
        generator: encoder, latent generator and video generator.
        video_critic: scores whole videos; fakes contain the given ends (eq. 7).
        image_critic: scores one frame of each video, uniformly chosen between the ends (eq. 8).
        penalty_weight: weight gamma of the critics' gradient penalty; the factor is gamma / 2, as in Roth et al.
            (2017).
        generator_optimizer: Adam, 5e-5, betas 0.5 and 0.999.
        critic_optimizer: the same, one for both critics.
        schedule: none in the paper.
        order: who is updated first; the paper does not say.
        fakes: whether the generator's update uses the critics' fakes or new ones; the paper does not say.
        adversarial: see `AdversarialSystem`.

    Raises:
        UserError: if generator and critics are built for different frames.
    """

    def __init__(
        self,
        generator: InbetweeningNetwork,
        video_critic: VideoCritic,
        image_critic: ImageCritic,
        penalty_weight: float = 0.1,
        generator_optimizer: OptimizerCallable = lambda parameters: torch.optim.Adam(parameters, 5e-5, (0.5, 0.999)),
        critic_optimizer: OptimizerCallable = lambda parameters: torch.optim.Adam(parameters, 5e-5, (0.5, 0.999)),
        schedule: LRSchedulerCallable | None = None,
        order: Literal["critic_first", "generator_first", "joint"] = "critic_first",
        fakes: Literal["fresh", "shared"] = "shared",
        **adversarial: Any,
    ) -> None:
        for name, critic in (("video_critic", video_critic), ("image_critic", image_critic)):
            for part in ("channels", "size", "frames"):
                theirs, ours = getattr(critic, part, None), getattr(generator, part)
                if theirs is not None and theirs != ours:
                    raise UserError(
                        f"Generator and critics must be built for the same frames; the generator has {part} {ours}, "
                        f"the {name} {theirs}. Set the same `{part}` in both."
                    )
        super().__init__(
            generator,
            {"video": video_critic, "image": image_critic},
            generator_optimizer=generator_optimizer,
            critic_optimizer=critic_optimizer,
            schedule=schedule,
            order=order,
            fakes=fakes,
            **adversarial,
        )
        self.penalty_weight = penalty_weight
        self._ends_seen = torch.zeros(3)
        """Sums over the clips of this validation, and their number."""

    @property
    def network(self) -> InbetweeningNetwork:
        """The generator, with its own type."""
        assert isinstance(self.generator, InbetweeningNetwork)
        return self.generator

    def inbetween(self, observed: VideoClip, times: Times, *, seeds: Int[Tensor, " batch"]) -> VideoClip:
        """Sampled frames at `times`, each between two neighbouring key frames; a clip depends on its seed.

        With more than two key frames (a comic strip) each gap is filled separately, with its own noise. At the time of
        a key frame the result is that frame, unchanged.

        Args:
            observed: two key frames or more.
            times: (batch, time), each on one of the T - 1 equal steps between its neighbouring key frames.
            seeds: one per clip.

        Raises:
            UserError: if a time is not finite, lies outside the key frames or off the grid, or there are fewer than two
                key frames, or two at one time.
        """
        check_times(observed.times, times)
        gap, step = self._locate(observed.times, times)
        rows = torch.arange(len(times), device=times.device)
        frames = observed.frames.new_empty(*times.shape, *observed.frames.shape[2:])
        for number in gap.unique().tolist():
            clip, end, within = None, self.network.frames - 1, gap == number
            if bool((within & (step > 0) & (step < end)).any()):
                u = noise.normal(
                    seeds, len(times), (self.network.noise,), stream=f"inbetween[{number}]", device=frames.device
                )
                clip = self.generate_clip(observed.frames[:, number], observed.frames[:, number + 1], u)
            else:  # all times of this gap are key frames
                clip = torch.stack([observed.frames[:, number]] * end + [observed.frames[:, number + 1]], dim=1)
            frames = torch.where(within[..., None, None, None], clip[rows[:, None], step].to(frames), frames)
        return VideoClip(frames, times)

    def generate_clip(
        self,
        start: Float[Tensor, "batch channel height width"],
        end: Float[Tensor, "batch channel height width"],
        u: Float[Tensor, "batch noise"],
    ) -> Frames:
        """All T frames; the given ends replace the generated ones (Section 3.3)."""
        return _between(start, self.generator(start, end, u), end)

    def decode_blocks(self, observed: VideoClip, *, seeds: Int[Tensor, " batch"], last: int = 8) -> list[Frames]:
        """The T - 2 frames between the first two key frames, decoded from the `last` blocks' outputs (Fig. 4)."""
        u = noise.normal(seeds, len(seeds), (self.network.noise,), stream="inbetween[0]", device=observed.frames.device)
        videos = self.network.decode_blocks(observed.frames[:, 0], observed.frames[:, 1], u, last)
        return [video[:, 1:-1] for video in videos]

    def generate_fakes(self, batch: Batch) -> "InbetweeningFakes":
        """Fake videos between the ends of the batch's clips, and the index of the frame for the image critic."""
        frames = self._training_frames(batch)
        u = noise.normal(None, len(frames), (self.network.noise,), stream="training", device=frames.device)
        middle = torch.randint(1, frames.shape[1] - 1, (len(frames),), device=frames.device)
        return InbetweeningFakes(self.generate_clip(frames[:, 0], frames[:, -1], u), middle)

    def critic_losses(self, batch: Batch, fakes: "InbetweeningFakes") -> Losses:
        """Eqs 7 and 8 with a single frame per clip, and the penalties of the logits' gradients.

        Real and fake go through a critic in one pass: the critics normalise each sample separately.
        """
        losses: Losses = {}
        real = InbetweeningFakes(self._training_frames(batch), fakes.middle)
        for (name, critic), x, x_hat in zip(self.critics.items(), views(real), views(fakes), strict=True):
            with torch.enable_grad():
                both = torch.cat([x.detach(), x_hat.detach()]).requires_grad_()
                real_logits, fake_logits = critic(both).chunk(2)
                losses[name] = non_saturating_real(real_logits) + non_saturating_fake(fake_logits)
                if self.penalty_weight:
                    penalty = weighted_logit_penalty(real_logits, fake_logits, both)
                    losses[f"{name}_penalty"] = self.penalty_weight / 2 * penalty
        return losses

    def generator_losses(self, batch: Batch, fakes: "InbetweeningFakes") -> Losses:
        """Eq. 9 with a single frame per clip: both critics' losses, without a reconstruction term."""
        judged = zip(self.critics.items(), views(fakes), strict=True)
        return {name: non_saturating_generator(critic(view)) for (name, critic), view in judged}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Note how well the video critic tells real clips from clips with the ends of another clip of the batch.

        The generator learns to fit the given ends from this critic alone: at 0.5 nothing tells it to.
        """
        critic, clip = self.critics["video"], batch.clip
        assert isinstance(critic, VideoCritic)
        if not isinstance(clip, VideoClip | KeypointClip) or len(batch.ids) < 2:
            return
        frames = clip.frames[:, : critic.frames]
        if frames.shape[1:] == (critic.frames, critic.channels, critic.size, critic.size):
            own, exchanged = critic(frames), critic(exchange_ends(frames))
            sums = [rank_auc(own, exchanged) * len(own), (own > exchanged).sum(), own.new_tensor(len(own))]
            self._ends_seen += torch.stack([one.to(self._ends_seen) for one in sums])

    def on_validation_epoch_end(self) -> None:
        """Log `val/critic_auc_mismatched_ends` and `val/critic_prefers_own_ends`, over the clips of all processes.

        The first is the area under the ROC curve, over all pairs of a batch: low too where clips differ more in their
        scores than ends do. The second is the share of clips that score above the same clip with other ends.
        """
        auc, preferred, clips = self.trainer.strategy.reduce(self._ends_seen.to(self.device), reduce_op="sum")
        self._ends_seen = torch.zeros(3)
        if clips > 0:  # as many on all processes
            found = {"auc_mismatched_ends": auc / clips, "prefers_own_ends": preferred / clips}
            self.log_dict({f"val/critic_{k}": v for k, v in found.items()}, sync_dist=True, reduce_fx="max")

    def _training_frames(self, batch: Batch) -> Frames:
        clip, length = batch.clip, self.network.frames
        if not isinstance(clip, VideoClip | KeypointClip):
            raise UserError(
                "Inbetweening generates frames; this data has trajectories, without pixels. Choose other data."
            )
        if clip.frames.shape[1] != length:
            raise UserError(
                f"This system generates clips of {length} frames; the data's have {clip.frames.shape[1]}. Set the "
                f"data's `sampling.init_args.num_frames: {length}`, or the generator's `frames`."
            )
        if batch.valid is not None or not bool(batch.present.all()):
            raise UserError(
                "Inbetweening needs complete clips: its critics would learn to detect missing frames or pixels. "
                "Choose data, or a sampling, without missing frames."
            )
        steps = clip.times.diff(dim=1)
        if bool((steps.amax(dim=1) - steps.amin(dim=1) > 0.01 * steps.mean(dim=1)).any()):
            raise UserError(
                "Inbetweening supports equal time steps only; the times of these clips are irregular. Choose "
                "`sampling: {class_path: datamodules.sampling.Regular}`; Vid-ODE learns from irregular times."
            )
        return clip.frames

    def _locate(
        self, known: Float[Tensor, "batch observed"], asked: Times
    ) -> tuple[Int[Tensor, "batch time"], Int[Tensor, "batch time"]]:
        """For each target time the index of its gap between key frames, and its step in that gap, from 0 to T - 1."""
        if known.shape[1] < 2:
            raise UserError(f"Inbetweening needs at least a start and an end frame; got {known.shape[1]}.")
        last = self.network.frames - 1
        gap = torch.searchsorted(known.contiguous(), asked.contiguous(), right=True) - 1
        gap = gap.clamp(0, known.shape[1] - 2)
        before, after = known.gather(1, gap), known.gather(1, gap + 1)
        exact = (asked - before) / (after - before) * last
        step = exact.round()
        off = torch.where((step < 0) | (step > last), torch.inf, (exact - step).abs())
        if bool((off > OFF_GRID).any()):
            worst = off.argmax()
            time, low, high = (float(t.flatten()[worst]) for t in (asked, before, after))
            raise UserError(
                f"This system generates {last - 1} frames between key frames, at equal steps: between {low:.6g} s and "
                f"{high:.6g} s every {(high - low) / last:.6g} s; got {time:.6g} s. Choose times on this grid, or a "
                "continuous system such as Vid-ODE (or LinearBlend), which supports any time."
            )
        return gap, step.long()


class InbetweeningFakes(NamedTuple):
    """Fake videos with the real ends, and the index of the frame of each that the image critic scores."""

    videos: Frames
    middle: Int[Tensor, " batch"]


def views(fakes: InbetweeningFakes) -> tuple[Frames, Float[Tensor, "batch channel height width"]]:
    """The critics' inputs: the video, and one frame of it."""
    return fakes.videos, fakes.videos[torch.arange(len(fakes.middle), device=fakes.middle.device), fakes.middle]


def _between(
    start: Float[Tensor, "batch channel height width"], video: Frames, end: Float[Tensor, "batch channel height width"]
) -> Frames:
    return torch.cat([start[:, None], video[:, 1:-1].to(start), end[:, None]], dim=1)
