"""Flags of Lightning's Trainer that our systems do otherwise: each is refused in one line with our own option."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from benchmarks.utils.errors import UserError


class Rule(NamedTuple):
    """A value of an argument of the Trainer that cannot be, and what to do instead."""

    name: str
    refused: Callable[[Any], bool]
    instead: str
    only_fit: bool = True


def _plain_ddp(strategy: object) -> bool:
    return strategy in ("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook")


def _without_gpu(accelerator: object) -> bool:
    return accelerator in ("gpu", "cuda") and not torch.cuda.is_available()


def _half_without_gpu(precision: object) -> bool:
    half = str(precision) in ("16", "16-mixed", "16-true")
    return half and not torch.cuda.is_available() and not torch.backends.mps.is_available()


RULES = (
    Rule(
        "accumulate_grad_batches",
        lambda value: value not in (None, 1),
        "Systems update their own optimisers: set `--model.init_args.accumulate N`, batches per update.",
    ),
    Rule(
        "gradient_clip_val",
        lambda value: value is not None,
        "Systems clip their own gradients: set `--model.init_args.clip_norm X`, the largest norm of one optimiser's.",
    ),
    Rule(
        "enable_checkpointing",
        lambda value: value is False,
        "A run writes checkpoints, from which it resumes and is tested: `--checkpoints.every_n_seconds null "
        "--checkpoints.every_n_epochs N` writes fewer, `--trainer.fast_dev_run true` none.",
        only_fit=False,
    ),
    Rule(
        "strategy",
        _plain_ddp,
        "A generator and its critics are updated in turn, so parameters without a gradient must be allowed: "
        "`--trainer.strategy ddp_find_unused_parameters_true`, as in configs/trainer/ddp.yaml.",
    ),
    Rule(
        "barebones",
        lambda value: value is True,
        "Checkpoints and logs are what a run leaves, and a bare Trainer has none. `benchmarks speed` measures steps.",
        only_fit=False,
    ),
    Rule(
        "precision",
        _half_without_gpu,
        "float16 is for GPUs; processors emulate it, many times slower than float32. `--trainer.precision bf16-mixed`, "
        "as in configs/trainer/cpu_bf16.yaml, or 32-true.",
        only_fit=False,
    ),
    Rule(
        "accelerator",
        _without_gpu,
        "PyTorch finds no CUDA device on this machine. `--trainer.accelerator auto` takes what there is; "
        "configs/trainer/cpu.yaml is for processors.",
        only_fit=False,
    ),
)


def check_trainer(trainer: Mapping[str, Any], fitting: bool) -> None:
    """Refuse what no system of ours can do with Lightning's Trainer.

    Args:
        trainer: its arguments, by name.
        fitting: whether it trains.

    Raises:
        UserError: that names the option, its value and our own option.
    """
    for rule in RULES:
        value = trainer.get(rule.name)
        if rule.refused(value) and (fitting or not rule.only_fit):
            raise UserError(f"--trainer.{rule.name} {str(value).lower()} cannot be. {rule.instead}")
