"""`benchmarks speed --metrics`: each metric beside another implementation, and the network's share of the time."""

import json
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.cli import benchmarks
from benchmarks.metrics import lpips
from benchmarks.metrics.features import extractor
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.profiling.metrics import Comparison, line, measured

DOCS = Path(__file__).parents[3] / "docs"


class Slow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.03)
        return x


def test_both_are_timed_in_turn_and_the_networks_share_is_known() -> None:
    network, order = Slow(), []

    def ours() -> None:
        order.append("ours")
        network(torch.zeros(1))
        time.sleep(0.01)

    def theirs() -> None:
        order.append("theirs")
        time.sleep(0.08)

    row = measured(Comparison("a metric", 4, ours, "another's", theirs, network), 2)
    assert order == ["ours", "theirs"] * 3
    assert 0.04 <= row["seconds"] < row["reference_seconds"]
    assert row["faster"] == row["reference_seconds"] / row["seconds"]
    assert row["clips_per_second"] == 4 / row["seconds"]
    assert 0.05 < row["outside_network"] < 0.6
    assert "another's: 0." in line(row)
    assert "% outside the network" in line(row)
    assert not network._forward_hooks


def test_the_command_times_what_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(name: str) -> None:
        raise WeightsUnavailable(f"{name} is on Mars")

    monkeypatch.setattr(lpips, "network_of", unavailable)
    monkeypatch.setattr(extractor, "_i3d", unavailable)
    out = tmp_path / "out.json"
    words = ["--metrics", "--dimension", "12", "--steps", "1", "--size", "32", "--batch-size", "1", "--threads", "1"]
    with pytest.raises(SystemExit) as end:
        benchmarks(["speed", *words, "--json", str(out)])
    assert not end.value.code
    report = json.loads(out.read_text())
    rows = {(row["name"], row.get("reference")) for row in report["rows"]}
    assert {
        ("psnr_pooled", "torchmetrics"),
        ("ssim", "scikit-image"),
        ("temporal", None),
        ("frechet distance, 12 features", "scipy's sqrtm"),
        ("frechet distance, 12 features", "torchmetrics"),
        ("mmd, 400 features", "torchmetrics"),
    } <= rows
    assert all(row["seconds"] > 0 and row["clips_per_second"] > 0 for row in report["rows"])
    assert report["left_out"] == {"lpips_alex": "alex is on Mars", "fvd": "logits is on Mars"}
    assert "fvd: n/a (logits is on Mars)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "or give --metrics"),
        (["model.yaml", "--metrics"], "leave the config and --device out"),
        (["--metrics", "--dimension", "1"], "--dimension must be at least 2; got 1."),
    ],
)
def test_what_cannot_be_timed_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        benchmarks(["speed", *words])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_the_page_quotes_the_record() -> None:
    """Made anew, the record asks for these lines on the page."""
    page = (DOCS / "metrics.md").read_text()
    for row in json.loads((DOCS / "metrics_speed.json").read_text())["rows"]:
        beside = ["", "", ""]
        if "faster" in row:
            beside = [row["reference"], f"{row['reference_seconds']:.3g}", f"{row['faster']:.2f}"]
        outside = f"{row['outside_network']:.1%}" if "outside_network" in row else ""
        cells = [row["name"], str(row["clips"]), f"{row['seconds']:.3g}", *beside, outside]
        assert f"| {' | '.join(cells)} |" in page
