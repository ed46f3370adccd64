"""Joins the stages of a ModeGAN: `python -m benchmarks.runs.join_stages motion.ckpt video.ckpt out`."""

import sys
from pathlib import Path

from benchmarks.utils.errors import UserError
from lightning_modules.checkpoints.build import load, save
from lightning_modules.mode_gan import join
from lightning_modules.training_cost import TrainingCost


def main(motion: str, video: str, out: str) -> int:
    """Write the joined system, with the training cost of both stages; returns 1 and prints why if they do not fit."""
    try:
        stages = [load(motion), load(video)]
        joined = join(*stages)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    costs = [stage.trained for stage in stages if stage.trained]
    if len(costs) == len(stages):
        devices = ", ".join(sorted({cost.device for cost in costs}))
        joined.trained = TrainingCost(sum(cost.updates for cost in costs), sum(cost.seconds for cost in costs), devices)
    ends = [stage.training_finished for stage in stages]
    joined.training_finished = None if None in ends else all(ends)
    save(joined, Path(out))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
