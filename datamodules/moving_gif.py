"""Moving GIF: cartoon animals that walk or run on a white background, from the owner's train and test folders."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.base.metadata import Metadata
from datamodules.base.published import PublishedDataModule
from datamodules.base.splits import Splits, by_side, check_sizes
from datamodules.errors import UserError
from datamodules.storage.archives import Archive
from datamodules.storage.decoding import Recording
from datamodules.storage.store import ClipStore
from datamodules.storage.video import EXTENSIONS, decode


class MovingGif(PublishedDataModule):
    """Moving GIF (MGif): 1,000 animated GIFs of cartoon animals, 256x256, each at its own rate, research use.

    Source: the project page of Monkey-Net, a folder `moving-gif` with `train` (900) and `test` (100). Siarohin,
    Lathuilière, Tulyakov, Ricci and Sebe, Animating Arbitrary Objects via Deep Motion Transfer, CVPR 2019. The owner
    names no licence and publishes no checksum. Vid-ODE trains on the 900 and tests on the 100, at 128x128. It counts
    frames, not seconds (10 frames at times 0.0 to 0.9), so `assumed_rate` gives every GIF the same rate; None keeps the
    delays in the files. GIFs shorter than a sample are left out there: `short_clips: exclude`.

    Args:
        assumed_rate: frames per second from which times are computed; 10 is ours: one of Vid-ODE's time units is then
            one second.
        val_share: the share of the train folder that is held out for validation.
        val_seed: chooses it.
        shared: see `PublishedDataModule`.
    """

    name = "moving-gif"
    metadata = Metadata(
        source="github.com/AliaksandrSiarohin/monkey-net (link there)",
        licence="none named; research use",
        citation="Siarohin et al., Animating Arbitrary Objects via Deep Motion Transfer, CVPR 2019",
        splits="Vid-ODE: the owner's folders, 900 train, 100 test",
        rate="each its own, 256x256",
        checksum="none published; recorded on first use",
    )

    def __init__(
        self, *, assumed_rate: float | None = 10.0, val_share: float = 0.0, val_seed: int = 0, **shared: Any
    ) -> None:
        super().__init__(**shared)
        if assumed_rate is not None and not assumed_rate > 0:
            raise UserError(f"assumed_rate must be positive, or null for each file's own delays; got {assumed_rate}.")
        self.assumed_rate, self.val_share, self.val_seed = assumed_rate, val_share, val_seed

    @property
    def request(self) -> str:
        """There is no direct address."""
        return (
            "The page github.com/AliaksandrSiarohin/monkey-net links to it (MGif). Call the zip, or the folder with "
            "`train` and `test` in it, `moving-gif`."
        )

    @property
    def path(self) -> Path:
        """One store for each assumed rate, because it holds the times."""
        path = super().path
        rate = "own" if self.assumed_rate is None else f"{self.assumed_rate:g}"
        return path if self.assumed_rate == 10 else path.with_name(f"{path.name}-{rate}fps")

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """One folder or zip."""
        return [Archive("moving-gif")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """The GIFs of both folders, by name."""
        for side in ("train", "test"):
            found = sorted(path for path in folders["moving-gif"].rglob(side) if path.is_dir())
            if not found:
                raise UserError(f"{self.folder}/moving-gif has no folder `{side}`. {self.request}")
            paths = sorted(
                path for path in found[0].iterdir() if path.suffix.lower() in EXTENSIONS and path.name[0] != "."
            )
            for path in paths:
                read = partial(_film, path, self._size, self._store_channels, self.assumed_rate)
                yield Recording(f"{side}/{path.stem}", read, about={"side": side})

    def splits(self, store: ClipStore) -> Splits:
        """The owner's folders; warns if they do not have 900 and 100 GIFs."""
        sides = [entry["side"] for entry in store.index["clips"]]
        check_sizes(self.name, Counter(sides), {"train": 900, "test": 100})
        return by_side(sides, store, self.val_share, self.val_seed)


def _film(path: Path, size: tuple[int, int], channels: int, rate: float | None) -> Iterator[tuple[Any, float]]:
    for number, (picture, time) in enumerate(decode(path, size=size, channels=channels)):
        yield picture, time if rate is None else number / rate
