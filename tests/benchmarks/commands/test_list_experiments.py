"""`benchmarks list experiments`: what each experiment trains, on what, for which task, how large and for how long."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cli import benchmarks

ROOT = Path(__file__).parents[3]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The columns of each experiment, by name."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as stop:
        benchmarks(["list", "experiments"])
    assert stop.value.code == 0
    head, *rest = capsys.readouterr().out.splitlines()
    assert head == "experiments:"
    return {line.split()[0]: line.split()[1:] for line in rest}


def test_every_experiment_has_a_line_with_its_facts(lines: dict[str, list[str]]) -> None:
    folder = ROOT / "configs" / "experiment"
    assert set(lines) == {path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.yaml")}
    chosen = {
        "predict_kth/vid_ode": "VidODE KTH predict paper 500 epochs",
        "predict_bouncing_balls/vid_ode_demo": "VidODE BouncingBalls predict small 200 s",
        "generate_weizmann_strips/motion_gan": "MotionGAN WeizmannStrips generate small 5,000 updates",
        "predict_and_interpolate_bouncing_balls/repeat_last": (
            "RepeatLast BouncingBalls predict+interpolate - no training"
        ),
    }
    assert {name: " ".join(lines[name]) for name in chosen} == chosen


def test_the_list_imports_no_torch() -> None:
    code = (
        "import sys; from benchmarks.cli import benchmarks\n"
        "try: benchmarks(['list', 'experiments'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
