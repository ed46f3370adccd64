"""Training: the command `lightning {fit,validate,test,predict}`, which is LightningCLI with our systems and data."""

import logging
import os
import signal
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from benchmarks.config.build import import_ours
from benchmarks.config.errors import mistake_in_command
from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.config.trainer_rules import check_trainer
from benchmarks.config.weights import check_continues_its_model, continues, weights_of, with_model_of_checkpoint
from benchmarks.evaluation.callback import Evaluation
from benchmarks.loggers.csv_log import CsvLog
from benchmarks.loggers.progress import ProgressFile
from benchmarks.loggers.progress_bar import use_budget_bar
from benchmarks.utils.errors import UserError, run_with_user_errors, unknown_name_error
from benchmarks.utils.hashing import slug
from benchmarks.utils.locks import NAME, LockedError, locked
from datamodules.base.module import ClipDataModule
from datamodules.errors import user_error_in
from datamodules.files import write_text
from lightning_modules.callbacks.budget import Budget, GeneratorStepLogger
from lightning_modules.callbacks.checkpoint import Checkpoints
from lightning_modules.callbacks.nan_guard import NaNGuard
from lightning_modules.callbacks.rng_state import RandomState
from lightning_modules.callbacks.training_end import reached_its_end
from lightning_modules.callbacks.weight_averaging import EMAWeights
from lightning_modules.checkpoints.build import load, misfit
from lightning_modules.system import System, with_config

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a process that SIGTERM ended: 143."""

COMMANDS = ("fit", "validate", "test", "predict")
GROUPS = {
    "trainer": Trainer,
    "evaluation": Evaluation,
    "averaging": EMAWeights,
    "budget": Budget,
    "checkpoints": Checkpoints,
}
"""The groups of options, and the class whose arguments each one holds."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; mistakes are one line on stderr and exit code 2, and SIGTERM is exit code 143."""
    arguments = sys.argv[1:] if args is None else list(args)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_not_advertising)
    # lightning 2.6 calls a name of torch that torch 2.15 deprecates; nobody who trains can do anything about it
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    import_ours()

    def run() -> int:
        try:
            command = ChronoReelCLI(arguments)
        except SIGTERMException:  # Lightning would exit with 0
            return TERMINATED
        return TERMINATED if command.terminated else 0

    return run_with_user_errors("lightning", run)


class SaveConfig(SaveConfigCallback):
    """Saves the resolved configuration beside the run: `config.yaml` of a fit, `config-test.yaml` of a test."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Written whole or not at all, by the first process."""
        name = "config.yaml" if stage == "fit" else "config-" + stage + ".yaml"
        text = self.parser.dump(self.config, skip_none=False)
        write_text(Path(trainer.default_root_dir) / name, text)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(yaml.safe_load(text))


class ConfigParser(LightningArgumentParser):
    """Reads config files through `read_config`: parts and a recipe by path, and keys with dots."""

    def parse_path(self, path: str | os.PathLike[str], *args: Any, **options: Any) -> Namespace:
        """The values in a config file."""
        config = full_class_paths(read_config(Path(path)))
        return self.parse_string(yaml.safe_dump(config, sort_keys=False), *args, **options)


class ChronoReelCLI(LightningCLI):
    """LightningCLI with any `System` as `model:`, any `ClipDataModule` as `data:`, and groups of our own.

    `evaluation:`, `averaging:`, `budget:` and `checkpoints:` configure callbacks that run beside `trainer.callbacks`.
    Everything of a run goes to `trainer.default_root_dir`, which is `runs/<experiment>/<seed>` unless it is given.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.folder = Path()
        self.held = ExitStack()
        with self.held:
            self._run(arguments)

    @property
    def terminated(self) -> bool:
        """Whether SIGTERM came, though too late to stop anything."""
        trainer = getattr(self, "trainer", None)
        return bool(trainer is not None and trainer.received_sigterm)

    def _run(self, arguments: list[str]) -> None:
        strict = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            System,
            ClipDataModule,
            save_config_callback=SaveConfig,
            parser_class=ConfigParser,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={
                # the data deal themselves out to processes; Lightning would repeat clips to fill the last batch
                "use_distributed_sampler": False,
                "callbacks": [RandomState(), NaNGuard(), GeneratorStepLogger(), ProgressFile()],
            },
            seed_everything_default=0,
            parser_kwargs={**strict, "prog": "lightning", **{command: dict(strict) for command in COMMANDS}},
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=arguments,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The groups beside LightningCLI's own."""
        for name, kind in GROUPS.items():
            if kind is not Trainer:
                parser.add_lightning_class_args(kind, name)
        parser.add_argument(
            "--untrained",
            action="store_true",
            help="test, validate or predict with weights that were never trained, and label the record so",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; a checkpoint brings the configuration of its model, which what is given may add to."""
        arguments = with_model_of_checkpoint(self.arguments)
        command = next((word for word in arguments if word in COMMANDS), None)
        try:
            self.config = parser.parse_args(arguments)
        except ArgumentError as error:
            if command is None:
                word = next((word for word in arguments if not word.startswith("-")), "")
                raise unknown_name_error("command", word, COMMANDS) from error
            names = self._subcommand_parsers[command].get_defaults(skip_validation=True).keys()
            options = dict.fromkeys(["config", "help", "print_config", *(name.partition(".")[0] for name in names)])
            words = [word for word in arguments if word != command]
            raise (
                mistake_in_command(words, options, {"model": System, "data": ClipDataModule}, GROUPS)
                or UserError(" ".join(str(error).split())[:400])
            ) from error

    def before_instantiate_classes(self) -> None:
        """Choose the run's folder, and keep a finished or interrupted run from being overwritten."""
        config = self.config[self.config.subcommand]
        check_trainer(vars(config.trainer), fitting=self.config.subcommand == "fit")
        self.folder = Path(config.trainer.default_root_dir or _folder(config))
        last = self.folder / "checkpoints" / "last.ckpt"
        fitting = self.config.subcommand == "fit" and not config.trainer.fast_dev_run
        if fitting:
            self._lock_folder()
            if last.exists() and not continues(config.ckpt_path, last):
                raise UserError(
                    f"{self.folder} holds a run already. Continue it with `--ckpt_path last`, start another with "
                    "`--trainer.default_root_dir FOLDER` or `--seed_everything N`, or delete it."
                )
        if fitting and config.ckpt_path is None:
            for name in ("metrics.csv", "measurements.csv"):
                (self.folder / name).unlink(missing_ok=True)  # of a run that died before its first checkpoint
        if "WandbLogger" in str(config.trainer.logger):
            os.environ.setdefault("WANDB_MODE", "offline")

    def _lock_folder(self) -> None:
        """Keep other trainings out of the run's folder while this process lives; the first of several does."""
        if getattr(rank_zero_only, "rank", 0) != 0:
            return
        try:
            self.held.enter_context(locked(self.folder / NAME))
        except LockedError as error:
            raise UserError(
                f"Another training writes to {self.folder} ({error}). Wait until it ends, stop it, or train in another "
                "folder: `--trainer.default_root_dir FOLDER` or `--seed_everything N`."
            ) from error

    def instantiate_classes(self) -> None:
        """Build everything; a constructor's complaint about its arguments is a mistake of the configuration."""
        text = self.parser.dump(self.config, skip_link_targets=False, skip_none=False, format="yaml")
        self.plain: dict[str, Any] = yaml.safe_load(text)[self.config.subcommand]
        self.plain.pop("untrained")  # the record says it by itself
        _place_loggers(self.config[self.config.subcommand].trainer, self.folder)
        try:
            super().instantiate_classes()
        except ValueError as error:
            if told := user_error_in(error):
                raise told from error
            raise
        except MisconfigurationException as error:  # what the Trainer calls a mistake in its arguments
            raise UserError(" ".join(str(error).split())) from error
        with_config(self.model, self.plain["model"])

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """The trainer, with every callback at the run's folder."""
        parsed = self._get(self.config_init, "trainer")
        groups = {name: self._get(self.config_init, name) for name in ("evaluation", "budget", "checkpoints")}
        groups["evaluation"].run_config = self.plain
        groups["evaluation"].folder = groups["evaluation"].folder or str(self.folder)
        groups["checkpoints"].dirpath = groups["checkpoints"].dirpath or str(self.folder / "checkpoints")
        options["default_root_dir"] = str(self.folder)
        if parsed.logger is None or parsed.logger is True:
            options["logger"] = CsvLog(str(self.folder))
        limited = groups["budget"].seconds is not None or groups["budget"].generator_updates is not None
        if limited and parsed.max_epochs is None and parsed.max_steps == -1:
            options["max_epochs"] = -1
        trainer = super().instantiate_trainer(**options)
        use_budget_bar(trainer)
        return trainer

    def before_fit(self) -> None:
        """Say so if there is nothing to fit."""
        if type(self.model).training_step is LightningModule.training_step:
            raise UserError(f"{type(self.model).__name__} has nothing to learn. Use `lightning test`.")

    def after_fit(self) -> None:
        """Say so if the training has ended early."""
        early = not self.trainer.fast_dev_run and not reached_its_end(self.trainer, self.model)  # type: ignore[attr-defined]
        if early and self.trainer.is_global_zero:
            print(
                "The training stopped before its epochs, updates or seconds were reached, so its numbers are no result "
                f"yet. `--ckpt_path last` continues it from {self.folder / 'checkpoints'}.",
                file=sys.stderr,
            )

    def before_test(self) -> None:
        """Say so if nothing would be measured."""
        self._refuse_to_ask_nothing()

    def before_predict(self) -> None:
        """Say so if nothing would be drawn."""
        self._refuse_to_ask_nothing()

    def after_predict(self) -> None:
        """Say where the answers are."""
        print(f"The answers are in {self.folder / 'samples'}.")

    def after_test(self) -> None:
        """Say where the records are."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            for path in callback.records if isinstance(callback, Evaluation) else ():
                print(f"Wrote {path}.")

    def _refuse_to_ask_nothing(self) -> None:
        if not any(
            callback.tasks
            for callback in self.trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, Evaluation)
        ):
            raise UserError(
                "There is nothing to ask: `evaluation.tasks` is empty. Name a task and what it is given, as in "
                "`--evaluation.tasks+=Predict --evaluation.tasks.context 8`; `benchmarks list` shows them."
            )

    def _parse_ckpt_path(self) -> None:
        """Nothing: see `parse_arguments`."""

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        options = super()._prepare_subcommand_kwargs(subcommand)
        untrained = self.config[subcommand].untrained
        path = weights_of(subcommand, options.get("ckpt_path"), self.folder, self.model, untrained)
        options["ckpt_path"] = path
        if path not in (None, "last", "best") and not Path(path).is_file():
            found = [file for kind in ("ckpt", "safetensors") for file in Path().glob(f"runs/**/*.{kind}")]
            raise unknown_name_error("checkpoint", path, (str(file) for file in found if ".clips." not in file.name))
        file = self.folder / "checkpoints" / "last.ckpt" if path == "last" else Path(path or "")
        if subcommand == "fit" and file.is_file():
            check_continues_its_model(self.plain["model"], file)
        if file.is_file() and (reason := misfit(self.model, file)):
            raise UserError(
                f"The weights in {file} are not of the model that is configured: {reason}. Name the experiment that "
                "the checkpoint was trained by, or no model: a checkpoint brings its own."
            )
        if path is not None and path.endswith(".safetensors"):
            if subcommand == "fit":
                raise UserError(f"{path} holds weights only; a training is continued from a .ckpt file.")
            loaded = load(path)
            self.model.load_state_dict(loaded.state_dict(), strict=True)
            self.model.trained = loaded.trained
            self.model.checkpoint_sha256 = loaded.checkpoint_sha256
            self.model.training_finished = loaded.training_finished
            options["ckpt_path"] = None
        if subcommand == "predict":
            options["return_predictions"] = False
        return {**options, "weights_only": True}  # nothing untrusted is unpickled


def _not_advertising(message: logging.LogRecord) -> bool:
    """Lightning recommends services of its makers once per run."""
    return "Tip: For seamless cloud" not in message.getMessage()


def _folder(config: Namespace) -> Path:
    """`runs/<experiment>/<seed>`: the experiment is the first config file, or model and data.

    A run's own `config.yaml` leads back to the run.
    """
    files = [Path(str(entry)) for entry in config.get("config") or [] if entry is not None]
    if files and (files[0].parent / "checkpoints").is_dir():
        return files[0].parent
    if files:
        parts = files[0].with_suffix("").parts
        name = Path(*parts[parts.index("experiment") + 1 :]) if "experiment" in parts[:-1] else Path(parts[-1])
    else:
        name = Path("-".join(slug(config[key].class_path.rpartition(".")[2]) for key in ("model", "data")))
    return Path("runs") / name / str(int(config.seed_everything))


def _place_loggers(trainer: Namespace, folder: Path) -> None:
    """Loggers whose `save_dir` is "." or not given write to the run's folder."""
    loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    for logger in loggers:
        arguments = getattr(logger, "init_args", None)
        if isinstance(arguments, Namespace) and arguments.get("save_dir", "") in (None, "."):
            arguments["save_dir"] = str(folder)
