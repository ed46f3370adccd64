"""What surrounds the training: a broken-off run continues bit for bit; averages, budgets and health keep their word."""

import io
import random
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything

from lightning_modules.callbacks.budget import Budget, GeneratorStepLogger
from lightning_modules.callbacks.checkpoint import Checkpoints
from lightning_modules.callbacks.nan_guard import NaNGuard, NotFiniteError
from lightning_modules.callbacks.rng_state import capture_random_state, restore_random_state
from lightning_modules.system import System
from support.tiny_systems import BATCHES, Plain, TinyGAN, assert_same_state, contents, data, team, trainer_of


class Stop(Callback):
    """Pulls the plug in the middle of a step, before one of the players moves, or within a validation."""

    def __init__(self, batch: int | None = None, validation: int | None = None) -> None:
        self.batch, self.validation = batch, validation

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        seen = trainer.fit_loop.total_batch_idx
        if self.batch is not None and seen >= self.batch:
            raise RuntimeError("the plug is pulled")

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.sanity_checking and self.validation == trainer.current_epoch:
            raise RuntimeError("the plug is pulled")


def test_every_random_stream_is_continued() -> None:
    def draw() -> list[float]:
        return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), float(torch.randn(()))]  # noqa: NPY002

    draw()  # half of a pair of Gaussians is kept by numpy and by Python for the next call
    state = capture_random_state()
    theirs = draw()
    torch.save({"state": state}, buffer := io.BytesIO())
    buffer.seek(0)
    seed_everything(3)
    restore_random_state(torch.load(buffer, weights_only=True)["state"])
    ours = draw()
    assert ours == theirs


KILLS = {
    "mid-epoch": Stop(batch=7),
    "first-batch-of-epoch": Stop(batch=5),
    "last-batch-of-epoch": Stop(batch=9),
    "in-validation": Stop(validation=1),
}


FAST = [
    (TinyGAN, "mid-epoch", 1),
    (TinyGAN, "last-batch-of-epoch", 1),
    (TinyGAN, "in-validation", None),
    (Plain, "mid-epoch", 3),
]
REST = [case for case in product((TinyGAN, Plain), KILLS, (1, 3, None)) if case not in FAST]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Callable[[type[System]], dict[str, Any]]:
    """The end of a run without a break, by kind of system: how often it saved does not matter."""

    @cache
    def run(kind: type[System]) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("straight")
        seed_everything(0)
        trainer_of(folder, *team(folder, 2)).fit(kind(), data())
        return contents(folder)

    return run


@pytest.mark.parametrize(
    ("kind", "kill", "every"), [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in REST)]
)
def test_killed_and_resumed_equals_straight(
    kind: type[System], kill: str, every: int | None, straight: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    seed_everything(0)
    with pytest.raises(RuntimeError, match="plug"):
        trainer_of(tmp_path, *team(tmp_path, every), KILLS[kill]).fit(kind(), data())
    seed_everything(1)  # nothing of the new process may matter
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    trainer_of(tmp_path, *team(tmp_path, every)).fit(kind(), data(), ckpt_path=last, weights_only=True)
    assert_same_state(contents(tmp_path), straight(kind))


@pytest.mark.parametrize("updates", [4, 5, 8])
def test_a_budget_that_is_raised_equals_a_greater_one(updates: int, tmp_path: Path) -> None:
    def run(folder: Path, limit: int, **options: Any) -> TinyGAN:
        system, callbacks = TinyGAN(), team(folder, None)
        callbacks[2] = Budget(generator_updates=limit)
        trainer_of(folder, *callbacks, max_epochs=-1).fit(system, data(), **options)
        assert system.generator_updates == limit
        return system

    seed_everything(0)
    run(tmp_path / "a", 12)
    seed_everything(0)
    run(tmp_path / "b", updates)
    seed_everything(1)
    run(tmp_path / "b", 12, ckpt_path=str(tmp_path / "b" / "checkpoints" / "last.ckpt"))
    assert_same_state(contents(tmp_path / "b"), contents(tmp_path / "a"))


def test_accumulated_updates_are_not_broken_in_two(tmp_path: Path) -> None:
    def run(folder: Path, *more: Callback, **options: Any) -> None:
        trainer_of(folder, *team(folder, 1), *more).fit(TinyGAN(accumulate=2), data(), **options)

    seed_everything(0)
    run(tmp_path / "a")
    seed_everything(0)
    with pytest.raises(RuntimeError, match="plug"):
        run(tmp_path / "b", Stop(batch=8))
    run(tmp_path / "b", ckpt_path=str(tmp_path / "b" / "checkpoints" / "last.ckpt"))
    assert_same_state(contents(tmp_path / "b"), contents(tmp_path / "a"))


def test_nothing_is_saved_while_batches_wait_for_an_update(tmp_path: Path) -> None:
    waiting = []

    class Watch(Checkpoints):
        def _save_last(self, trainer: Trainer, updates: int) -> None:
            waiting.append(bool(trainer.lightning_module.mid_update))

    keeper = Watch(every_n_updates=None, every_n_seconds=0.0, dirpath=str(tmp_path))
    trainer_of(tmp_path, keeper, max_epochs=1).fit(TinyGAN(accumulate=2), data())
    assert len(waiting) > 1
    assert not any(waiting)


@pytest.mark.slow
def test_killed_and_resumed_equals_straight_on_two_processes(tmp_path: Path) -> None:
    def run(folder: Path, *more: Callback, **options: Any) -> dict[str, Any]:
        two = {"devices": 2, "strategy": "ddp_fork_find_unused_parameters_true"}
        seed_everything(len(options))
        trainer_of(folder, *team(folder, 2), *more, **two).fit(TinyGAN(), data(), **options)
        return contents(folder)

    straight = run(tmp_path / "a")
    assert len(straight["random_states"]) == 2
    with pytest.raises(Exception, match="plug"):
        run(tmp_path / "b", Stop(batch=3))
    resumed = run(tmp_path / "b", ckpt_path=str(tmp_path / "b" / "checkpoints" / "last.ckpt"))
    assert_same_state(resumed, straight)


def test_a_budget_counts_generator_updates_not_optimiser_steps(tmp_path: Path) -> None:
    system = TinyGAN(critic_updates=2)
    trainer = trainer_of(tmp_path, Budget(generator_updates=4), max_epochs=-1)
    trainer.fit(system, data())
    assert (system.generator_updates, system.updates, trainer.global_step) == (4, 8, 12)


def test_a_budget_of_seconds_survives_a_break(tmp_path: Path) -> None:
    budget = Budget(seconds=0.3)
    trainer_of(tmp_path, budget, max_epochs=-1, limit_val_batches=0).fit(TinyGAN(), data())
    assert 0.3 <= budget.elapsed < 3
    resumed = Budget(seconds=0.3)
    resumed.load_state_dict(budget.state_dict())
    system = TinyGAN()
    trainer_of(tmp_path, resumed, max_epochs=-1).fit(system, data())
    assert system.generator_updates == 0
    with pytest.raises(ValueError, match="positive"):
        Budget(seconds=0.0)


def test_a_nan_stops_the_run_names_the_term_and_keeps_the_batch(tmp_path: Path) -> None:
    health, system = NaNGuard(), TinyGAN(poison=7)
    with pytest.raises(NotFiniteError, match=r"generator/size became NaN.*after 7 generator updates"):
        trainer_of(tmp_path, *team(tmp_path)[:3], health, *team(tmp_path)[-1:]).fit(system, data())
    kept = torch.load(tmp_path / "health" / "update-7-rank-0.pt", weights_only=True)
    assert (kept["terms"], kept["epoch"], kept["batch_idx"]) == (["generator/size"], 1, 2)
    assert kept["batch"]["clip"]["frames"].shape == (2, 3, 1, 8, 8)
    assert all(bool(value.isfinite().all()) for value in contents(tmp_path)["state_dict"].values())


def test_gradient_norms_are_logged_for_each_player(tmp_path: Path) -> None:
    class Naive(Callback):
        norms: dict[str, float]

        def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
            self.norms = getattr(self, "norms", {})
            for part in ("generator", "critics"):
                grads = [p.grad for p in getattr(pl_module, part).parameters() if p.grad is not None]
                if grads and optimizer.param_groups[0]["params"][0] is next(getattr(pl_module, part).parameters()):
                    self.norms[part] = float(sum(g.double().square().sum() for g in grads) ** 0.5)

    naive = Naive()
    trainer = trainer_of(tmp_path, NaNGuard(), naive, max_epochs=1)
    trainer.fit(TinyGAN(), data())
    for part in ("generator", "critics"):
        assert float(trainer.callback_metrics[f"gradient_norm/{part}"]) == pytest.approx(naive.norms[part], rel=1e-5)


def test_logged_gradient_norms_are_those_before_clipping(tmp_path: Path) -> None:
    def norm(clip: float | None) -> float:
        torch.manual_seed(0)
        trainer = trainer_of(tmp_path / str(clip), NaNGuard(), max_epochs=1, limit_train_batches=1)
        trainer.fit(TinyGAN(clip_norm=clip), data())
        return float(trainer.callback_metrics["gradient_norm/generator"])

    # the critic, which moves first and is clipped as well, hardly changes it
    raw = norm(None)
    assert raw > 2e-3
    assert norm(1e-3) == pytest.approx(raw, rel=1e-3)


class Score(Callback):
    def __init__(self, *scores: float) -> None:
        self.scores = scores

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("val/score", self.scores[trainer.current_epoch])


@pytest.mark.parametrize(("mode", "best"), [("max", 1), ("min", 2)])
def test_the_best_is_kept_beside_the_last(mode: str, best: int, tmp_path: Path) -> None:
    keeper = Checkpoints("val/score", mode=mode, dirpath=str(tmp_path / "checkpoints"))  # type: ignore[arg-type]
    trainer_of(tmp_path, Score(2.0, 3.0, 1.0), keeper).fit(TinyGAN(), data())
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    saved = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["updates"]["generator_updates"] == BATCHES * (best + 1)
    assert contents(tmp_path)["updates"]["generator_updates"] == BATCHES * 3


def test_an_unknown_score_is_an_error(tmp_path: Path) -> None:
    keeper = Checkpoints("val/scroe", dirpath=str(tmp_path / "checkpoints"))
    with pytest.raises(ValueError, match=r"'val/scroe'.*not logged.*val/score"):
        trainer_of(tmp_path, Score(1.0), keeper, max_epochs=1).fit(TinyGAN(), data())


def test_numbers_are_logged_over_generator_updates(tmp_path: Path) -> None:
    trainer_of(tmp_path, GeneratorStepLogger(), Score(1.0, 2.0, 3.0)).fit(TinyGAN(critic_updates=2), data())
    header, *rows = (line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines())
    column, step = header.index("val/score"), header.index("step")
    assert [(int(row[step]), float(row[column])) for row in rows if row[column]] == [(2, 1.0), (5, 2.0), (7, 3.0)]
