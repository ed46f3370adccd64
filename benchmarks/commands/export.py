"""`benchmarks export`: writes a checkpoint as safetensors, configuration and model card, to share and load anywhere."""

import argparse
from pathlib import Path

from benchmarks.commands.export_card import card
from benchmarks.records.parts import RecordError
from benchmarks.records.record import Record, read_record
from benchmarks.utils.errors import UserError
from datamodules.files import sha256_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("checkpoint", type=Path, help="a .ckpt of a run, or a .safetensors")
    parser.add_argument("--out", type=Path, required=True, help="the folder to create")
    parser.add_argument(
        "--record",
        type=Path,
        action="append",
        default=[],
        help="a record whose numbers the card shows; may be repeated (default: those of the checkpoint's run)",
    )
    parser.add_argument("--name", help="name of the model on its card (default: the folder's)")
    parser.add_argument("--license", default="apache-2.0", help="license of the weights (default: apache-2.0)")
    parser.add_argument("--push", metavar="USER/NAME", help="upload the folder to this Hugging Face repository")
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is new")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="allow classes of this package, for models of your own",
    )


def main(args: argparse.Namespace) -> int:
    """Export, and upload with --push."""
    if args.out.is_dir() and any(args.out.iterdir()) and not (args.out / "model.safetensors").is_file():
        raise UserError(f"{args.out} already holds other files. Give --out a new folder.")
    found = _records(args.record or _of_run(args.checkpoint))

    from lightning_modules.checkpoints.build import load
    from lightning_modules.checkpoints.hub import push_to_hub, save_pretrained

    system = load(args.checkpoint, trust=args.trust)
    assert system.config is not None  # `load` has built it
    for record in found.values():
        if record.model["class_path"] != system.config["class_path"]:
            raise UserError(
                f"The record of '{record.row}' is of {record.model['class_path']}, the checkpoint holds "
                f"{system.config['class_path']}. Give --record a record of this checkpoint."
            )
    others = {path: reason for path, record in found.items() if (reason := _why_not(record, args.checkpoint))}
    for path, reason in others.items():
        if args.record:
            raise UserError(f"{path} {reason}. Test this one: `lightning test --ckpt_path {args.checkpoint}`.")
        print(f"{path} is left out: it {reason}.")
    records = [record for path, record in found.items() if path not in others]
    if system.trained is None and records:
        system.trained = records[0].budget
    text = card(args.name or args.out.resolve().name, system.config, records, args.license, args.push)
    for path in save_pretrained(system, args.out, card=text, exported_from=_source(args.checkpoint)):
        print(path)
    if not records:
        print("No record was found, so the card has no numbers; --record adds one.")
    if args.push:
        try:
            print(push_to_hub(args.out, args.push, private=args.private))
        except ImportError as error:
            raise UserError("--push needs huggingface_hub: `pip install chronoreel[hub]`.") from error
        except (
            OSError,
            ValueError,
        ) as error:  # huggingface_hub raises these for bad names, missing log-ins and network errors
            raise UserError(f"The upload to {args.push} failed: {' '.join(str(error).split())[:300]}") from error
    return 0


def _source(checkpoint: Path) -> str:
    """The sha256 of the file that a checkpoint was first exported from; its own if it was not exported."""
    from lightning_modules.checkpoints.ending import exported_from

    return exported_from(checkpoint) or sha256_of(checkpoint)


def _why_not(record: Record, checkpoint: Path) -> str | None:
    """Why a record says nothing of a checkpoint; None if it was measured on it, or on what it was exported from."""
    if record.trained is False:
        return "was measured on weights that were never trained"
    if record.checkpoint_sha256 is None:
        return "does not say which checkpoint it was measured on"
    if record.checkpoint_sha256 not in (sha256_of(checkpoint), _source(checkpoint)):
        return f"was measured on another checkpoint (sha256 {record.checkpoint_sha256[:12]}...)"
    return None


def _of_run(checkpoint: Path) -> list[Path]:
    """The records of tests of the checkpoint's run, in its folder or below."""
    folder = checkpoint.resolve().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    here = [*run.glob("record*.json"), *run.glob("*/*/record*.json")] if folder.name == "checkpoints" else []
    return sorted(path for path in here if path.is_file())


def _records(paths: list[Path]) -> dict[Path, Record]:
    try:
        return {path: read_record(path) for path in paths}
    except RecordError as error:
        raise UserError(str(error)) from error
