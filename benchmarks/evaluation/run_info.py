"""Run information: what a record says of the run besides its numbers, read from trainer, system and evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from lightning import Trainer

from benchmarks.evaluation.task_evaluator import TaskEvaluator
from benchmarks.records.parts import Protocol, RunInfo
from datamodules.base.rng import seed_of_run
from datamodules.files import sha256_of
from lightning_modules.callbacks.budget import Budget, updates_of
from lightning_modules.callbacks.training_end import reached_its_end
from lightning_modules.checkpoints.ending import training_finished
from lightning_modules.training_cost import TrainingCost

if TYPE_CHECKING:
    from benchmarks.evaluation.callback import Evaluation


class Weights(NamedTuple):
    """Where the weights come from that a test measures.

    Args:
        sha256: of their file; None if they come from none.
        finished: whether their training reached its end; None if unknown, or if there was none.
        trained: False for weights that were never trained, though the system learns; None otherwise.
    """

    sha256: str | None = None
    finished: bool | None = None
    trained: bool | None = None


def weights_of(trainer: Trainer, system: Any) -> Weights:
    """Where the system's weights come from, right after they were loaded."""
    if trainer.ckpt_path:
        path = Path(trainer.ckpt_path)
        return Weights(sha256_of(path), training_finished(path))
    if (digest := getattr(system, "checkpoint_sha256", None)) is not None:
        return Weights(digest, system.training_finished)
    if not getattr(system, "learns", True):
        return Weights()
    if updates_of(trainer, system) > 0:  # trained in this process
        return Weights(None, reached_its_end(trainer, system))
    return Weights(trained=False)


def left_out(trainer: Trainer) -> str | None:
    """Why a test or validation measures a part of its clips only; None if it measures all."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return "fast_dev_run looks at a few batches only"
    which = "test" if trainer.testing else "val"
    loaders: Any = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
    counts = trainer.num_test_batches if trainer.testing else trainer.num_val_batches
    every: Sequence[Any] = loaders if isinstance(loaders, list | tuple) else [loaders]
    whole = sum(len(loader) for loader in every)
    taken = sum(int(count) for count in counts)
    if taken >= whole:
        return None
    return f"limit_{which}_batches leaves out {whole - taken} of {whole} batches"


def run_info(trainer: Trainer, system: Any, evaluation: "Evaluation", weights: Weights) -> RunInfo:
    """What all records of a test share."""
    model = system.config or {"class_path": f"{type(system).__module__}.{type(system).__qualname__}"}
    config = evaluation.run_config or {"model": model}
    data = trainer.datamodule  # type: ignore[attr-defined]
    return RunInfo(
        table=evaluation.table,
        row=evaluation.row,
        group=evaluation.group,
        request=evaluation.request,
        class_path=model["class_path"],
        mode=getattr(system, "mode", None),
        config=_with_train_seed(config, data),
        seed=int(config.get("seed_everything", seed_of_run()) or 0),
        data=str(data.data_id("test")) if hasattr(data, "data_id") else type(data).__name__,
        split=getattr(data, "test_split", "test"),
        budget=system.trained or _cost_of(trainer, system),
        parameters=sum(parameter.numel() for parameter in getattr(system, "generator", system).parameters()),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        checkpoint_sha256=weights.sha256,
        training_finished=weights.finished,
        trained=weights.trained,
    )


def protocol_of(evaluator: TaskEvaluator, evaluation: "Evaluation") -> Protocol:
    """Everything that must agree before two numbers may be compared."""
    count = evaluation.num_samples
    extractors = {metric.name: metric.protocol for metric in evaluation.metrics if metric.protocol}
    settings = {
        **evaluator.settings,
        "n": evaluator.clips,
        "task": {"name": evaluator.task.name, **evaluator.task.settings},
        "num_samples": count,
        "sample_seed": evaluation.seed,
        "selection": evaluation.selection,
        **({"metrics": extractors} if extractors else {}),
    }
    if evaluator.own is not None:
        settings |= {"n": evaluator.own.count, "n_reference": evaluator.clips}
    name = f"{evaluator.label}-{settings['context_frames']}to{settings['target_frames']}"
    name += "" if evaluator.own is None else f"-{evaluator.own.count}vs{evaluator.clips}"
    return Protocol.create(name + (f"-gen{count}" if count > 1 else ""), settings)


def device_name(device: torch.device, processes: int = 1) -> str:
    """The device in words, without the machine's name: `cpu`, `2 x NVIDIA H100`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{processes} x {name}" if processes > 1 else name


def _with_train_seed(config: Mapping[str, Any], data: Any) -> Mapping[str, Any]:
    """The configuration with the seed of the training samples: its own, or that of the run the weights come from."""
    if not hasattr(data, "train_seed") or "data" not in config:
        return config
    arguments = {**(config["data"].get("init_args") or {}), "seed": data.train_seed}
    return {**config, "data": {**config["data"], "init_args": arguments}}


def _cost_of(trainer: Trainer, system: Any) -> TrainingCost:
    budget = next((one for one in trainer.callbacks if isinstance(one, Budget)), None)  # type: ignore[attr-defined]
    return TrainingCost(updates_of(trainer, system), budget.elapsed if budget else 0.0, device_name(system.device))
