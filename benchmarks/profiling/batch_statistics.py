"""A checkpoint with the same weights and its batch-normalisation statistics measured anew on training clips.

`python -m benchmarks.profiling.batch_statistics CHECKPOINT EXPERIMENT --out FILE` is for checkpoints from before each
time step had running statistics of its own: theirs are a mixture of all steps (`networks/step_norm.py`).
"""

import argparse
from itertools import islice
from pathlib import Path

from benchmarks.config.build import build_data
from datamodules.base.module import ClipDataModule, normalise
from datamodules.errors import UserError
from lightning_modules.callbacks.batch_statistics import measured_statistics
from lightning_modules.checkpoints.build import load, save
from lightning_modules.manual_optimization import ManualOptimizationSystem


def main() -> None:
    """Measure, and write the copy to --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt of a run, or a .safetensors")
    parser.add_argument(
        "experiment", type=Path, help="the .yaml of the experiment that it was trained by, for its data"
    )
    parser.add_argument("--batches", type=int, default=125, help="training batches to measure on (default: 125)")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors to write")
    arguments = parser.parse_args()
    try:
        measure(arguments.checkpoint, build_data(arguments.experiment), arguments.batches, arguments.out)
    except UserError as error:
        raise SystemExit(str(error)) from error
    print(arguments.out)


def measure(checkpoint: Path, data: ClipDataModule, count: int, out: Path) -> None:
    """Write the checkpoint's weights to `out` with statistics of `count` batches of the data's training clips.

    Raises:
        UserError: if the checkpoint's generator has no batch normalisation that can be measured.
    """
    system = load(checkpoint)
    if not isinstance(system, ManualOptimizationSystem):
        raise UserError(f"{checkpoint} holds a {type(system).__name__}, which is joined from parts. Measure its parts.")
    data.prepare_data()
    data.setup("fit")
    batches = (normalise(batch) for batch in islice(data.train_dataloader(), count))
    measured = measured_statistics(system, "generator", batches)
    if not measured:
        raise UserError(f"The generator in {checkpoint} has no batch normalisation, so there is nothing to measure.")
    system.load_state_dict(system.state_dict() | measured)
    save(system, out)


if __name__ == "__main__":
    main()
