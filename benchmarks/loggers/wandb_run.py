"""W&B: a run's folder is one W&B run, whose x-axis counts generator updates; no account is needed."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from benchmarks.loggers.records import wait_for_a_free_name
from datamodules.files import write_text

AXIS = "generator_updates"
"""The x-axis of a run's charts."""


class RunWandbLogger(WandbLogger):
    """W&B for the run of one folder: a resumed training and a later test go into the same W&B run.

    Offline, each session leaves a folder of its own below `<save_dir>/wandb`, all with the run's id. If W&B
    cannot be used online (no account, no network), the session is kept offline, with a warning.

    Args:
        project: W&B's name for the collection of runs.
        save_dir: the run's folder; "." is that folder when the command line makes the logger.
        entity: the account or team; None: the account's own default.
        name: the run's name; None: the end of the folder's path, such as `predict_kth/vid_ode/0`.
        group: runs of one group are shown together.
        tags: words to find it by.
        log_model: whether checkpoints are uploaded too.
    """

    def __init__(
        self,
        project: str = "chronoreel",
        save_dir: str = ".",
        *,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        log_model: bool = False,
    ) -> None:
        name = name or "/".join(Path(save_dir).parts[-3:]) or None
        super().__init__(
            name, save_dir, project=project, log_model=log_model, entity=entity, group=group, tags=tags, config={}
        )
        del self._wandb_init["anonymous"]  # W&B knows no anonymous runs any more, and warns of the word

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run; started when first used."""
        if self._experiment is None:
            import wandb

            self._id = self._wandb_init["id"] = _id_of(Path(self._save_dir or "."))
            if wandb.run is not None and wandb.run.id != self._id:
                wandb.finish()  # of another folder, in the same process
            Path(self._save_dir or ".").mkdir(parents=True, exist_ok=True)
            if wandb.run is None and getattr(self, "_attach_id", None) is None:
                self._experiment = self._started()
        return super().experiment

    def _started(self) -> Any:
        import wandb

        wait_for_a_free_name(Path(self._save_dir or "."), str(self._id))
        try:
            run = wandb.init(**self._wandb_init)
        except wandb.errors.Error as error:
            rank_zero_warn(
                f"W&B cannot be used online ({' '.join(str(error).split())[:200]}). The run is kept offline below "
                f"{self._save_dir}/wandb; `wandb sync` sends it later."
            )
            run = wandb.init(**{**self._wandb_init, "mode": "offline"})
        run.define_metric(AXIS)
        run.define_metric("*", step_metric=AXIS, step_sync=True)
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Numbers or media at so many generator updates."""
        if metrics:
            self.experiment.log(dict(metrics) if step is None else {**metrics, AXIS: step})

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the session, so that the next one in this process starts clean."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if status == "success" else 1)
            self._experiment = None


def _id_of(folder: Path) -> str:
    """The id of the folder's W&B run: what the environment says, what an earlier session left, or a new one."""
    path = folder / "wandb" / "run-id"
    given = os.environ.get("WANDB_RUN_ID")
    if given:
        return given
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    new = secrets.token_hex(4)
    write_text(path, new + "\n")
    return new
