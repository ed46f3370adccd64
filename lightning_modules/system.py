"""System: what every model of the suite shares; a clock, a configuration that goes with the checkpoint, no metric."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor

from datamodules.clip import Batch, Sample, VideoClip
from datamodules.errors import UserError
from lightning_modules.training_cost import TrainingCost


class System(LightningModule):
    """A LightningModule that learns (or knows) how to draw clips.

    A system answers the verbs it has methods for, and returns exactly the `times` it is asked:
    `generate(times, *, seeds, labels=None)`, `predict(observed, times, *, seeds=None)`,
    `interpolate(observed, times, *, seeds=None)`, `inbetween(observed, times, *, seeds)`.
    A system that can bear missing frames takes `present` (B, T) as one more keyword.

    Args:
        seconds_per_unit: length of one unit of model time, in seconds.
        first_time: the model time of a clip's first frame.
    """

    sample_type: type[Sample] = VideoClip
    """What the verbs take and return."""

    config: dict[str, Any] | None = None
    """`class_path` and `init_args` as plain data: set by `build`, saved in every checkpoint."""

    mode: str | None = None
    """What the system was trained to do, for one that can be trained in more ways than one."""

    trained: TrainingCost | None = None
    """What the weights cost, where they came from a file that says so."""

    def __init__(self, *, seconds_per_unit: float = 1.0, first_time: float = 0.0) -> None:
        super().__init__()
        if not seconds_per_unit > 0:
            raise UserError(f"seconds_per_unit must be positive; got {seconds_per_unit}.")
        self.seconds_per_unit = seconds_per_unit
        self.first_time = first_time

    def model_time(self, times: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Seconds to model time: `first_time + times / seconds_per_unit`."""
        return self.first_time + times / self.seconds_per_unit

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: the Evaluation callback asks and measures, so that every model sits the same exam."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: see `validation_step`."""

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: see `validation_step`."""

    def configure_optimizers(self) -> Any:
        """None by default: a system with nothing to learn needs no optimiser."""
        return None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the configuration in, as plain data, so that `load` needs nothing but the file."""
        if self.config is not None:
            checkpoint["config"] = self.config


def with_config(system: System, config: Mapping[str, Any]) -> System:
    """The system, remembering the plain data it was built from."""
    system.config = {"class_path": config["class_path"], "init_args": dict(config.get("init_args") or {})}
    return system
