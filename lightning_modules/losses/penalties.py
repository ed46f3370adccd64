"""Gradient penalties of critics."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Scalar = Float[Tensor, ""]
Critic = Callable[..., Tensor]


def gradient_penalty(
    critic: Critic, real: Tensor | Sequence[Tensor], fake: Tensor | Sequence[Tensor], *, center: float = 1.0
) -> Scalar:
    """E (|grad critic(x)| - center)^2 at x between real and fake (WGAN-GP, Gulrajani et al., 2017, eq. 3).

    A critic of several tensors (an image and its heatmaps, the levels of a pyramid) takes them as sequences: they
    share one mixing weight per sample, and the norm is over all of them together.

    Args:
        critic: called with the mixtures; its scores are summed per sample.
        real: (B, ...) or a sequence of such tensors; they receive no gradient.
        fake: of the same shapes.
        center: the norm with penalty 0: 1, or 0 for a zero-centred penalty between real and fake.

    Raises:
        ValueError: if real and fake differ in shape.
    """
    reals, fakes = _as_list(real), _as_list(fake)
    if [r.shape for r in reals] != [f.shape for f in fakes]:
        shapes = [tuple(r.shape) for r in reals], [tuple(f.shape) for f in fakes]
        raise ValueError(f"Real and fake must have equal shapes to be mixed; got {shapes[0]} and {shapes[1]}.")
    share = torch.rand(len(reals[0]), device=reals[0].device, dtype=reals[0].dtype)
    mixed = [
        torch.lerp(r.detach(), f.detach(), share.reshape(-1, *[1] * (r.ndim - 1)))
        for r, f in zip(reals, fakes, strict=True)
    ]
    return (_gradient_norm(critic, mixed) - center).square().mean()


def zero_centred_penalty(critic: Critic, real: Tensor | Sequence[Tensor]) -> Scalar:
    """E |grad critic(x)|^2 at the data itself (R1, Mescheder et al., 2018, eq. 9, without the factor gamma / 2)."""
    return _gradient_norm(critic, [r.detach() for r in _as_list(real)]).square().mean()


def weighted_logit_penalty(
    real_logits: Float[Tensor, " batch"], fake_logits: Float[Tensor, " batch"], inputs: Tensor
) -> Scalar:
    """E (1 - D(x))^2 |grad f(x)|^2 + E D(y)^2 |grad f(y)|^2, x real, y fake, f the logit, D its sigmoid.

    The regulariser of the Jensen-Shannon GAN (Roth et al., 2017), without its factor gamma / 2. It takes logits, not
    the critic, so that it shares the forward pass of the critic's loss.

    Args:
        real_logits: the critic's logits of real samples.
        fake_logits: the critic's logits of fakes.
        inputs: (2 * batch, ...), the critic's inputs, real ones first; it must require a gradient.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum() + fake_logits.sum(), inputs, create_graph=True)
    logits = torch.cat([-real_logits, fake_logits])
    doubt = logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()
    return (doubt.square() * gradient.flatten(1).square().sum(dim=1)).sum() / len(real_logits)


def _gradient_norm(critic: Critic, inputs: list[Tensor]) -> Float[Tensor, " batch"]:
    with torch.enable_grad():
        inputs = [x.requires_grad_() for x in inputs]
        scores = critic(*inputs)
        gradients = torch.autograd.grad(scores.sum(), inputs, create_graph=True)
        squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0)
    # The norm's own gradient is infinite at 0; the smallest number keeps it finite there.
    return (squares + torch.finfo(squares.dtype).tiny).sqrt()


def _as_list(tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The tensors in float32 or finer: under autocast fakes are bfloat16, and real clips are not."""
    several = [tensors] if isinstance(tensors, Tensor) else tensors
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in several]
