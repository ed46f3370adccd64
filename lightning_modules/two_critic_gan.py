"""TwoCriticGAN: what MODE-GAN's two stages share (Kim et al., BMVC 2021): WGAN-GP, two critics, a diversity loss."""

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
    """A generator with a critic of single frames, a critic of sequences, and a diversity loss.

    Where the paper gives no value, WGAN-GP's is used: Adam at 1e-4 with betas 0 and 0.9, five critic updates per
    generator update, a penalty of 10. The supplement's eqs 10 and 11 print logarithmic losses, but its text says
    WGAN-GP, which is implemented here.

    A subclass generates the fakes, and defines the critics' inputs and the diversity term.

    Args:
        generator: the network that makes the fakes.
        frame_critic: scores one frame of each clip, chosen at random in every call.
        sequence_critic: scores whole clips.
        diversity_weight: lambda of eqs 3 and 6; 0 saves generating the second sample that the loss needs.
        penalty_weight: lambda of the gradient penalty.
        generator_optimizer: Adam, 1e-4.
        critic_optimizer: Adam, 1e-4, one for both critics.
        critic_updates: critic updates per generator update.
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
    def critic_inputs(self, fakes: Any) -> tuple[Tensor, Tensor]:
        """The critics' inputs, real and fake, both (B, T, ...)."""

    @abstractmethod
    def diversity(self, batch: Batch, fakes: Any) -> Scalar:
        """Eq. 3 or 6, unweighted: between these fakes and others from new noise."""

    def critic_losses(self, batch: Batch, fakes: Any) -> Losses:
        """WGAN-GP for each critic."""
        losses = {}
        for name, real, fake in self._views(fakes):
            critic = self.critics[name]
            losses[name] = wasserstein_real(critic(real)) + wasserstein_fake(critic(fake))
            losses[f"{name}_penalty"] = self.penalty_weight * gradient_penalty(critic, real, fake)
        return losses

    def generator_losses(self, batch: Batch, fakes: Any) -> Losses:
        """Both critics' scores, and the diversity loss."""
        losses = {name: wasserstein_generator(self.critics[name](fake)) for name, _, fake in self._views(fakes)}
        if self.diversity_weight:
            losses["diversity"] = self.diversity_weight * self.diversity(batch, fakes)
        return losses

    def _views(self, fakes: Any) -> list[tuple[str, Tensor, Tensor]]:
        """Each critic's real and fake inputs: a frame of each clip, at the same random index, or the clips."""
        real, fake = self.critic_inputs(fakes)
        rows = torch.arange(len(real), device=real.device)
        views = []
        for name in self.critics:
            if name == "frame":
                index = torch.randint(real.shape[1], (len(rows),), device=rows.device)
                views.append((name, real[rows, index], fake[rows, index]))
            else:
                views.append((name, real, fake))
        return views
