"""KTH Action: 25 people, six actions, from the owner's zips and 00sequences.txt; three papers' splits."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from datamodules.base.metadata import Metadata
from datamodules.base.published import PublishedDataModule
from datamodules.base.splits import Splits, check_sizes
from datamodules.errors import UserError
from datamodules.storage.archives import Archive
from datamodules.storage.clip_views import ClipView
from datamodules.storage.decoding import Recording
from datamodules.storage.store import ClipStore
from datamodules.storage.video import decode

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
VID_ODE_ACTIONS = ("boxing", "handclapping", "handwaving", "walking")
"""Our guess: the paper's counts fit four actions that include hand clapping, for which person 13 lacks a video."""
Protocol = Literal["vid_ode", "vid_ode_six_actions", "mode_gan", "mode_gan_held_out", "inbetweening"]
_SITE = "http://www.csc.kth.se/cvap/actions"
_FILE = re.compile(r"(person(\d+)_([a-z]+)_d\d)")


class KTH(PublishedDataModule):
    """KTH Action: 25 people, 6 actions, 599 grey AVI files of 160x120 at 25 fps, free for research.

    Source: https://www.csc.kth.se/cvap/actions/, a zip per action with files like `person01_walking_d1_uncomp.avi`, and
    `00sequences.txt`, which lists the frames in which the person is visible. Schuldt, Laptev and Caputo, Recognizing
    Human Actions: A Local SVM Approach, ICPR 2004. The owner publishes no checksums. Stored with one channel. Splits:

    - `vid_ode`: people 1 to 16 train, 17 to 25 test. The paper counts 255 and 144 videos and six actions, but six give
      383 and 216; four with hand clapping give 255 and 144 (`VID_ODE_ACTIONS`, our guess). No val.
    - `vid_ode_six_actions`: the same people, all six actions.
    - `mode_gan`: boxing, clapping and waving, all people in train as in the paper; `frame_rate: 16`, 64x64.
    - `mode_gan_held_out`: the same actions, people 17 to 25 in test. Ours.
    - `inbetweening`: people 1 to 15 train, 16 val, 17 to 25 test, in clips of 16 frames, 64x64, `channels: 1`.

    Args:
        protocol: one of the splits above.
        actions: these actions instead of the protocol's.
        sequences: first split the videos into the sequences of `00sequences.txt`; the frames between them, mostly an
            empty scene, are dropped.
        channels: 1, or 3 for grey repeated, as in Vid-ODE.
        shared: see `PublishedDataModule`.
    """

    name = "kth"
    stored_channels = 1
    metadata = Metadata(
        source="csc.kth.se/cvap/actions, public",
        licence="free for research",
        citation="Schuldt, Laptev and Caputo, Recognizing Human Actions, ICPR 2004",
        splits="Vid-ODE 255/144; MODE-GAN: three actions; inbetweening by person 1-15/16/17-25",
        rate="25 fps, 160x120 grey",
        checksum="none published; recorded on first use",
    )

    def __init__(
        self,
        *,
        protocol: Protocol = "vid_ode",
        actions: Sequence[str] | None = None,
        sequences: bool = False,
        channels: Literal[1, 3] = 1,
        **shared: Any,
    ) -> None:
        super().__init__(channels=channels, **shared)
        default = {"vid_ode": VID_ODE_ACTIONS, "mode_gan": ACTIONS[:3], "mode_gan_held_out": ACTIONS[:3]}
        self.actions = tuple(actions) if actions is not None else default.get(protocol, ACTIONS)
        if strangers := set(self.actions) - set(ACTIONS):
            raise UserError(f"Unknown actions: {', '.join(sorted(strangers))}. Available: {', '.join(ACTIONS)}.")
        self.protocol: Protocol = protocol
        self.sequences = sequences
        self._published = actions is None and not sequences

    @property
    def request(self) -> str:
        """The data are public."""
        return f"The archives are public, at {_SITE}."

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """The zips of the actions, and the list of sequences."""
        every = {action: Archive(action, f"{_SITE}/{action}.zip") for action in ACTIONS}
        needed = [archive for action, archive in every.items() if action in self.actions]
        others = [archive for action, archive in every.items() if action not in self.actions]
        return [Archive("00sequences", f"{_SITE}/00sequences.txt"), *needed], others

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each AVI file, with its person and its sequences."""
        listed = read_sequences(folders["00sequences"].read_text(encoding="latin-1"))
        for label, action in enumerate(ACTIONS):
            for path in sorted(folders[action].rglob("*.avi")) if action in folders else ():
                match = _FILE.match(path.name)
                if match is None or match[3] != action:
                    continue
                about = {"person": int(match[2]), "action": action, "sequences": listed.get(match[1], [])}
                read = partial(decode, path, size=self._size, channels=1)
                yield Recording(match[1], read, label, about, f"{about['person']}")

    def splits(self, store: ClipStore) -> Splits:
        """By person, as in the protocol; warns if the paper's number of clips differs."""
        splits = arrange(store.index["clips"], self.protocol, self.actions, sequences=self.sequences)
        if self.protocol == "vid_ode" and self._published:
            counts = {str(split): len(views) for split, views in splits.items()}
            check_sizes(self.name, counts, {"train": 255, "test": 144})
        return splits


def arrange(
    clips: Sequence[Mapping[str, Any]], protocol: Protocol, actions: Sequence[str], *, sequences: bool = False
) -> Splits:
    """The clips, or views of them, of each split; `clips` have `person`, `action`, `sequences` and `length`."""
    if protocol == "inbetweening":
        people = {"train": range(1, 16), "val": range(16, 17), "test": range(17, 26)}
    elif protocol == "mode_gan":
        people = {"train": range(1, 26), "val": range(0), "test": range(0)}
    else:
        people = {"train": range(1, 17), "val": range(0), "test": range(17, 26)}

    def of(who: range) -> list[ClipView]:
        views: list[ClipView] = []
        for number, clip in enumerate(clips):
            if clip["person"] not in who or clip["action"] not in actions:
                continue
            cuts = [(first - 1, last) for first, last in clip["sequences"]] if sequences else [(0, clip["length"])]
            for start, stop in cuts:
                stop = min(stop, clip["length"])
                if protocol == "inbetweening":
                    views += [ClipView(number, first, first + 16) for first in range(start, stop - 15, 16)]
                elif start < stop:
                    views.append(ClipView(number, start, stop))
        return views

    return {"train": of(people["train"]), "val": of(people["val"]), "test": of(people["test"])}


def read_sequences(text: str) -> dict[str, list[tuple[int, int]]]:
    """The sequences of each video: first and last frame, counted from 1 as in `00sequences.txt`.

    A line is `person01_boxing_d1  frames  1-95, 96-185, 186-245`; a missing video is marked `*missing*` and has none.
    """
    found = {}
    for line in text.splitlines():
        if match := _FILE.match(line.strip()):
            pairs = re.findall(r"(\d+)\s*-\s*(\d+)", line[line.index(match[1]) + len(match[1]) :])
            found[match[1]] = [(int(first), int(last)) for first, last in pairs]
    return found
