"""Batch normalisation for a network that runs once per time step: running statistics for each step of its own."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _NormBase

Maps = Float[Tensor, "maps channel height width"]
AnyMaps = Float[Tensor, "maps _ _ _"]
Steps = Int[Tensor, " count"] | Int[Tensor, "clips count"]
"""The step of each map, for maps flattened from (clips, count): the same for all clips, or each clip's own."""
Statistics = Literal["per_step", "batch"]

STEPS = 64
"""Steps with running statistics of their own; further ones share the last set."""


class StepBatchNorm2d(_NormBase):
    """Batch normalisation of a layer that is called for one time step after another.

    A decoder's input at the first step (an embedding of an observed frame) is distributed otherwise than at the tenth,
    and in training the maps of one step are one batch. A single set of running statistics is a mixture, and right for
    no step. Here every step has its own set. In evaluation a map is normalised with the set of its step, or of the last
    trained step if its own is later, so that a clip does not depend on the others of its batch.

    A state with a single set, of `nn.BatchNorm2d`, is loaded as the set of every step.

    Args:
        channels: of the maps.
        steps: number of sets; 1 is the mixture.
        statistics: in evaluation those of the maps' `per_step` set, or of the `batch` (Vid-ODE's released tester, which
            never calls `eval()`).
    """

    def __init__(self, channels: int, steps: int = STEPS, statistics: Statistics = "per_step") -> None:
        super().__init__(channels)
        self.statistics = statistics
        self.register_buffer("running_mean", torch.zeros(steps, channels))
        self.register_buffer("running_var", torch.ones(steps, channels))
        self.register_buffer("num_batches_tracked", torch.zeros(steps, dtype=torch.long))

    def forward(self, input: Maps, steps: Steps) -> Maps:
        """The normalised maps, of any number of steps in one call.

        In training the maps of each column of `steps` are a batch. It updates the set of its step if all clips are at
        the same one.
        """
        if not (self.training or self.statistics == "batch"):
            return self._normalised(input, *self._of(steps))
        columns = (steps.shape[-1], self.num_features)
        mean, variance = (self._mean.new_zeros(columns) for _ in range(2))
        output = self._normalised(input, mean, variance, measure=True)
        if self.training and steps.ndim == 1:
            self._update(steps, mean, variance)
        return output

    @property
    def _mean(self) -> Float[Tensor, "step channel"]:
        assert self.running_mean is not None
        return self.running_mean

    @property
    def _variance(self) -> Float[Tensor, "step channel"]:
        assert self.running_var is not None
        return self.running_var

    @property
    def _count(self) -> Int[Tensor, " step"]:
        assert self.num_batches_tracked is not None
        return self.num_batches_tracked

    def _of(self, steps: Steps) -> tuple[Float[Tensor, "*steps channel"], Float[Tensor, "*steps channel"]]:
        trained = (self._count > 0).sum()
        index = steps.minimum((trained - 1).clamp(min=0))
        return self._mean[index], self._variance[index]

    def _normalised(
        self,
        maps: Maps,
        mean: Float[Tensor, "*steps channel"],
        variance: Float[Tensor, "*steps channel"],
        measure: bool = False,
    ) -> Maps:
        """Each step's channels as channels of one batch norm; `measure` writes the batch's own into the statistics."""
        mean, variance = mean.flatten(), variance.flatten()
        rows = len(mean) // self.num_features
        folded = maps.reshape(-1, len(mean), *maps.shape[2:])
        scale, shift = self.weight.repeat(rows), self.bias.repeat(rows)
        return batch_norm(folded, mean, variance, scale, shift, measure, 1.0, self.eps).reshape(maps.shape)

    @torch.no_grad()
    def _update(
        self,
        steps: Int[Tensor, " count"],
        mean: Float[Tensor, "count channel"],
        variance: Float[Tensor, "count channel"],
    ) -> None:
        """The moving average of each step in turn, as `nn.BatchNorm2d` does; steps without a set use the last one."""
        for column, step in enumerate(steps.clamp(max=len(self._count) - 1).split(1)):
            self._count.index_add_(0, step, torch.ones_like(step))
            weight = 1 / self._count[step][:, None] if self.momentum is None else self.momentum
            for running, new in ((self._mean, mean), (self._variance, variance)):
                old = running[step]
                running.index_copy_(0, step, old + weight * (new[column] - old))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            if (saved := state_dict.get(prefix + name)) is not None and saved.ndim == buffer.ndim - 1:
                state_dict[prefix + name] = saved.expand_as(buffer)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


Norm = Callable[[int], nn.Module]
"""Constructs a norm of a number of channels."""


def in_sequence(layers: Iterable[nn.Module], maps: AnyMaps, steps: Steps | None) -> AnyMaps:
    """The output of the last layer; without a `StepBatchNorm2d` no steps are needed."""
    for layer in layers:
        maps = in_step(layer, maps, steps)
    return maps


def in_step(layer: nn.Module, maps: AnyMaps, steps: Steps | None) -> AnyMaps:
    """The layer's output for maps of these steps."""
    output: Tensor = layer(maps, steps) if isinstance(layer, StepBatchNorm2d) else layer(maps)
    return output
