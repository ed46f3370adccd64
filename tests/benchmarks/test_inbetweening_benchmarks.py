"""The inbetweening paper's tables and figures: each kind is run at a tiny size by the real command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from baselines.linear_blend import LinearBlend
from baselines.repeat_last import RepeatLast
from benchmarks.cli import benchmarks
from benchmarks.figures.base import Trained
from benchmarks.figures.inbetweening import DecodedBlocks, Examples, MeanOfSamples
from benchmarks.metrics.features import i3d
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.record import read_records
from benchmarks.runs.published import read_table
from benchmarks.runs.spec import BenchmarkSpec, read_benchmark
from benchmarks.utils.errors import UserError
from datamodules.storage.video import read_video
from lightning_modules.checkpoints.build import build, save

pytestmark = pytest.mark.usefixtures("rows_in_process")

torch.set_num_threads(1)

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
SIZE = 16


def benchmark_of(name: str) -> BenchmarkSpec:
    return read_benchmark(CONFIGS / "benchmark" / f"inbetweening_{name}.yaml")


def test_the_tables_ask_what_the_paper_asks() -> None:
    for number, measure in (
        (1, "fvd_16f_i3d_logits_mean_of_100"),
        (2, "diversity_16f_i3d_logits"),
        (3, "ssim_best_of_100"),
    ):
        spec = benchmark_of(f"table{number}")
        assert spec.seeds == list(range(10))
        assert spec.protocol["num_samples"] == spec.evaluation["num_samples"] == 100
        assert spec.metrics == [measure]
        assert spec.tasks[0].get("init_args", {}).get("whole", False) == (number < 3)
        ours = {(row.group, row.label) for row in spec.rows}
        assert {(entry.group, entry.row) for entry in read_table(str(spec.published))} <= ours
        assert {(group, label) for group in ("BAIR", "KTH", "UCF101") for label in ("Vid-ODE", "linear blend")} <= ours


@pytest.mark.parametrize("data", ["weizmann", "moving_shapes"])
def test_the_small_boards_have_the_papers_ablation_and_a_metric_that_sees_a_jump(data: str) -> None:
    spec = benchmark_of(data)
    asked = {row.label: row.overrides for row in spec.rows}
    assert asked["Without fusion"] == ["model.init_args.generator.init_args.variant=without_fusion"]
    assert not asked["Inbetweening"]  # the same in all else
    assert "motion_course_distance_16f" in spec.metrics


def small(variant: str = "fusion") -> dict[str, Any]:
    parts = "lightning_modules.networks"
    frames: dict[str, Any] = {"channels": 3, "size": SIZE, "width": 2}
    generator = frames | {"frames": 8, "latent": 4, "noise": 4, "blocks": 4, "variant": variant}
    return {
        "class_path": "lightning_modules.inbetweening.Inbetweening",
        "init_args": {
            "generator": {"class_path": f"{parts}.inbetweening.InbetweeningNetwork", "init_args": generator},
            "video_critic": {
                "class_path": f"{parts}.inbetweening_critics.VideoCritic",
                "init_args": frames | {"frames": 8},
            },
            "image_critic": {"class_path": f"{parts}.inbetweening_critics.ImageCritic", "init_args": frames},
        },
    }


DATA: dict[str, Any] = {
    "class_path": "datamodules.moving_shapes.MovingShapes",
    "init_args": {
        "size": SIZE, "train_clips": 2, "val_clips": 1, "test_clips": 3, "batch_size": 2,
        "sampling": {"class_path": "datamodules.sampling.Regular", "init_args": {"num_frames": 8, "start": "first"}},
    },
}  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> list[Trained]:
    """A network with weights as they come, and the cross-fade."""
    torch.manual_seed(0)
    checkpoint = tmp_path / "net.safetensors"
    save(build(small()), checkpoint)
    blend = {"class_path": "baselines.linear_blend.LinearBlend"}
    return [
        Trained("Full model", "BAIR", 0, {"model": small(), "data": DATA}, checkpoint, []),
        Trained("Linear blend", "BAIR", 0, {"model": blend, "data": DATA}, None, []),
    ]


def frames_of(path: Path, lines: int, count: int) -> np.ndarray:
    """The strips of a picture: (line, frame, height, width, channel)."""
    pixels = np.asarray(Image.open(path))
    side = 2 * SIZE + 2
    found = []
    top = 0
    for line in range(lines):
        found.append([pixels[top : top + side - 2, k * side : (k + 1) * side - 2] for k in range(count)])
        top += side + (8 if line % 2 else 0)
    return np.array(found)


def test_examples_show_the_ends_and_the_original(rows: Sequence[Trained], tmp_path: Path) -> None:
    written = Examples(clips=2).draw(rows, tmp_path)
    assert [path.name for path in written] == [
        "bair_full_model-s0.png", "bair_full_model-s0.gif", "bair_linear_blend-s0.png", "bair_linear_blend-s0.gif",
    ]  # fmt: skip
    strips = frames_of(written[0], 4, 8)
    for ours, truth in ((0, 1), (2, 3)):
        assert (strips[ours, [0, -1]] == strips[truth, [0, -1]]).all()
        assert (strips[ours, 3] != strips[truth, 3]).any()
    moving = read_video(written[1])
    assert moving.frames.shape == (8, 3, 2 * 2 * SIZE, 2 * 2 * SIZE)


def test_the_mean_of_equal_draws_is_the_draw(rows: Sequence[Trained], tmp_path: Path) -> None:
    for name, figure in (("one", Examples(clips=1)), ("mean", MeanOfSamples(clips=1, num_samples=3))):
        (tmp_path / name).mkdir()
        figure.draw(rows[1:], tmp_path / name)
    one, mean = (
        np.asarray(Image.open(tmp_path / name / "bair_linear_blend-s0.png")).astype(int) for name in ("one", "mean")
    )
    assert np.abs(one - mean).max() <= 1
    assert isinstance(rows[1].system(), LinearBlend)


def test_blocks_are_decoded_down_to_the_models_own_answer(rows: Sequence[Trained], tmp_path: Path) -> None:
    for name, figure in (("example", Examples(clips=1)), ("blocks", DecodedBlocks(clips=1, last=2))):
        (tmp_path / name).mkdir()
        figure.draw(rows[:1], tmp_path / name)
    answer = frames_of(tmp_path / "example" / "bair_full_model-s0.png", 2, 8)[0, 1:-1]
    side = 2 * SIZE + 2
    blocks = np.asarray(Image.open(tmp_path / "blocks" / "bair_full_model-s0.png"))
    last = [blocks[side : side + side - 2, k * side : (k + 1) * side - 2] for k in range(6)]
    assert np.abs(np.array(last).astype(int) - answer).max() <= 1


def test_what_a_figure_cannot_draw_is_said(rows: Sequence[Trained], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="LinearBlend has none"):
        DecodedBlocks().draw(rows[1:], tmp_path)
    with pytest.raises(UserError, match="has 3 test clips and the figure shows 9"):
        Examples(clips=9).draw(rows, tmp_path)
    with pytest.raises(UserError, match="this network has 2; got last 8"):
        DecodedBlocks(last=8).draw(rows[:1], tmp_path)
    mute = Trained("Mute", "", 0, {"model": {"class_path": "baselines.repeat_last.RepeatLast"}, "data": DATA}, None, [])
    assert isinstance(mute.system(), RepeatLast)
    with pytest.raises(UserError, match="does not implement"):
        Examples(clips=1).draw([mute], tmp_path)


def run(spec: dict[str, Any], name: str, folder: Path) -> list[str]:
    """Run a benchmark as the command does, its rows in this process; the names of the figure's files."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    words = ["run", str(path), f"--runs={folder / 'runs'}", f"--results={folder / 'results'}"]
    with pytest.raises(SystemExit) as stop:
        benchmarks(words)
    assert stop.value.code == 0
    return sorted(file.name for file in (folder / "runs" / "figures" / name).glob("*"))


def unavailable(name: str) -> None:
    raise WeightsUnavailable(f"{name}: tests fetch nothing")


@pytest.mark.slow
def test_a_table_and_a_figure_are_run_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small table with its figure, and Figure 4 from the same training."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(i3d, "path_of", unavailable)
    few = ["data.init_args.train_clips=8", "data.init_args.val_clips=2", "data.init_args.test_clips=4"]
    few += ["budget.generator_updates=2"]
    spec = yaml.safe_load((CONFIGS / "benchmark" / "inbetweening_moving_shapes.yaml").read_text())
    for row in spec["rows"]:
        row["overrides"] = [*row.get("overrides", []), *few]
    files = run(spec, "inbetweening_moving_shapes", tmp_path)
    assert len(files) == 2 * len(spec["rows"])
    assert "inbetweening-s0.png" in files
    records = {record.row: record for record in read_records(tmp_path / "results").values()}
    assert set(records) == {row["label"] for row in spec["rows"]} | {name.replace("_", " ") for name in spec["scale"]}
    for record in records.values():
        assert record.protocol.id.startswith("inbetween-2to14-gen10-")
        assert record.metrics["ssim_best_of_10"].value is not None
        assert str(record.metrics["diversity_14f_i3d_logits"].reason).endswith("tests fetch nothing")
    blend = records["linear blend"].metrics
    assert blend["ssim_best_of_10"].value == pytest.approx(blend["ssim"].value)  # all of its draws are one
    figure = yaml.safe_load((CONFIGS / "benchmark" / "inbetweening_fig4.yaml").read_text())
    figure |= {"rows": spec["rows"][:1], "task": spec["task"], "evaluation": {"metrics": []}}
    figure["figure"]["init_args"]["last"] = 2
    assert run(figure, "inbetweening_fig4", tmp_path) == ["inbetweening-s0.gif", "inbetweening-s0.png"]
