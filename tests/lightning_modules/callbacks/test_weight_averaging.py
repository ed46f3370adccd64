"""The average is the definition's, sits the exam with statistics of its own, and leaves the training alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor
from torch.testing import assert_close

from datamodules.clip import Batch
from lightning_modules.callbacks.checkpoint import Checkpoints
from lightning_modules.callbacks.rng_state import RandomState
from lightning_modules.callbacks.weight_averaging import EMAWeights
from lightning_modules.system import System
from support.tiny_systems import BATCHES, Plain, TinyGAN, assert_same_state, contents, data, team, trainer_of


class Spy(Callback):
    """Notes the generator's weights where the average should be in and out."""

    def __init__(self) -> None:
        self.training: list[Tensor] = []
        self.validation: list[Tensor] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.training.append(pl_module.generator[0].weight.detach().clone())  # type: ignore[index, union-attr]

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.validation.append(pl_module.generator[0].weight.detach().clone())  # type: ignore[index, union-attr]


@pytest.mark.parametrize("kind", [TinyGAN, Plain])
def test_the_average_sits_the_exam_and_goes_into_the_checkpoint(kind: type[System], tmp_path: Path) -> None:
    system, spy = kind(), Spy()
    average = system.generator[0].weight.detach().clone()
    trainer_of(tmp_path, *team(tmp_path), spy).fit(system, data())
    exams = []
    for number, raw in enumerate(spy.training, start=1):  # the definition, one update at a time
        average = 0.8 * average + 0.2 * raw
        if number % BATCHES == 0:
            exams.append(average)
    assert len(spy.validation) == 3
    for ours, theirs in zip(spy.validation, exams, strict=True):
        assert_close(ours, theirs)
    saved = contents(tmp_path)
    assert_close(saved["state_dict"]["generator.0.weight"], average)
    assert torch.equal(saved["raw_weights"]["generator.0.weight"], spy.training[-1])
    assert_close(system.generator[0].weight.detach(), average)


def test_averaging_starts_late_and_leaves_the_training_alone(tmp_path: Path) -> None:
    seen = []
    for name, averaging in (("off", EMAWeights()), ("late", EMAWeights(0.8, start=12))):
        seed_everything(0)
        spy, system = Spy(), TinyGAN()
        trainer_of(tmp_path / name, RandomState(), averaging, spy).fit(system, data())
        seen.append(spy)
    assert all(torch.equal(a, b) for a, b in zip(seen[0].training, seen[1].training, strict=True))
    assert torch.equal(seen[1].validation[1], seen[1].training[9])
    assert not torch.equal(seen[1].validation[2], seen[1].training[14])


def test_averaging_does_not_end_in_silence(tmp_path: Path) -> None:
    trainer_of(tmp_path, *team(tmp_path), max_epochs=1).fit(TinyGAN(), data())
    with pytest.raises(ValueError, match="this one has averaging off"):
        trainer_of(tmp_path, EMAWeights()).fit(TinyGAN(), data(), ckpt_path=str(tmp_path / "checkpoints" / "last.ckpt"))
    with pytest.raises(ValueError, match=r"averaged another part.*lacks critics"):
        trainer_of(tmp_path, EMAWeights(0.9, part="critics")).fit(
            TinyGAN(), data(), ckpt_path=str(tmp_path / "checkpoints" / "last.ckpt")
        )
    with pytest.raises(ValueError, match="no part 'painter'"):
        trainer_of(tmp_path, EMAWeights(0.9, part="painter")).fit(TinyGAN(), data())
    with pytest.raises(ValueError, match="below 1"):
        EMAWeights(1.0)


STATISTICS = ("running_mean", "running_var")


class Keeper(Callback):
    """Notes the batches of the training and, in the last validation, the module's state."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.state: dict[str, Tensor] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, _: int
    ) -> None:
        self.batches.append(batch)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.state = {name: value.detach().clone() for name, value in pl_module.state_dict().items()}


def normalisation(state: dict[str, Tensor]) -> list[Tensor]:
    return [state[f"generator.1.{name}"] for name in STATISTICS]


class Seen(TinyGAN):
    """Draws from the batch alone, so that the statistics follow by hand."""

    def generate_fakes(self, batch: Batch) -> Tensor:
        return self.generator(batch.clip.frames[:, 0].flatten(1)[:, 10:16])


def test_the_average_has_statistics_of_its_own(tmp_path: Path) -> None:
    keeper, system = Keeper(), Seen()
    callbacks = [EMAWeights(0.8, statistics=3), *team(tmp_path)[2:], keeper]
    trainer_of(tmp_path, *callbacks, max_epochs=2).fit(system, data())
    saved, raw = contents(tmp_path)["state_dict"], contents(tmp_path)["raw_weights"]
    weight, bias = saved["generator.0.weight"], saved["generator.0.bias"]
    maps = [batch.clip.frames[:, 0].flatten(1)[:, 10:16] @ weight.T + bias for batch in keeper.batches[-3:]]
    for state in (saved, keeper.state, system.state_dict()):
        mean, var = normalisation(state)
        assert_close(mean, torch.stack([x.mean(0) for x in maps]).mean(0))
        assert_close(var, torch.stack([x.var(0) for x in maps]).mean(0))
        assert not torch.allclose(mean, normalisation(raw)[0], rtol=1e-3)
    assert system.generator[1].momentum == 0.1  # type: ignore[index]


def test_statistics_of_the_average_leave_the_training_alone(tmp_path: Path) -> None:
    raw = []
    for count in (0, 2):
        folder = tmp_path / str(count)
        seed_everything(0)
        callbacks = [RandomState(), EMAWeights(0.8, statistics=count), *team(folder)[2:]]
        trainer_of(folder, *callbacks).fit(TinyGAN(), data())
        saved = contents(folder)
        raw.append({**saved["state_dict"], **saved["raw_weights"]})
    assert all(torch.equal(raw[0][name], raw[1][name]) for name in raw[0])


def test_statistics_are_the_same_after_a_break(tmp_path: Path) -> None:
    def run(folder: Path, epochs: int, **options: Any) -> None:
        seed_everything(len(options))
        callbacks = [RandomState(), EMAWeights(0.8, statistics=BATCHES), *team(folder)[2:]]
        trainer_of(folder, *callbacks, max_epochs=epochs).fit(TinyGAN(), data(), **options)

    run(tmp_path / "a", 3)
    run(tmp_path / "b", 2)
    run(tmp_path / "b", 3, ckpt_path=str(tmp_path / "b" / "checkpoints" / "last.ckpt"))
    assert_same_state(contents(tmp_path / "b"), contents(tmp_path / "a"))


def test_statistics_hold_after_a_break_until_there_are_enough_batches(tmp_path: Path) -> None:
    def run(epochs: int, batches: int, **options: Any) -> dict[str, Any]:
        callbacks = [RandomState(), EMAWeights(0.8, statistics=4), *team(tmp_path)[2:]]
        limits = {"max_epochs": epochs, "limit_train_batches": batches}
        trainer_of(tmp_path, *callbacks, **limits).fit(TinyGAN(), data(), **options)
        return contents(tmp_path)

    last = str(tmp_path / "checkpoints" / "last.ckpt")
    before = run(1, 5)
    after = run(2, 3, ckpt_path=last)
    assert not torch.equal(before["state_dict"]["generator.0.weight"], after["state_dict"]["generator.0.weight"])
    assert all(map(torch.equal, normalisation(before["state_dict"]), normalisation(after["state_dict"])))
    assert not torch.equal(normalisation(before["raw_weights"])[0], normalisation(after["raw_weights"])[0])
    enough = run(4, 3, ckpt_path=last)
    assert not torch.equal(normalisation(enough["state_dict"])[0], normalisation(after["state_dict"])[0])
    assert int(enough["state_dict"]["generator.1.num_batches_tracked"]) == 4


class Mixed(TinyGAN):
    """A frozen normalisation, one that no draw reaches, and a buffer that moves whenever the generator draws."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken
        layers: Any = self.generator
        layers[0] = torch.nn.utils.parametrizations.spectral_norm(layers[0])
        self.norm = layers[1]
        self.frozen = torch.nn.BatchNorm1d(64).eval()
        layers.append(self.frozen)
        self.unused = layers[2].unused = torch.nn.BatchNorm1d(4)
        self.drawn = 0

    def generate_fakes(self, batch: Batch) -> Tensor:
        self.drawn += 1
        if self.broken and self.norm.momentum is None:
            raise ArithmeticError("no more")
        return super().generate_fakes(batch)


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
def test_measuring_leaves_all_else_as_it_was(tmp_path: Path) -> None:
    ends = []
    for count in (0, 3):
        folder, system = tmp_path / str(count), Mixed()
        seed_everything(0)
        system.load_state_dict(Mixed().state_dict())
        callbacks = [RandomState(), EMAWeights(0.8, statistics=count), *team(folder)[2:]]
        trainer_of(folder, *callbacks).fit(system, data())
        saved = contents(folder)
        ends.append({**saved["state_dict"], **saved["raw_weights"]})
        assert bool((system.frozen.running_var == 1).all())
        assert bool((system.unused.running_var == 1).all())
        assert not system.frozen.training
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_draw_that_breaks_while_measuring_leaves_the_system_whole(tmp_path: Path) -> None:
    system = Mixed(broken=True)
    with pytest.raises(ArithmeticError, match="no more"):
        trainer_of(tmp_path, EMAWeights(0.8, statistics=3), Checkpoints(dirpath=str(tmp_path))).fit(system, data())
    assert system.norm.momentum == 0.1
    assert int(system.norm.num_batches_tracked) == 2 * BATCHES  # both players draw


def test_the_same_weights_are_measured_once(tmp_path: Path) -> None:
    system = Mixed()
    keeper = Checkpoints(dirpath=str(tmp_path), every_n_seconds=None)
    trainer_of(tmp_path, EMAWeights(0.8, statistics=3), keeper, max_epochs=2).fit(system, data())
    assert system.drawn == 2 * (BATCHES * 2 + 3)  # both players draw; a validation and an end of each epoch


@pytest.mark.slow
def test_statistics_are_those_of_all_processes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    callbacks = [EMAWeights(0.8, statistics=2), *team(tmp_path)[2:], (keeper := Keeper())]
    two = {"devices": 2, "strategy": "ddp_fork_find_unused_parameters_true"}
    kept = tmp_path / "batches"

    class Writer(Callback):
        def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            inputs = [batch.clip.frames[:, 0].flatten(1)[:, 10:16] for batch in keeper.batches[-2:]]
            torch.save(inputs, f"{kept}-{trainer.global_rank}.pt")

    trainer_of(tmp_path, *callbacks, Writer(), max_epochs=1, **two).fit(Seen(), data())
    saved = contents(tmp_path)["state_dict"]
    inputs = [x for rank in range(2) for x in torch.load(f"{kept}-{rank}.pt", weights_only=True)]
    maps = [x @ saved["generator.0.weight"].T + saved["generator.0.bias"] for x in inputs]
    mean, var = normalisation(saved)
    assert_close(mean, torch.stack([x.mean(0) for x in maps]).mean(0))
    assert_close(var, torch.stack([x.var(0) for x in maps]).mean(0))


def test_statistics_that_nothing_can_give_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 4 with decay None"):
        EMAWeights(statistics=4)
    with pytest.raises(ValueError, match=r"no `training_output`.*statistics: 0"):
        trainer_of(tmp_path, EMAWeights(0.9, statistics=4)).fit(Plain(), data())
    system = TinyGAN()
    system.generator[1] = torch.nn.Identity()  # type: ignore[index]
    with pytest.raises(ValueError, match="no batch normalisation"):
        trainer_of(tmp_path, EMAWeights(0.9, statistics=4)).fit(system, data())
