"""Options of `benchmarks evaluate`, and which go together."""

import argparse
from errno import EISDIR
from os import strerror
from pathlib import Path
from tempfile import TemporaryFile

from benchmarks.commands.evaluate_counts import asked_reference
from benchmarks.metrics.names import PAIRED, SETS
from benchmarks.utils.errors import UserError

FRAMES = 16
"""Compared frames of each clip by default."""
FEWEST = 10
"""Clips per side that a distribution metric needs: its jackknife leaves out a tenth of them at a time."""
STATISTICS = ".safetensors"
"""The ending of a saved reference."""

DEFAULTS = {False: ["fvd"], True: ["mse", "psnr_frames", "ssim", "lpips_alex"]}
"""Default metrics, without and with `--paired`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    kinds = "a folder of videos (mp4, avi, mkv, mov, gif, mpg, webm; .npy, .npz), or one .npy or .npz"
    parser.add_argument("--generated", type=Path, metavar="PATH", help=f"clips to score: {kinds}")
    parser.add_argument(
        "--reference",
        required=True,
        type=Path,
        metavar="PATH",
        help="the real clips, likewise; or a file of --save-reference in their place",
    )
    parser.add_argument("--paired", action="store_true", help="compare clips of equal names, frame by frame")
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"distribution metrics: {', '.join(SETS)}; with --paired also {', '.join(PAIRED)}; or another metric by "
        "class path, as `{class_path: ..., init_args: {...}}`, or as a .yaml file with that (default: "
        f"{' '.join(DEFAULTS[False])}; with --paired {' '.join(DEFAULTS[True])})",
    )
    parser.add_argument(
        "--frames", type=int, help=f"number of first frames of each clip to compare (default: {FRAMES})"
    )
    parser.add_argument(
        "--clips",
        type=int,
        help="number of clips per side, or generated ones with --reference-clips, evenly spaced over the names "
        "(default: all)",
    )
    parser.add_argument(
        "--reference-clips",
        metavar="all|N",
        help="compare with another number of reference clips than generated ones, evenly spaced over the names; the "
        "metrics' names say so, as fvd2048vsall (default: as many of either)",
    )
    parser.add_argument(
        "--save-reference",
        type=Path,
        metavar="FILE",
        help="write what the metrics need of the reference into this .safetensors file, which --reference takes in "
        "place of the clips; without --generated nothing else is done",
    )
    parser.add_argument("--size", type=int, help="crop and resize clips to squares of this size (default: unchanged)")
    parser.add_argument("--fps", type=float, help="resample video files to this frame rate")
    parser.add_argument(
        "--sources",
        metavar="PATTERN",
        help="a regular expression whose first group, in a reference clip's name, is the person or film that the clip "
        "is cut from, as '^(person\\d+)': intervals resample these (default: every clip is a source of its own)",
    )
    parser.add_argument(
        "--gates",
        action="store_true",
        help="also score half of the reference, and noise, against the other half; code 2 if a metric does not "
        "separate them",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers here, for `benchmarks compare`")
    parser.add_argument("--device", default="auto", help="cpu or cuda (default: cuda if there is one)")


def check_options(args: argparse.Namespace) -> None:
    """Raise a UserError unless the options have sound values and go together."""
    for option in ("frames", "clips", "size", "fps"):
        value = getattr(args, option)
        if value is not None and not value > 0:
            raise UserError(f"--{option} must be positive; got {value:g}.")
    for option, ending in (("json", ".json"), ("save_reference", STATISTICS)):
        path = getattr(args, option)
        if path is not None and path.suffix != ending:
            raise UserError(f"--{option.replace('_', '-')} must name a file that ends in {ending}; got '{path.name}'.")
        if path is not None:
            _check_writable(f"--{option.replace('_', '-')}", path)
    asked_reference(args.reference_clips)
    saved = args.reference.suffix == STATISTICS
    needs_clips = {"--paired": args.paired, "--gates": args.gates, "--sources": args.sources is not None,
                   "--save-reference": args.save_reference is not None}  # fmt: skip
    if saved and (wrong := [option for option, given in needs_clips.items() if given]):
        raise UserError(
            f"{wrong[0]} needs the reference clips; {args.reference} holds what metrics of sets need of them, and no "
            f"clips. Give the clips, or leave {wrong[0]} out."
        )
    if args.paired and args.reference_clips is not None:
        raise UserError(
            "--reference-clips compares sets of other numbers, --paired each clip with the one of its name. Leave one "
            "of them out."
        )
    if args.generated is None and (args.save_reference is None or args.paired or args.gates or args.json is not None):
        raise UserError("Give --generated, the clips to score; only --save-reference, alone, does without.")


def _check_writable(option: str, path: Path) -> None:
    """Raise a UserError if no file can be written there: before anything is computed."""
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, strerror(EISDIR))
        with TemporaryFile(dir=next(folder for folder in path.absolute().parents if folder.exists())):
            pass
    except OSError as error:
        raise UserError(f"{option} {path} cannot be written: {error.strerror}. Choose another place.") from error
