"""Configurations from elsewhere: whatever a checkpoint or a shared folder names, nothing of it runs."""

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
import torch
import yaml
from safetensors.torch import save_file

from benchmarks.cli import benchmarks
from benchmarks.lightning_cli import main as lightning
from datamodules.errors import UserError
from lightning_modules.checkpoints.allow_list import Refused, only, resolve
from lightning_modules.checkpoints.build import build, load, save
from lightning_modules.checkpoints.hub import CONFIG, WEIGHTS, from_pretrained
from lightning_modules.vid_ode import VidODE
from support.vid_ode_maker import config

NAME = "folder.payload.X"
DICTIONARY = {"class_path": NAME, "init_args": {}}
OPENED = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}
EVIL_BUILD = {"config": DICTIONARY, "trust": ["folder"]}

PAYLOAD = """
from pathlib import Path
from torch import nn
Path({marker!r}).write_text("ran")
class X(nn.Module):
    def __init__(self, *args, **kwargs): super().__init__()
def function(*args, **kwargs) -> nn.Module: return X()
"""

FORMS: dict[str, Any] = {
    "text": NAME,
    "dictionary": DICTIONARY,
    "dictionary without arguments": {"class_path": NAME},
    "dictionary with dict_kwargs": {"class_path": NAME, "dict_kwargs": {"a": 1}},
    "YAML in a text": yaml.safe_dump(DICTIONARY),
    "flow YAML in a text": f"{{class_path: {NAME}}}",
    "JSON in a text": json.dumps(DICTIONARY),
    "YAML in a text in a text": json.dumps(json.dumps(DICTIONARY)),
    "YAML in a block in a text": f"|\n  class_path: {NAME}\n",
    "YAML file": "hidden.yaml",
    "YAML file without an ending": "hidden",
    "YAML file by its whole path": "{tmp_path}/hidden.yaml",
    "a class path that is a file": {"class_path": "hidden.yaml"},
    "a class path in YAML": {"class_path": f"{{class_path: {NAME}}}"},
    "through a package that is trusted": "torch.nn.functional.importlib.import_module",
    "called through it": {
        "class_path": "torch.nn.functional.importlib.import_module",
        "init_args": {"name": "folder.payload"},
    },
    "through ours": {"class_path": "lightning_modules.checkpoints.build.torch.load", "init_args": {"f": "evil.ckpt"}},
    "our loader": {
        "class_path": "lightning_modules.checkpoints.build.load",
        "init_args": {"path": "evil.safetensors", "trust": ["folder"]},
    },
    "our hub": {
        "class_path": "lightning_modules.checkpoints.hub.from_pretrained",
        "init_args": {"name": "evil", "trust": ["folder"]},
    },
    "our builder": {"class_path": "lightning_modules.checkpoints.build.build", "init_args": EVIL_BUILD},
    "a class that is imported already": {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "marker"]}},
    "a function": "folder.payload.function",
    "a name of the folder": "folder.payload",
    "a tag": "!!python/object/apply:importlib.import_module ['folder.payload']",
    "a tag of a module": "!!python/module:folder.payload",
    "interpolation": "${oc.env:HOME}",
    "a config to include": {"config": "hidden.yaml"},
    "a path's context": {"class_path": "torch.nn.Identity", "__path__": "hidden.yaml"},
    "an entry of a list": [DICTIONARY, NAME],
    "an argument of an argument": {"class_path": "torch.nn.ModuleList", "init_args": {"modules": [NAME]}},
    "a text below": {"class_path": "torch.nn.Identity", "dict_kwargs": {"any": DICTIONARY, "more": NAME}},
}
PLACES = ("generator", "image_critic", "sequence_critic", "generator_optimizer", "schedule", "seconds_per_unit")


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the payload writes when it is imported."""
    found = tmp_path / "marker"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__init__.py").write_text("")
    (tmp_path / "folder" / "payload.py").write_text(PAYLOAD.format(marker=str(found)))
    for name in ("hidden", "hidden.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(DICTIONARY))
    evil = {"config": json.dumps(config(image_critic=DICTIONARY))}
    save_file({"a": torch.zeros(1)}, tmp_path / "evil.safetensors", metadata=evil)
    (tmp_path / "evil").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "evil" / WEIGHTS, metadata=evil)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield found
    for name in [name for name in sys.modules if name.partition(".")[0] == "folder"]:
        del sys.modules[name]


def nothing_ran(marker: Path) -> bool:
    return not marker.exists() and not any(name.partition(".")[0] == "folder" for name in sys.modules)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_no_form_runs_what_it_names(form: Any, place: str, marker: Path) -> None:
    form = form.format(tmp_path=marker.parent) if form == "{tmp_path}/hidden.yaml" else form
    with pytest.raises(UserError) as said:
        build(config(**{place: form}))
    assert nothing_ran(marker)
    assert len(str(said.value).splitlines()) == 1, "one line"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_no_form_is_a_system(form: Any, marker: Path) -> None:
    save_file({"a": torch.zeros(1)}, marker.parent / "x.safetensors", metadata={"config": json.dumps(form)})
    with pytest.raises(UserError):
        load(marker.parent / "x.safetensors")
    assert nothing_ran(marker)


def command(*words: str) -> Callable[[Path], Any]:
    return lambda path: lightning([word.format(path=path) for word in words])


def benchmark(*words: str) -> Callable[[Path], Any]:
    def run(path: Path) -> Any:
        with pytest.raises(SystemExit) as ended:
            benchmarks([word.format(path=path) for word in words])
        return ended.value.code

    return run


COMMANDS: dict[str, Callable[[Path], Any]] = {
    "load": load,
    "from_pretrained": lambda path: from_pretrained(path.parent),
    "sample": benchmark("sample", "{path}", "--out", "clip.mp4", "--length", "0.2s"),
    "export": benchmark("export", "{path}", "--out", "folder_of_export"),
    "test": command("test", "--ckpt_path", "{path}", "--data", "MovingShapes"),
    "predict": command("predict", "--ckpt_path={path}", "--data", "MovingShapes"),
    "fit": command("fit", "--model", "RepeatLast", "--data", "MovingShapes", "--ckpt_path", "{path}"),
}
SIX = ("text", "YAML in a text", "YAML file", "called through it", "our loader", "dictionary")


@pytest.mark.parametrize("form", SIX)
@pytest.mark.parametrize("by", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_command_runs_what_a_file_names(by: Callable[[Path], Any], form: str, marker: Path) -> None:
    given = config(generator=FORMS[form])
    folder = marker.parent / "download"
    folder.mkdir()
    save_file({"a": torch.zeros(1)}, folder / WEIGHTS, metadata={"config": json.dumps(given)})
    (folder / CONFIG).write_text(json.dumps(given))
    try:
        code = by(folder / WEIGHTS)
    except UserError:
        code = 2
    assert code == 2
    assert nothing_ran(marker)


def test_no_nested_configuration_runs_anything(marker: Path) -> None:
    dice = random.Random(0)

    def nested(depth: int) -> Any:
        kinds = ("form", "list", "arguments", "kwargs", "text", "dotted", "plain")
        kind = dice.choice(kinds) if depth else "form"
        if kind == "form":
            return dice.choice(list(FORMS.values()))
        if kind == "list":
            return [nested(depth - 1) for _ in range(dice.randint(1, 3))]
        if kind in ("arguments", "kwargs"):
            ours = ("torch.nn.Sequential", "torch.nn.Identity", "torch.optim.SGD", "baselines.constant.Constant")
            key = "init_args" if kind == "arguments" else "dict_kwargs"
            names = ("modules", "args", "x", "loss", "class_path", "distance_function")
            return {"class_path": dice.choice(ours), key: {dice.choice(names): nested(depth - 1)}}
        if kind == "text":
            return dice.choice((json.dumps, yaml.safe_dump, repr))(nested(depth - 1))
        if kind == "dotted":
            return {dice.choice(("class_path", "init_args.x", "x.class_path", "x.init_args")): nested(depth - 1)}
        return {"x": nested(depth - 1), "y": dice.choice((None, 1, -0.5, 10**400, "word", True, []))}

    for _ in range(400):
        changes = {dice.choice((*PLACES, "weights", "x.class_path")): nested(dice.randint(0, 4))}
        whole = dice.choice((config(**changes), {"class_path": nested(2), "init_args": changes}))
        save_file({"a": torch.zeros(1)}, "x.safetensors", metadata={"config": json.dumps(whole)})
        with pytest.raises(UserError) as said:
            load("x.safetensors")
        assert nothing_ran(marker), whole
        assert len(str(said.value).splitlines()) == 1


def test_what_is_found_counts_and_not_what_it_is_called() -> None:
    assert resolve("torch.nn.Linear") is torch.nn.Linear
    assert resolve("lightning_modules.vid_ode.VidODE") is VidODE
    for hidden in ("torch.nn.functional.importlib.import_module", "torch.nn.functional.torch", "torch.nn.modules"):
        with pytest.raises(Refused):
            resolve(hidden)
    with pytest.raises(Refused, match="no network, optimiser or schedule"):
        resolve("lightning_modules.checkpoints.build.load")


def test_every_import_of_the_parser_obeys() -> None:
    """The parser binds the function that imports in several of its modules; none may be missed."""
    from jsonargparse import _util

    holders = [m for n, m in sys.modules.items() if n.startswith("jsonargparse.") and "import_object" in vars(m)]
    assert len(holders) >= 3
    assert all(vars(module)["import_object"] is _util.import_object for module in holders)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--called", type=Callable[[int], int])  # type: ignore[arg-type]
    parser.add_argument("--type", type=type)
    parser.add_argument("--any", type=Any)
    parser.add_subclass_arguments(torch.nn.Module, "object", required=False)
    with only():
        for key, value in (
            ("called", "builtins.abs"),
            ("type", "decimal.Decimal"),
            ("object", "lightning.LightningModule"),
        ):
            with pytest.raises(Exception, match="none of lightning_modules"):
                parser.parse_object({key: value})
        assert parser.parse_object({"object": {"class_path": "torch.nn.Identity"}}).object
    assert parser.parse_object({"called": "builtins.abs"}).called is abs


def test_trust_by_name_is_enough_and_reaches_no_further(marker: Path) -> None:
    with pytest.raises(UserError, match="folder"):
        build(config(image_critic=DICTIONARY), trust=["other"])
    assert nothing_ran(marker)
    assert isinstance(build(config(image_critic=DICTIONARY), trust=["folder"]), VidODE)
    assert marker.exists()
    with pytest.raises(UserError, match=r"folder\.payload\.Path \(pathlib"):
        build(config(image_critic="folder.payload.Path"), trust=["folder"])


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    system = build(config())
    next(iter(system.parameters())).data[...] = torch.nan
    save(system, tmp_path / "nan.safetensors")
    with pytest.raises(UserError, match=r"not numbers \(NaN\)"):
        load(tmp_path / "nan.safetensors")


@pytest.mark.parametrize("state", [[1], {"a": 1}, {1: torch.zeros(1)}, "text"])
def test_a_checkpoint_of_another_form_is_one_line(state: Any, tmp_path: Path) -> None:
    torch.save({"config": config(), "state_dict": state}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match="not a checkpoint that can be read"):
        load(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    "text", ["{", "[1]", '"a"', "3", "[" * 100_000, '{"class_path": 3}', '{"class_path": "VidODE"}']
)
def test_metadata_of_another_form_is_one_line(text: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={"config": text})
    with pytest.raises(UserError) as said:
        load(tmp_path / "x.safetensors")
    assert len(str(said.value).splitlines()) == 1
