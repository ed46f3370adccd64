"""The study of a step's cost: both ways take the same gradients, and checkpointing's memory is counted."""

import copy
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from benchmarks.profiling.inbetweening import PeakMemory, batch_of, main, memory, our_step, system_of
from lightning_modules.callbacks.compile import channels_last

torch.set_num_threads(1)


def test_channels_last_takes_the_same_gradients() -> None:
    torch.manual_seed(0)
    plain = system_of(16, 4, blocks=3)
    last = copy.deepcopy(plain)
    channels_last(last)
    kernels = [weight for weight in last.parameters() if weight.ndim == 5]
    assert kernels
    assert all(weight.is_contiguous(memory_format=torch.channels_last_3d) for weight in kernels)
    batch = batch_of(plain, 2)
    for system in (plain, last):
        torch.manual_seed(1)
        our_step(system, batch)
    for ours, theirs in zip(last.parameters(), plain.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


def test_memory_is_what_is_alive_at_one_time() -> None:
    with PeakMemory() as count:
        for _ in range(5):
            x = torch.zeros(1000)
            del x
        kept = [torch.zeros(1000), torch.zeros(1000)]
        view = kept[0].view(10, 100)
    assert count.peak == count.alive == 8000
    del kept, view
    assert count.alive == 0


def test_checkpointing_takes_less_memory() -> None:
    assert memory(16, 4, 2, True, blocks=12) < 0.8 * memory(16, 4, 2, False, blocks=12)


def test_the_study_prints_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.profiling.inbetweening.memory", lambda *_: 2**30)
    out = tmp_path / "study.json"
    words = ["--size=16", "--width=4", "--clips=1", "--steps=1", "--threads=1", f"--json={out}"]
    assert main(words) == 0
    assert "speed-up over plain: 1.00" in capsys.readouterr().out
    assert out.is_file()
