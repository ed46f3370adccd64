"""System: the base of every model: model time, and a configuration saved with the checkpoint; no metrics."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor

from datamodules.clip import Batch, Sample, VideoClip
from datamodules.errors import UserError
from lightning_modules.training_cost import TrainingCost


class System(LightningModule):
    """A LightningModule that generates or predicts clips.

    A system has the capabilities that it has methods for; they return samples at exactly the given `times`:
    `generate(times, *, seeds, labels=None)`, `predict(observed, times, *, seeds=None)`,
    `interpolate(observed, times, *, seeds=None)`, `inbetween(observed, times, *, seeds)`.
    A system that accepts missing frames has one more keyword, `present` (B, T).

    Args:
        seconds_per_unit: length of one unit of model time, in seconds.
        first_time: the model time of a clip's first frame.
    """

    sample_type: type[Sample] = VideoClip
    """The type that the capabilities take and return."""

    config: dict[str, Any] | None = None
    """`class_path` and `init_args` as plain data: set by `build`, saved in every checkpoint."""

    stochastic: bool = True
    """Whether answers depend on the seeds. If not, an evaluation of several samples asks for one of each clip."""

    mode: str | None = None
    """The task a system was trained for, if it can be trained for several."""

    trained: TrainingCost | None = None
    """What training the weights cost, if the file they came from says so."""

    checkpoint_sha256: str | None = None
    """The sha256 of the file that the weights came from; None: of none, or they were trained since."""

    training_finished: bool | None = None
    """Whether the training of the weights reached its end, if the file they came from says so."""

    def __init__(self, *, seconds_per_unit: float = 1.0, first_time: float = 0.0) -> None:
        super().__init__()
        if not seconds_per_unit > 0:
            raise UserError(f"seconds_per_unit must be positive; got {seconds_per_unit}.")
        self.seconds_per_unit = seconds_per_unit
        self.first_time = first_time

    @property
    def learns(self) -> bool:
        """Whether there is anything to train. It is a `training_step` that says so, unless a setting makes it idle."""
        return type(self).training_step is not LightningModule.training_step

    def model_time(self, times: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Seconds to model time: `first_time + times / seconds_per_unit`."""
        return self.first_time + times / self.seconds_per_unit

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """No-op: the Evaluation callback computes all metrics, identically for every model."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """No-op: see `validation_step`."""

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """No-op: see `validation_step`."""

    def configure_optimizers(self) -> Any:
        """None by default: a system with nothing to learn needs no optimiser."""
        return None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the configuration, as plain data, so that `load` needs only the file."""
        if self.config is not None:
            checkpoint["config"] = self.config


def with_config(system: System, config: Mapping[str, Any]) -> System:
    """The system, with the configuration that it was built from."""
    system.config = {"class_path": config["class_path"], "init_args": dict(config.get("init_args") or {})}
    return system
