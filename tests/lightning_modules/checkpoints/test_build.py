"""Systems from plain data and back, and what is refused on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from lightning_modules.checkpoints.build import build, load, save
from lightning_modules.vid_ode import VidODE
from support.vid_ode_maker import batch, config


def system(**changes: Any) -> VidODE:
    built = build(config(**changes)).eval()
    assert isinstance(built, VidODE)
    return built


def predicted(one: VidODE) -> torch.Tensor:
    clip = batch(1, 5).clip
    clip = type(clip)(*(field.float() for field in clip))
    with torch.no_grad():
        return one.predict(clip, clip.times[:, -1:] + 0.05).frames  # type: ignore[arg-type]


PAPER = {"encoder": {"solver": "rk4", "head": False, "direction": "forward"}}


@pytest.mark.parametrize("changes", [{}, PAPER], ids=["code", "paper"])
def test_a_saved_system_comes_back_without_its_critics(tmp_path: Path, changes: dict[str, Any]) -> None:
    ours, path = system(**changes), tmp_path / "deep" / "system.safetensors"
    save(ours, path)
    back = load(path)
    assert isinstance(back, VidODE)
    assert not back.training
    assert back.config == ours.config
    assert_close(predicted(back), predicted(ours), rtol=0, atol=0)
    assert [file.name for file in path.parent.iterdir()] == ["system.safetensors"]


def test_a_lightning_checkpoint_comes_back(tmp_path: Path) -> None:
    ours, path = system(), tmp_path / "last.ckpt"
    checkpoint: dict[str, Any] = {"state_dict": ours.state_dict()}
    ours.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    assert_close(predicted(load(path)), predicted(ours), rtol=0, atol=0)  # type: ignore[arg-type]


def test_the_configuration_stays_plain_data() -> None:
    given = config()
    assert system().config == given
    assert json.loads(json.dumps(system().config)) == given


@pytest.mark.parametrize("hostile", ["os.system", "subprocess.Popen", "builtins.exec", "torchvision.io.read_file"])
def test_a_class_from_elsewhere_is_refused(hostile: str) -> None:
    with pytest.raises(ValueError, match=f"names the class {hostile}.*pass trust="):
        build(config(generator_optimizer={"class_path": hostile, "init_args": {}}))
    with pytest.raises(ValueError, match=f"names the class {hostile}"):
        build({"class_path": hostile})


def test_a_hostile_class_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"config": json.dumps({"class_path": "os.system"})})
    with pytest.raises(ValueError, match=r"names the class os\.system"):
        load(path)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('the pickle ran')",)


@pytest.mark.parametrize("field", ["state_dict", "config"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"config": config(), "state_dict": {}} | {field: Hostile()}, path)
    with pytest.raises(ValueError, match="UnpicklingError"):
        load(path)


def test_what_is_trusted_is_built() -> None:
    cell = {"class_path": "torchvision.ops.FrozenBatchNorm2d", "init_args": {"num_features": 1}}
    with pytest.raises(ValueError, match=r"pass trust=\['torchvision'\]"):
        build(config(image_critic=cell))
    assert isinstance(build(config(image_critic=cell), trust=["torchvision.ops"]), VidODE)


def test_a_misspelt_argument_is_named() -> None:
    with pytest.raises(ValueError, match="decode_intervall"):
        build(config(decode_intervall=0.1))


def test_files_that_hold_no_system_say_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no checkpoint at"):
        load(tmp_path / "none.ckpt")
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="holds no `config`"):
        load(path)
    weights = {k: v for k, v in system().state_dict().items() if not k.startswith("critics.")}
    weights.pop("generator.image_decoder.0.weight", None)
    first = next(iter(weights))
    del weights[first]
    save_file(weights, path, metadata={"config": json.dumps(config())})
    with pytest.raises(ValueError, match="do not fit its configuration: missing"):
        load(path)


def test_only_a_built_system_can_be_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Only a system made by `build`"):
        save(VidODE(system().generator), tmp_path / "x.safetensors")


def test_seconds_become_model_time() -> None:
    shifted = system(first_time=0.0625, seconds_per_unit=0.5)
    assert_close(shifted.model_time(torch.tensor([0.0, 0.5])), torch.tensor([0.0625, 1.0625]))
    with pytest.raises(ValueError, match="seconds_per_unit must be positive"):
        system(seconds_per_unit=0.0)


def test_optimisers_named_in_plain_data_are_built_on_the_parameters() -> None:
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.5}}
    schedule = {"class_path": "lightning_modules.schedules.FlooredExponentialLR", "init_args": {"decay": 0.5}}
    first, second = system(generator_optimizer=adam, schedule=schedule).configure_optimizers()
    assert isinstance(first["optimizer"], torch.optim.Adam)
    assert isinstance(second["optimizer"], torch.optim.Adamax)
    assert first["optimizer"].param_groups[0]["lr"] == 0.25
    assert isinstance(system().critics, nn.ModuleDict)


@pytest.mark.parametrize(("name", "content"), [("empty.ckpt", b""), ("text.ckpt", b"hello"), ("no.safetensors", b"x")])
def test_a_file_of_another_kind_is_said_to_be_one(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="not a checkpoint that can be read"):
        load(tmp_path / name)


def test_a_file_without_a_configuration_is_refused(tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="holds no `config`"):
        load(tmp_path / "other.ckpt")
