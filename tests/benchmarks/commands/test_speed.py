import json
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from benchmarks.cli import benchmarks
from benchmarks.commands.speed import model_and_data, ratios
from benchmarks.profiling.measure import FlopCount, peak_memory
from benchmarks.profiling.table import relative_to_first, table

FIELD = {"class_path": "lightning_modules.dynamics.ConvField", "init_args": {"channels": 8, "hidden": 4}}
PARTS = "lightning_modules.networks.vid_ode_parts"
TINY = {
    "class_path": "lightning_modules.vid_ode.VidODE",
    "init_args": {
        "observe": 2,
        "generator": {
            "class_path": "lightning_modules.networks.vid_ode.VidODENetwork",
            "init_args": {
                "channels": 1,
                "width": 2,
                "encoder": {"class_path": f"{PARTS}.ODEConvGRU", "init_args": {"channels": 8, "field": FIELD}},
                "dynamics": {"class_path": "lightning_modules.dynamics.LatentODE", "init_args": {"field": FIELD}},
            },
        },
        "image_critic": {"class_path": f"{PARTS}.PatchCritic", "init_args": {"channels": 1, "width": 2}},
        "sequence_critic": {"class_path": f"{PARTS}.PatchCritic", "init_args": {"channels": 3, "width": 2}},
    },
}
SHAPES = {
    "class_path": "datamodules.moving_shapes.MovingShapes",
    "init_args": {
        "sampling": {"class_path": "datamodules.sampling.Regular", "init_args": {"num_frames": 4}},
        "batch_size": 2,
        "size": 16,
        "train_clips": 6,
        "val_clips": 2,
        "test_clips": 2,
    },
}
PUBLIC = {
    "models/__init__.py": "",
    "utils.py": "STEP = 1e-3\n",
    "models/conv_odegru.py": """
import torch
import utils

print("noise on stdout")

class VidODE(torch.nn.Module):
    def __init__(self, opt, device):
        super().__init__()
        self.layer = torch.nn.Conv2d(opt.input_dim, opt.input_dim, 3, padding=1)

    def compute_all_losses(self, batch):
        shown = batch["observed_data"]
        fake = self.layer(shown.flatten(0, 1)).view_as(shown)
        return {"loss": (fake - batch["data_to_predict"]).abs().mean(), "pred_y": fake}
""",
    "models/gan.py": """
import torch

class Critic(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = torch.nn.Conv2d(channels, 1, 3)

    def netD_adv_loss(self, real, fake, shown):
        return self.layer(fake.detach().flatten(0, 1)).mean() - self.layer(real.flatten(0, 1)).mean()

    def netG_adv_loss(self, fake, shown):
        return -self.layer(fake.flatten(0, 1)).mean()

def create_netD(opt, device):
    image, sequence = Critic(opt.input_dim), Critic(opt.input_dim)
    parameters = [*image.parameters(), *sequence.parameters()]
    return image, sequence, torch.optim.Adamax(parameters, lr=opt.lr)
""",
}


def _run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        benchmarks(["speed", *words])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_every_row_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, data, numbers = tmp_path / "experiment.yaml", tmp_path / "data.yaml", tmp_path / "numbers.json"
    data.write_text(yaml.safe_dump(SHAPES))
    experiment.write_text(yaml.safe_dump({"model": TINY, "data": "data.yaml"}))
    checkout = tmp_path / "public"
    for name, text in PUBLIC.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    words = ["--channels", "1", "--steps", "2", "--threads", "1", "--json", str(numbers), "--against", str(checkout)]
    assert _run(str(experiment), *words) == 0
    printed = capsys.readouterr().out
    for row in [
        "training step",
        "predict 1x, 2 frames",
        "predict 4x, 8 frames",
        "interpolate 1x, 4 frames",
        "interpolate 4x, 13 frames",
        "loading",
        "clips/s",
        "FLOP per step",
        "FLOP/s",
        "of a matrix product",
        "peak memory",
        "function evaluations",
        "its training step",
        "ours / theirs: wall min",
        "cpu median",
        "memory",
    ]:
        assert row in printed, printed
    report = json.loads(numbers.read_text())
    assert report["batch"] == {"size": 16, "frames": 4, "batch_size": 2, "channels": 1, "fps": 16}
    assert len(report["train"]["wall"]["all"]) == len(report["against"]["train"]["wall"]["all"]) == 2
    assert report["train"]["flop"] > 0
    assert report["train"]["function_evaluations"] > 0
    assert report["against"]["ratios"]["memory"] == report["train"]["memory"] / report["against"]["train"]["memory"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.yaml"], "'nowhere.yaml'"),
        (["tiny.yaml", "--against", "."], "no models/conv_odegru.py and no models/mocogan_ode.py"),
        (["tiny.yaml", "--steps", "0"], "--steps must be at least 1"),
        (["empty.yaml"], "neither a `model:` nor a `class_path:`"),
        (["laid_over.yaml"], "The `model:` of laid_over.yaml has no class_path"),
        (["half.yaml"], "The `data:` of half.yaml has no class_path"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    Path("empty.yaml").write_text("trainer: {max_epochs: 1}\n")
    Path("laid_over.yaml").write_text("model: {init_args: {observe: 3}}\n")
    Path("half.yaml").write_text("model: tiny.yaml\ndata: {init_args: {batch_size: 2}}\n")
    monkeypatch.setattr("benchmarks.commands.speed.process", None)  # no mistake takes a process to find
    assert _run(*words) == 2
    assert message in capsys.readouterr().err


def test_a_config_is_a_model_or_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "experiment.yaml").write_text("model: model.yaml\ndata: {class_path: datamodules.x.Y}\n")
    (tmp_path / "baseline.yaml").write_text("model: baselines.repeat_last.RepeatLast\n")
    assert model_and_data(tmp_path / "model.yaml") == (TINY, None)
    assert model_and_data(tmp_path / "experiment.yaml") == (TINY, {"class_path": "datamodules.x.Y"})
    assert model_and_data(tmp_path / "baseline.yaml") == ({"class_path": "baselines.repeat_last.RepeatLast"}, None)


def test_flop_of_a_convolution_and_of_its_gradients() -> None:
    layer = nn.Conv2d(3, 5, 4, stride=2, padding=1, bias=False)
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    known = 2 * (2 * 5 * 4 * 4) * (3 * 4 * 4)
    with FlopCount() as forward:
        result = layer(images).sum()
    with FlopCount() as of_weight:
        torch.autograd.grad(result, layer.weight, retain_graph=True)
    with FlopCount() as of_both:
        torch.autograd.grad(result, [layer.weight, images])
    assert forward.flop == of_weight.flop == known
    assert of_both.flop == 2 * known


def test_peak_memory_sees_what_was_held_and_let_go() -> None:
    before = peak_memory("cpu")
    held = torch.ones(max(before, 2**28) // 4)
    del held
    assert peak_memory("cpu") > max(before, 2**28)


def test_a_model_that_learns_nothing_has_no_training_rows() -> None:
    batch = {"size": 16, "frames": 4, "batch_size": 2, "channels": 1}
    row = {"wall": {"min": 1e-3, "median": 2e-3}, "cpu": {"min": 3e-3, "median": 4e-3}, "function_evaluations": 7}
    report = {"model": "Rule", "parameters": 0, "batch": batch, "device": "CPU", "loading": "5 clips/s"}
    printed = "\n".join(table({**report, "sample": {"predict 1x, 2 frames": row}}))
    assert "1.0 ms      2.0 ms      3.0 ms      4.0 ms   7 function evaluations" in printed
    assert "training" not in printed


def test_models_are_put_beside_the_first() -> None:
    reports = [{"config": "a.yaml"}, {"config": "b.yaml", "by_the_first": {"cpu min": 1.02}}, {"config": "c.yaml"}]
    assert list(relative_to_first(reports)) == [
        "relative to a.yaml:",
        "  b.yaml: cpu min 1.020",
        "  c.yaml: no training step",
    ]


def test_ratios_are_ours_by_theirs() -> None:
    ours = {"wall": {"min": 1.0, "median": 2.0}, "cpu": {"min": 3.0, "median": 4.0}, "memory": 5, "flop": 6}
    theirs = {"wall": {"min": 2.0, "median": 2.0}, "cpu": {"min": 2.0, "median": 2.0}, "memory": 10, "flop": 0}
    assert ratios(ours, theirs) == {"wall min": 0.5, "wall median": 1, "cpu min": 1.5, "cpu median": 2, "memory": 0.5}
