"""A checkpoint of a single set of statistics gets one for each step; its weights stay."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.profiling.batch_statistics import measure
from datamodules.base.module import normalise
from datamodules.bouncing_balls import BouncingBalls
from datamodules.sampling import Regular
from lightning_modules.checkpoints.build import build, load, save
from support.vid_ode_maker import config

SETS = ("running_mean", "running_var", "num_batches_tracked")


def balls() -> BouncingBalls:
    return BouncingBalls(8, 2, 2, 10, 25.0, size=16, sampling=Regular(10, start="first"), batch_size=8)


def test_statistics_are_measured_and_weights_stay(tmp_path: Path) -> None:
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    torch.manual_seed(0)
    system = build(config())
    for name, value in system.named_buffers():
        if name.endswith("num_batches_tracked"):
            value.fill_(1)  # as when one set is loaded for all steps
    save(system, old)
    measure(old, balls(), 1, new)
    before, after = load_file(old), load_file(new)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if not name.endswith(SETS))
    counts = after["generator.image_decoder.2.num_batches_tracked"]
    assert counts.tolist() == [1] * 5 + [0] * (len(counts) - 5)
    data, measured = balls(), load(new)
    data.prepare_data()
    data.setup("fit")
    batch = normalise(next(iter(data.train_dataloader())))
    with torch.no_grad():
        in_training = measured.train().generate_fakes(batch).predicted  # type: ignore[operator]
        in_evaluation = load(new).generate_fakes(batch).predicted  # type: ignore[operator]
        of_old = load(old).generate_fakes(batch).predicted  # type: ignore[operator]
    scale = in_training.std()
    # Bessel's factor of 8 maps of 4 x 4 pixels is left
    assert float((in_evaluation - in_training).abs().mean()) < 0.03 * float(scale)
    assert float((of_old - in_training).abs().mean()) > 0.3 * float(scale)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="not a checkpoint"):
        measure(tmp_path / "none.safetensors", balls(), 1, tmp_path / "out.safetensors")
