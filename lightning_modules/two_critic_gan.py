"""TwoCriticGAN: what MODE-GAN's stages share (Kim et al., BMVC 2021); WGAN-GP, two critics, a diversity loss."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from datamodules.clip import Batch
from lightning_modules.adversarial import AdversarialSystem
from lightning_modules.losses.adversarial import wasserstein_fake, wasserstein_generator, wasserstein_real
from lightning_modules.losses.penalties import gradient_penalty
from lightning_modules.manual_optimization import Losses, Scalar


class TwoCriticGAN(AdversarialSystem, ABC):
    """A generator judged by the moment and by the clip, whose outcomes must differ as their noises do.

    Where the paper is silent the values are WGAN-GP's own: Adam at 1e-4 with betas 0 and 0.9, five critic updates for
    one of the generator, a penalty of 10. The losses printed in the supplement's eqs 10 and 11 are logarithms; its text
    says WGAN-GP, and so is this.

    A subclass draws, says what the critics see of it, and what must differ.

    Args:
        generator: what draws.
        frame_critic: judges one moment of each clip, drawn anew each time.
        sequence_critic: judges whole clips.
        diversity_weight: lambda of eqs 3 and 6; 0 saves the second outcome that it takes.
        penalty_weight: lambda of the gradient penalty.
        generator_optimizer: Adam, 1e-4.
        critic_optimizer: Adam, 1e-4, one for both critics.
        critic_updates: the critics' updates for one of the generator.
        adversarial: see `AdversarialSystem`.
    """

    def __init__(
        self,
        generator: nn.Module,
        frame_critic: nn.Module | None = None,
        sequence_critic: nn.Module | None = None,
        diversity_weight: float = 1.0,
        penalty_weight: float = 10.0,
        generator_optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-4, betas=(0.0, 0.9)),
        critic_optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-4, betas=(0.0, 0.9)),
        critic_updates: int = 5,
        **adversarial: Any,
    ) -> None:
        critics = {"frame": frame_critic, "sequence": sequence_critic}
        super().__init__(
            generator,
            {name: critic for name, critic in critics.items() if critic is not None},
            generator_optimizer=generator_optimizer,
            critic_optimizer=critic_optimizer,
            critic_updates=critic_updates,
            **adversarial,
        )
        self.diversity_weight = diversity_weight
        self.penalty_weight = penalty_weight

    @abstractmethod
    def judged(self, fakes: Any) -> tuple[Tensor, Tensor]:
        """Real and made clips as the critics see them, (B, T, ...) both."""

    @abstractmethod
    def diversity(self, batch: Batch, fakes: Any) -> Scalar:
        """Eq. 3 or 6, before its weight: between these fakes and others of other noises."""

    def critic_losses(self, batch: Batch, fakes: Any) -> Losses:
        """WGAN-GP for each critic."""
        losses = {}
        for name, real, fake in self._views(fakes):
            critic = self.critics[name]
            losses[name] = wasserstein_real(critic(real)) + wasserstein_fake(critic(fake))
            losses[f"{name}_penalty"] = self.penalty_weight * gradient_penalty(critic, real, fake)
        return losses

    def generator_losses(self, batch: Batch, fakes: Any) -> Losses:
        """Both critics' verdicts, and the diversity."""
        losses = {name: wasserstein_generator(self.critics[name](fake)) for name, _, fake in self._views(fakes)}
        if self.diversity_weight:
            losses["diversity"] = self.diversity_weight * self.diversity(batch, fakes)
        return losses

    def _views(self, fakes: Any) -> list[tuple[str, Tensor, Tensor]]:
        """For each critic what it judges: a moment of each clip, the same of real and made, or the clips."""
        real, fake = self.judged(fakes)
        rows = torch.arange(len(real), device=real.device)
        views = []
        for name in self.critics:
            if name == "frame":
                moment = torch.randint(real.shape[1], (len(rows),), device=rows.device)
                views.append((name, real[rows, moment], fake[rows, moment]))
            else:
                views.append((name, real, fake))
        return views
