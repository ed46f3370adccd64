"""docs/your_own_videos.md, step by step as it stands, on films and networks that are tiny."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.cli import benchmarks
from benchmarks.lightning_cli import main
from benchmarks.records.record import read_records
from datamodules.storage.video_writer import write_video

pytestmark = pytest.mark.usefixtures("rows_in_process")

ROOT = Path(__file__).parents[1]
PAGE = re.sub(r"^   ", "", (ROOT / "docs" / "your_own_videos.md").read_text(), flags=re.MULTILINE)
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's folder as far as commands can tell, with ten films in `my_videos` and tiny sizes in `tiny.yaml`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHRONOREEL_DATA", str(tmp_path / "data"))
    shutil.copytree(ROOT / "configs", "configs")
    shutil.rmtree("configs/benchmark")
    random = np.random.default_rng(0)
    (tmp_path / "my_videos").mkdir()
    for number in range(10):
        write_video(f"my_videos/{number}.mp4", random.integers(0, 256, (12, 3, 36, 48), dtype=np.uint8), 30)
    tiny = yaml.safe_load(Path("configs/smoke/vid_ode.yaml").read_text())
    tiny["data"] = {"init_args": {"size": 32, "batch_size": 2}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    return tmp_path


@pytest.mark.slow
def test_every_step_works(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    for language, text in BLOCKS:
        if language == "yaml":
            path = Path(text.splitlines()[0].removeprefix("# "))
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("my_videos]", "my_videos, tiny.yaml]"))
            continue
        for line in text.replace("\\\n", " ").splitlines():
            command, *words = shlex.split(line.replace("128", "32"), comments=True)
            if command == "lightning":
                assert main([*words, "--config=tiny.yaml"]) == 0, line
            else:
                with pytest.raises(SystemExit) as end:
                    benchmarks(words)
                assert end.value.code == 0, (line, capfd.readouterr().err[-2000:])
            done.append(" ".join([command, words[0]]))
    assert done == [
        *["benchmarks prepare"] * 2, "benchmarks inspect", "lightning fit", "lightning test", "benchmarks run",
        "benchmarks leaderboard",
    ]  # fmt: skip
    assert list(Path("runs/inspect").glob("my_videos-train.*"))
    assert len(list(Path("data").glob("my_videos-32px-3ch-*"))) == 1  # no step decoded anew
    (record,) = read_records(Path("benchmarks/results")).values()
    assert record.row == "Vid-ODE"
    assert {"ssim", "psnr_frames", "mse"} <= set(record.metrics)
    assert "My videos: five frames in, five out" in Path("LEADERBOARD.md").read_text()
