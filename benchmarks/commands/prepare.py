"""`benchmarks prepare`: downloads and decodes a data set once, and prints its splits."""

import argparse

from benchmarks.config.build import data_named
from benchmarks.utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("data", help="a data .yaml, its name in configs/data, or a folder of videos")
    parser.add_argument(
        "--set", dest="options", action="append", default=[], metavar="NAME=VALUE", help="a setting of the data"
    )
    parser.add_argument("--size", type=int, help="side of the frames in pixels; short for --set size=N")
    parser.add_argument("--keypoints", action="store_true", help="also detect keypoints of people or faces")
    parser.add_argument(
        "--verify", action="store_true", help="read everything again and check it against the stored checksums"
    )


def main(args: argparse.Namespace) -> int:
    """Prepare the data, and print the id and size of every split."""
    options = list(args.options) + ([f"size={args.size}"] if args.size is not None else [])
    data = data_named(args.data, options)
    from datamodules.base.module import SPLITS
    from datamodules.base.stored import StoredDataModule

    if args.verify and not isinstance(data, StoredDataModule):
        raise UserError(f"{data.name} is simulated and has no store to check; leave --verify out.")

    if args.keypoints and not isinstance(data, StoredDataModule):
        raise UserError(
            f"Keypoints are detected in published data sets and folders of videos; {data.name} is simulated."
        )

    try:
        if args.keypoints and isinstance(data, StoredDataModule):
            few = data.prepare_keypoints()
            print(
                f"keypoints: {data.path}, {len(few)} clips with too few detections{': ' if few else ''}{', '.join(few)}"
            )
        else:
            data.prepare_data()
        problems = data.verify() if args.verify and isinstance(data, StoredDataModule) else []
        data.setup()
    except OSError as error:
        raise UserError(str(error)) from error
    if problems:
        raise UserError("\n".join(problems))
    if args.verify:
        print(f"verified: {data.name} matches its checksums")
    for split in SPLITS:
        source = data.source(split)
        frames = sum(len(source.times(index)) for index in range(len(source)))
        seconds = sum(float(source.times(index)[-1]) for index in range(len(source)))
        print(f"{split:5}  {len(source):6} clips  {frames:8} frames  {seconds:9.1f} s  {data.data_id(split)}")
    return 0
