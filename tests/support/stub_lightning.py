"""Stands in for `lightning` in the tests of `benchmarks run`: counts to ten instead of training. Imports no torch."""

import os
import pickle
import signal
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.records.parts import Protocol
from datamodules.files import sha256_of
from lightning_modules.checkpoints.ending import about, training_finished
from support.record_maker import make_record

STEPS, INTERVAL = 10, 2


def main() -> None:
    verb, *words = sys.argv[1:]
    options = [(option.removeprefix("--"), value) for option, _, value in (word.partition("=") for word in words)]
    values = dict(options)
    with Path("calls.txt").open("a") as file:
        file.write(f"{verb} {Path(values['config']).stem} {values['seed_everything']} {values.get('ckpt_path', '-')}\n")
    folder = Path(values["trainer.default_root_dir"])
    if verb == "fit":
        fit(folder, Path(values["ckpt_path"]) if "ckpt_path" in values else None, str(folder))
        return
    configs = [yaml.safe_load(Path(value).read_text()) for option, value in options if option == "config"]
    evaluation = configs[-1]["evaluation"]
    for task in evaluation["tasks"]:
        name = task["class_path"].rpartition(".")[2].lower()
        model: Any = configs[0].get("model")  # by path, or as it is
        if "model" in values:
            model = yaml.safe_load(Path(values["model"]).read_text())
        record = make_record(
            table=evaluation["table"],
            row=evaluation["row"],
            seed=int(values["seed_everything"]),
            task={"name": name},
            protocol=Protocol.create(name, {"n": 50}),
            request=evaluation["request"],
            config=configs[0],
            class_path=model["class_path"] if isinstance(model, dict) else "baselines.constant.Constant",
        )
        weights = Path(values["ckpt_path"]) if "ckpt_path" in values else None
        ended = training_finished(weights) if weights else None
        digest = sha256_of(weights) if weights else None
        record = replace(record, group=evaluation.get("group", ""), checkpoint_sha256=digest, training_finished=ended)
        record.write(Path(evaluation["folder"]) / f"record-{name}.json")


def write_checkpoint(path: Path, step: int, finished: bool) -> None:
    """A file with the plain data of a checkpoint, where torch puts them."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("last/data.pkl", pickle.dumps({"step": step, "training_finished": finished}))


def fit(folder: Path, resumed: Path | None, row: str) -> None:
    step = about(resumed)["step"] if resumed else 0
    while step < STEPS:
        step += 1
        time.sleep(float(os.environ.get("STUB_SECONDS", "0")))
        with Path("steps.txt").open("a") as file:
            file.write(f"{step}\n")
        if os.environ.get("STUB_FAIL", "nothing") in row:
            print("Traceback: the fields do not fit", file=sys.stderr)
            sys.exit(7)
        if os.environ.get("STUB_KILL") == str(step):
            os.kill(os.getpid(), signal.SIGKILL)
        if step % INTERVAL == 0:
            (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            write_checkpoint(folder / "checkpoints/last.ckpt", step, finished=step == STEPS)
        if os.environ.get("STUB_STOP") == str(step):
            return  # as a callback that sets `trainer.should_stop`


if __name__ == "__main__":
    main()
