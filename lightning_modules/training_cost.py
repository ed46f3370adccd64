"""Training cost: what the weights of a checkpoint or the numbers of a record took to train. Imports no torch."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class TrainingCost(NamedTuple):
    """All zeros for what needs no training.

    Args:
        updates: of the generator.
        seconds: wall time of the training, over all its sessions.
        device: in words, without the machine's name.
    """

    updates: int
    seconds: float
    device: str

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "TrainingCost":
        """From plain data; checkpoints made before 1.0 call the updates `generator_updates`."""
        updates = content["updates"] if "updates" in content else content["generator_updates"]
        return cls(int(updates), content["seconds"], str(content["device"]))
