"""The process in which `benchmarks speed --against DIR` measures Vid-ODE's public code, imported from DIR.

The code is not part of this project. Its training step is written here in the order of `train()` in its main.py, but
both gradients are computed before either optimiser steps: torch 1.5 and later reject the original order.
"""

from argparse import Namespace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from benchmarks.profiling.measure import serve, without_gpu


class PublicVidODE:
    """Networks and optimisers as in its main.py, at its defaults."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.device = torch.device(spec["device"])
        self.options = Namespace(
            input_dim=spec["channels"],
            init_dim=32,
            n_downs=2,
            n_layers=2,
            input_size=spec["size"],
            dec_diff="dopri5",
            run_backwards=True,
            irregular=False,
            extrap=spec["mode"] != "interpolate",
            # its sequence critic takes half of these frames, and one more in extrapolation
            sample_size=spec["frames"] * (1 if spec["mode"] != "interpolate" else 2),
            lr=1e-3,
            lamb_adv=0.003,
        )
        if self.device.type == "cpu":
            without_gpu()
        self.generator = import_module("models.conv_odegru").VidODE(self.options, self.device)
        self.image, self.sequence, self.critic_optimizer = import_module("models.gan").create_netD(
            self.options, self.device
        )
        self.networks = [self.generator, self.image, self.sequence]
        self.optimizer = torch.optim.Adamax(self.generator.parameters(), lr=self.options.lr)
        frames = torch.rand(spec["batch_size"], spec["frames"], spec["channels"], spec["size"], spec["size"])
        self.frames, self.times = (
            frames.to(self.device),
            torch.arange(spec["frames"], device=self.device) / spec["frames"],
        )

    @property
    def critic_parameters(self) -> list[Tensor]:
        """Of both critics."""
        return [*self.image.parameters(), *self.sequence.parameters()]

    def step(self) -> None:
        """One update of both players."""
        weight, batch = self.options.lamb_adv, self._batch()
        output = self.generator.compute_all_losses(batch)
        real, fake, observed = batch["data_to_predict"], output["pred_y"], batch["observed_data"]
        critic = weight * self.sequence.netD_adv_loss(real, fake, observed)
        critic = critic + weight * self.image.netD_adv_loss(real, fake, None)
        adversarial = weight * self.sequence.netG_adv_loss(fake, observed) + weight * self.image.netG_adv_loss(
            fake, None
        )
        self.critic_optimizer.zero_grad()
        critic.backward()
        gradients = [parameter.grad for parameter in self.critic_parameters]
        for parameter in self.critic_parameters:
            parameter.grad = None
        self.optimizer.zero_grad()
        (output["loss"] + adversarial).backward()
        for parameter, gradient in zip(self.critic_parameters, gradients, strict=True):
            parameter.grad = gradient
        self.critic_optimizer.step()
        self.optimizer.step()

    def _batch(self) -> dict[str, Tensor]:
        context, target = (slice(None), slice(None))
        if self.options.extrap:
            half = self.frames.shape[1] // 2
            context, target = slice(0, half), slice(half, None)
        frames = self.frames[:, context].clone(), self.frames[:, target].clone()
        return {
            "observed_data": frames[0],
            "observed_tp": self.times[context],
            "data_to_predict": frames[1],
            "tp_to_predict": self.times[target],
            "observed_mask": torch.ones(*frames[0].shape[:2], 1, device=self.device),
            "mask_predicted_data": torch.ones(*frames[1].shape[:2], 1, device=self.device),
        }


if __name__ == "__main__":
    serve("the public Vid-ODE", PublicVidODE)
