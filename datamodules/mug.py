"""MUG: posed facial expressions, from the owner's folders of images, which require a signed licence."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from datamodules.base.metadata import Metadata
from datamodules.base.subject_split import SubjectSplitDataModule
from datamodules.storage.archives import Archive
from datamodules.storage.decoding import Recording
from datamodules.storage.image_sequences import images_in, read_image_sequence

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")


class MUG(SubjectSplitDataModule):
    """MUG facial expressions: 52 people (of 86) and six expressions as JPEG frames of 896x896 at 19 fps, by licence.

    Source: https://mug.ee.auth.gr/fed/, a folder `subjects3` with `<subject>/<expression>/take000/img_0000.jpg`.
    Aifanti, Papachristou and Delopoulos, The MUG Facial Expression Database, WIAMIS 2010. No checksum is published.
    MODE-GAN counts 1,254 takes of six expressions, 64x64, `frame_rate: 16`, and holds nothing out: `val_people: []`
    and `test_people: []`. Frames are centre-cropped around the face; the paper does not specify its crop. Neutral and
    mixed takes are left out. Splits by person are ours.

    Args:
        val_people: the people of the val split, by the name of their folder.
        test_people: the people of the test split; all others are in train.
        shared: see `PublishedDataModule`.
    """

    name = "mug"
    keypoint_kind = "face"
    metadata = Metadata(
        source="mug.ee.auth.gr/fed (form)",
        licence="signed form, research use",
        citation="Aifanti et al., The MUG Facial Expression Database, WIAMIS 2010",
        splits="MODE-GAN: all 1,254 takes; by person (ours)",
        rate="19 fps, 896x896",
        checksum="none published; recorded on first use",
    )

    @property
    def request(self) -> str:
        """The data require a signed form."""
        return (
            "Sign the licence at https://mug.ee.auth.gr/fed/ and request the manually annotated and the video part; "
            "name the folder `subjects3` (it has one sub-folder for each person)."
        )

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """The folder with a folder for each person."""
        return [Archive("subjects3")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each take of the six expressions."""
        takes = {
            folder
            for picture in folders["subjects3"].rglob("*.jp*g")
            for folder in picture.relative_to(folders["subjects3"]).parents
            if folder.parent.name in EXPRESSIONS
        }
        for folder in sorted(takes):
            expression, person = folder.parent.name, folder.parents[1].name
            read = partial(
                read_image_sequence,
                images_in(folders["subjects3"] / folder),
                19.0,
                size=self._size,
                channels=self._store_channels,
            )
            name = f"{person}/{expression}/{folder.name}"
            yield Recording(name, read, EXPRESSIONS.index(expression), {"person": person}, person)
