"""`benchmarks weights`, through the front door: what it lists, how it fetches, and what it says when it cannot."""

import dataclasses
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import benchmarks.pretrained.registry as weights
import datamodules.storage.download as downloads
from benchmarks.cli import benchmarks
from benchmarks.pretrained.download import pip_settings
from benchmarks.pretrained.readers import read_npz
from benchmarks.pretrained.registry import Weights
from support.weight_server import Server


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code, and what was printed to both outputs, on one line each where the terminal broke it."""
    with pytest.raises(SystemExit) as ended:
        benchmarks(["weights", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture(autouse=True)
def table(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Weights]]:
    """A table of 'net', at the server, and of 'lost', which has no address; with an empty cache and no local folder."""
    for key in [key for key in os.environ if key.startswith(("PIP_", "UV_")) or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CHRONOREEL_WEIGHTS", raising=False)
    pip_settings.cache_clear()
    content = npz(w=np.random.default_rng(0).random((40, 50)))
    server.pages["/net.npz"] = content
    address = f"http://127.0.0.1:{server.server_address[1]}/net.npz"
    net = Weights("a net", "MIT", "net.npz", hashlib.sha256(content).hexdigest(), address, read_npz)
    lost = dataclasses.replace(net, about="a lost net", file="lost.npz", sha256=None, source=None)
    table = {"net": net, "lost": lost}
    monkeypatch.setattr(weights, "SOURCES", table)
    yield table
    pip_settings.cache_clear()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def test_list_says_what_there_is_and_what_to_carry(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = command(capsys, "list")
    assert code == 0
    facts = ("net  (not fetched)", "a lost net", "no permanent address", "net.npz (size unknown)", "MIT")
    for fact in (*facts, "set CHRONOREEL_WEIGHTS"):
        assert fact in out
    command(capsys, "fetch", "net")
    assert f"net  ({tmp_path / 'cache/chronoreel/weights/net.safetensors'})" in command(capsys, "list", "net")[1]


def test_the_real_table_is_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    code, out, _ = command(capsys, "list")
    assert code == 0
    for name in ("i3d_kinetics400", "inception_2015", "c3d_ucf101", "resnext101_kinetics"):
        assert f"{name}  (" in out
    for hash_ in (", of i3d-kinetics-400.ckpt", "begins with 6726825d", "sha256   not published"):
        assert hash_ in out, hash_


def test_what_was_fetched_is_verified_and_not_fetched_again(capsys: pytest.CaptureFixture[str], server: Server) -> None:
    assert command(capsys, "fetch", "net", "net")[0] == 0
    asked = len(server.requests)
    assert asked == 1
    code, out, _ = command(capsys, "fetch", "net")
    assert (code, len(server.requests)) == (0, asked)
    code, out, _ = command(capsys, "verify")
    assert code == 0
    assert "net  as it was converted" in out
    assert "lost  not fetched" in out


def test_damage_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, "fetch", "net")
    path = weights.cache_folder() / "net.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    code, _, err = command(capsys, "verify")
    assert code == 2
    assert "Delete it" in err


def test_verify_by_name_wants_it_to_be_here(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = command(capsys, "verify", "net")
    assert code == 2
    assert "`benchmarks weights fetch net`" in err


def test_an_interrupted_fetch_goes_on_where_it_stopped(
    capsys: pytest.CaptureFixture[str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_ATTEMPTS", 1)
    server.cuts = [5000]
    code, _, err = command(capsys, "fetch", "net")
    assert code == 2
    assert "IncompleteRead" in err or "could not be read" in err
    assert command(capsys, "fetch", "net")[0] == 0
    assert [wanted for _, wanted in server.requests] == [None, "bytes=5000-"]


def test_unreachable_names_the_address_and_the_local_folder(
    capsys: pytest.CaptureFixture[str], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = server.pages.pop("/net.npz")
    code, out, err = command(capsys, "fetch")
    assert code == 2
    assert "2 of 2 failed" in err
    assert "404" in err
    assert "Put net.npz into a folder and set CHRONOREEL_WEIGHTS to it" in err
    assert "Traceback" not in err + out
    monkeypatch.setenv("CHRONOREEL_WEIGHTS", str(tmp_path))
    assert f"Put net.npz into {tmp_path}" in command(capsys, "fetch", "net")[2]
    (tmp_path / "net.npz").write_bytes(content)
    (tmp_path / "lost.npz").write_bytes(content)
    assert command(capsys, "fetch")[0] == 0


def test_a_file_of_another_kind_in_the_local_folder_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost.npz").write_bytes(b"<html>not found</html>")
    monkeypatch.setenv("CHRONOREEL_WEIGHTS", str(tmp_path))
    code, _, err = command(capsys, "fetch", "lost")
    assert code == 2
    assert "cannot be read as lost.npz" in err
    assert not (weights.cache_folder() / "lost.safetensors").exists()


def test_slips_name_the_nearest_right_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean 'fetch'?" in command(capsys, "fetsh")[2]
    assert "Did you mean 'net'?" in command(capsys, "fetch", "nett")[2]


def test_a_file_without_a_published_hash_is_told_apart_by_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights.identity("lost") == "not fetched"
    content = npz(w=np.ones(3))
    (tmp_path / "lost.npz").write_bytes(content)
    monkeypatch.setenv("CHRONOREEL_WEIGHTS", str(tmp_path))
    command(capsys, "fetch", "lost")
    assert weights.identity("lost") == hashlib.sha256(content).hexdigest()
