"""The seeds of a benchmark are different runs: other training batches, the same clips to test on."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from baselines.constant import Constant
from benchmarks.cli import benchmarks
from benchmarks.lightning_cli import main
from benchmarks.records.record import read_records
from datamodules.clip import Batch
from support.training_folder import EXPERIMENT, RUN, here

__all__ = ["here"]

pytestmark = pytest.mark.usefixtures("rows_in_process")
BENCHMARK = """
title: Tiny
seeds: [0, 1, 2]
split: test
tasks: [{class_path: benchmarks.evaluation.tasks.Predict, init_args: {context: 3}}]
rows: [{label: Mean, experiment: predict_balls/mean, overrides: [data.init_args.train_clips=16]}]
"""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Tensor]]:
    """The ids of the batches in the order in which they are learned from and tested on."""
    ids: dict[str, list[Tensor]] = {"training_step": [], "test_step": []}
    for step, rows in ids.items():
        original = getattr(Constant, step)

        def looking(self: Any, batch: Batch, *rest: Any, rows: Any = rows, original: Any = original) -> Any:
            rows.append(batch.ids)
            return original(self, batch, *rest)

        monkeypatch.setattr(Constant, step, looking)
    return ids


def test_the_seeds_of_a_benchmark_train_on_other_batches(here: Path, seen: dict[str, list[Tensor]]) -> None:
    Path("configs/benchmark").mkdir()
    Path("configs/benchmark/tiny.yaml").write_text(BENCHMARK)
    with pytest.raises(SystemExit) as end:
        benchmarks(["run", "configs/benchmark/tiny.yaml"])
    assert end.value.code == 0
    trained, tested = (torch.cat(rows).reshape(3, -1).tolist() for rows in seen.values())
    assert trained[0] != trained[1] != trained[2] != trained[0]
    assert all(len({number >> 24 for number in row}) == 16 for row in trained)
    assert tested[0] == tested[1] == tested[2]
    records = sorted(read_records(Path("benchmarks/results")).values(), key=lambda record: record.seed)
    assert [(record.seed, record.config["data"]["init_args"]["seed"]) for record in records] == [(0, 0), (1, 1), (2, 2)]
    assert len({record.data for record in records}) == 1


def test_a_run_that_goes_on_keeps_its_seed(here: Path, seen: dict[str, list[Tensor]]) -> None:
    """Its configuration leaves the data's seed to the run, so that another seed on the command line moves both."""
    clips = "--data.init_args.train_clips=16"
    straight = [EXPERIMENT, clips, "--seed_everything=1"]
    assert main(["fit", *straight]) == 0
    batches, seen["training_step"][:] = list(seen["training_step"]), []
    there = "--trainer.default_root_dir=resumed"
    assert main(["fit", *straight, there, "--trainer.max_epochs=1"]) == 0
    assert main(["fit", *straight, there, "--ckpt_path=last"]) == 0
    assert torch.equal(torch.cat(seen["training_step"]), torch.cat(batches))
    saved = yaml.safe_load((RUN.with_name("1") / "config.yaml").read_text())
    assert (saved["seed_everything"], saved["data"]["init_args"]["seed"]) == (1, None)
