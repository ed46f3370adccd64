import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import benchmarks
from datamodules.kth import ACTIONS, KTH, VID_ODE_ACTIONS, arrange, read_sequences
from datamodules.sampling import Regular
from datamodules.storage.video_writer import write_video
from support.preparing import films_of_each_origin

LIST = "Training:  person11, 12\n\nperson{:02}_{}_d1\t\tframes\t1-10, 12-33\nperson13_handclapping_d3\t*missing*\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "archives" / "kth"
    folder.mkdir(parents=True)
    text = ""
    for number, action in enumerate(ACTIONS):
        with zipfile.ZipFile(folder / f"{action}.zip", "w") as packed:
            for place, person in enumerate((1, 16, 17)):
                film = tmp_path / "film.mp4"
                write_video(film, np.full((34, 3, 12, 16), 40 * number + 12 * place, dtype=np.uint8), 25)
                packed.write(film, f"person{person:02}_{action}_d1_uncomp.avi")
                text += LIST.format(person, action)
    (folder / "00sequences.txt").write_text(text)
    return tmp_path


def every_clip() -> list[dict]:
    """The 599 videos: 25 people, 6 actions, 4 scenes, one missing."""
    names = [(p, a, d) for a in ACTIONS for p in range(1, 26) for d in range(1, 5)]
    return [
        {"person": p, "action": a, "sequences": [(1, 50)], "length": 100}
        for p, a, d in names
        if (p, a, d) != (13, "handclapping", 3)
    ]


def test_the_splits_have_the_published_sizes() -> None:
    clips = every_clip()
    assert len(clips) == 599
    counts = {
        (protocol, len(actions)): [len(arrange(clips, protocol, actions)[split]) for split in ("train", "val", "test")]
        for protocol, actions in [
            ("vid_ode", VID_ODE_ACTIONS),
            ("vid_ode", ACTIONS),
            ("mode_gan", ACTIONS[:3]),
            ("inbetweening", ACTIONS),
        ]
    }
    assert counts == {
        ("vid_ode", 4): [255, 0, 144],
        ("vid_ode", 6): [383, 0, 216],
        ("mode_gan", 3): [299, 0, 0],
        ("inbetweening", 6): [6 * 359, 6 * 24, 6 * 216],
    }


def test_the_list_of_sequences() -> None:
    assert read_sequences(LIST.format(1, "boxing")) == {
        "person01_boxing_d1": [(1, 10), (12, 33)],
        "person13_handclapping_d3": [],
    }


def test_the_owners_zips_through_the_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--size=16", f"--set=root={root}", "--set=protocol=inbetweening", "--set=channels=1"]
    with pytest.raises(SystemExit) as end:
        benchmarks(["prepare", "kth", *words])
    assert not end.value.code
    assert "kth-16px-1ch-train" in capsys.readouterr().out
    loading = {"root": str(root), "size": 16, "sampling": Regular(num_frames=5)}
    pieces = KTH(protocol="inbetweening", **loading).source("test")
    assert [len(pieces.times(i)) for i in range(len(pieces))] == [16] * 12
    assert films_of_each_origin(pieces) == [12]  # all of person 17
    with pytest.warns(UserWarning, match="255 were published"):
        colour = KTH(channels=3, **loading).source("train")  # the same store
    assert len(colour) == 8
    assert films_of_each_origin(colour) == [4, 4]
    frames = colour.read(np.array([0, 5]), np.array([[0, 33], [1, 2]]))
    assert frames.shape == (2, 2, 3, 16, 16)
    assert (frames == frames[:, :, :1]).all()
    cut = KTH(protocol="vid_ode_six_actions", sequences=True, **loading).source("train")
    assert [len(cut.times(i)) for i in range(4)] == [10, 22, 10, 22]


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(ValueError, match=r"swimming.*handwaving"):
        KTH(actions=["swimming"], sampling=Regular(num_frames=5))
