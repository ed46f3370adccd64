"""Systems as folders and repositories: what is loaded is what was saved, and nothing that could run code is opened."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from lightning_modules.checkpoints import hub
from lightning_modules.checkpoints.build import build, load
from lightning_modules.checkpoints.hub import CONFIG, WEIGHTS, HubError, from_pretrained, hub_mixin, save_pretrained
from lightning_modules.system import System
from lightning_modules.training_cost import TrainingCost

SYSTEM = {"class_path": "baselines.constant.Constant", "init_args": {"value": "mean"}}


@pytest.fixture
def system() -> System:
    made = build(SYSTEM)
    with torch.no_grad():
        for value in made.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value))
    made.trained = TrainingCost(12, 3.5, "cpu")
    return made


def same(ours: System, theirs: System) -> bool:
    assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    return type(ours) is type(theirs) and ours.config == theirs.config and ours.trained == theirs.trained


def test_a_folder_gives_back_what_was_saved(system: System, tmp_path: Path) -> None:
    files = save_pretrained(system, tmp_path / "model", card="# A card\n")
    assert [path.name for path in files] == ["model.safetensors", "config.json", "README.md"]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted(path.name for path in files)
    loaded = from_pretrained(tmp_path / "model")
    assert same(loaded, system)
    assert not loaded.training


def test_the_mixin_gives_the_same_from_a_repository(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs = pytest.importorskip("huggingface_hub")
    hub_mixin()(system).save_pretrained(tmp_path / "remote")
    assert same(from_pretrained(tmp_path / "remote"), system)
    asked: list[tuple[str, str, Any]] = []

    def downloads(*, repo_id: str, filename: str, revision: str | None = None, **_: Any) -> str:
        asked.append((repo_id, filename, revision))
        return str(tmp_path / "remote" / filename)

    monkeypatch.setattr(hubs, "hf_hub_download", downloads)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", downloads)
    assert same(from_pretrained("user/model", revision="v1"), system)
    assert {("user/model", name, "v1") for name in (WEIGHTS, CONFIG)} == set(asked)


def test_a_repository_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(HubError, match="neither a folder nor the name of a repository"):
        from_pretrained("no/such/folder")
    with pytest.raises(HubError, match="repository 'user/model'"):
        from_pretrained("user/model", local_files_only=True, cache_dir=str(tmp_path))


def test_without_huggingface_hub_folders_still_load(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pretrained(system, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert same(from_pretrained(tmp_path), system)
    with pytest.raises(HubError, match=r"pip install chronoreel\[hub\]"):
        from_pretrained("user/model")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "last.ckpt", "model.pkl", WEIGHTS])
def test_hostile_pickles_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    (Path("model") / name).write_bytes(pickle.dumps(Bomb()))
    (Path("model") / CONFIG).write_text(json.dumps(SYSTEM))
    with pytest.raises(ValueError, match=r"run code|more than tensors"):
        from_pretrained("model")
    torch.save({"state_dict": {}, "config": SYSTEM, "bomb": Bomb()}, "evil.ckpt")
    with pytest.raises(ValueError, match="never opened"):
        load("evil.ckpt")
    assert not Path("exploded").exists()


def test_classes_from_elsewhere_need_trust(system: System, tmp_path: Path) -> None:
    system.config = {"class_path": "os.system", "init_args": {}}
    save_pretrained(system, tmp_path)
    with pytest.raises(ValueError, match=r"os\.system, which is none of"):
        from_pretrained(tmp_path)


def test_a_configuration_that_was_changed_is_refused(system: System, tmp_path: Path) -> None:
    save_pretrained(system, tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({**SYSTEM, "init_args": {"value": "black"}}))
    with pytest.raises(HubError, match="one of them was changed"):
        from_pretrained(tmp_path)


def test_only_the_systems_files_are_uploaded(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hubs = pytest.importorskip("huggingface_hub")
    calls: dict[str, Any] = {}

    class Api:
        def __init__(self, token: str | None) -> None:
            calls["token"] = token

        def create_repo(self, repository: str, **options: Any) -> str:
            calls["create"] = (repository, options)
            return f"https://hub/{repository}"

        def upload_folder(self, **options: Any) -> None:
            calls["upload"] = options

    monkeypatch.setattr(hubs, "HfApi", Api)
    assert hub.push_to_hub(tmp_path, "user/model", private=True) == "https://hub/user/model"
    assert calls["create"] == ("user/model", {"private": True, "exist_ok": True})
    assert calls["upload"]["allow_patterns"] == [WEIGHTS, CONFIG, "README.md"]
