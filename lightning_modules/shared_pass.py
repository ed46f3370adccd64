"""One pass of a critic over the fakes for both players' losses, when both are taken at the same weights.

Written out, the critics' loss backpropagates through critic(fake.detach()) and the generator's through critic(fake):
two passes with equal activations, and the second computes critic gradients that are discarded. Here the activations
are computed once, weight gradients are taken for the critics' loss alone, input gradients for the generator's alone,
and both are freed before the next critic runs.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

RealImages = Float[Tensor, "reals channel height width"]
FakeImages = Float[Tensor, "fakes channel height width"]
Scalar = Float[Tensor, ""]
Loss = Callable[[Tensor], Tensor]


def shared_critic_losses(
    critic: nn.Module,
    real: RealImages,
    fake: FakeImages,
    *,
    real_loss: Loss,
    fake_loss: Loss,
    generator_loss: Loss,
    critic_weight: float,
    generator_weight: float,
) -> tuple[Scalar, Scalar]:
    """The critic's weighted loss and the generator's, as scalars whose gradients are already known.

    The first has a gradient with respect to the critic's parameters alone, the second with respect to `fake` alone, as
    if `critic_weight * (real_loss(critic(real)) + fake_loss(critic(fake.detach())))` and
    `generator_weight * generator_loss(critic(fake))` had been written with the other player's weights frozen.
    """
    parameters = [p for p in critic.parameters() if p.requires_grad]
    with torch.enable_grad():
        on_real = critic_weight * real_loss(critic(real.detach()))
        of_real = torch.autograd.grad(on_real, parameters)
        leaf = fake.detach().requires_grad_()
        logits = critic(leaf)
        on_fake = critic_weight * fake_loss(logits)
        of_fake = torch.autograd.grad(on_fake, parameters, retain_graph=True)
        of_generator = generator_weight * generator_loss(logits)
        (of_leaf,) = torch.autograd.grad(of_generator, leaf)
    sums = [a.add_(b) for a, b in zip(of_real, of_fake, strict=True)]
    critic_term = _KnownGradient.apply((on_real + on_fake).detach(), len(parameters), *sums, *parameters)
    generator_term = _KnownGradient.apply(of_generator.detach(), 1, of_leaf, fake)
    return critic_term, generator_term


class _KnownGradient(torch.autograd.Function):
    """A value with precomputed gradients: arguments are the gradients, then the tensors they are with respect to."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, count: int, *gradients_and_inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients_and_inputs[:count])
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Any, ...]:
        gradients = ctx.saved_tensors
        return None, None, *[None] * len(gradients), *[outer[0] * gradient for gradient in gradients]
