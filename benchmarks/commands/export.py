"""`benchmarks export`: a checkpoint as safetensors, configuration and card, to keep, to share and to load anywhere."""

import argparse
from pathlib import Path

from benchmarks.commands.export_card import card
from benchmarks.records.parts import RecordError
from benchmarks.records.record import Record, read_record
from benchmarks.utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("checkpoint", type=Path, help="a .ckpt of a run, or a .safetensors")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument(
        "--record",
        type=Path,
        action="append",
        default=[],
        help="a record whose numbers the card shows; may be repeated (default: those of the checkpoint's run)",
    )
    parser.add_argument("--name", help="of the model, on its card (default: the folder's)")
    parser.add_argument("--license", default="apache-2.0", help="of the weights (default: apache-2.0)")
    parser.add_argument("--push", metavar="USER/NAME", help="upload the folder to this Hugging Face repository")
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is new")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help="your own code, if it has any")


def main(args: argparse.Namespace) -> int:
    """Export, and upload if asked to."""
    if args.out.is_dir() and any(args.out.iterdir()) and not (args.out / "model.safetensors").is_file():
        raise UserError(f"{args.out} holds other things already. Give --out a folder of its own.")
    records = _records(args.record or _of_run(args.checkpoint))

    from lightning_modules.checkpoints.build import load
    from lightning_modules.checkpoints.hub import push_to_hub, save_pretrained

    system = load(args.checkpoint, trust=args.trust)
    assert system.config is not None  # `load` has built it
    for record in records:
        if record.model["class_path"] != system.config["class_path"]:
            raise UserError(
                f"The record of '{record.row}' is about {record.model['class_path']}, the checkpoint holds "
                f"{system.config['class_path']}. Give --record the checkpoint's own."
            )
    if system.trained is None and records:
        system.trained = records[0].budget
    text = card(args.name or args.out.resolve().name, system.config, records, args.license, args.push)
    for path in save_pretrained(system, args.out, card=text):
        print(path)
    if not records:
        print("No record was found, so the card shows no numbers; --record names one.")
    if args.push:
        try:
            print(push_to_hub(args.out, args.push, private=args.private))
        except ImportError as error:
            raise UserError("--push needs huggingface_hub: `pip install chronoreel[hub]`.") from error
        except (OSError, ValueError) as error:  # what huggingface_hub raises for names, log-ins, networks
            raise UserError(f"The upload to {args.push} failed: {' '.join(str(error).split())[:300]}") from error
    return 0


def _of_run(checkpoint: Path) -> list[Path]:
    """The records that tests of the checkpoint's run have left in its folder or one below."""
    folder = checkpoint.resolve().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    here = [*run.glob("record*.json"), *run.glob("*/*/record*.json")] if folder.name == "checkpoints" else []
    return sorted(path for path in here if path.is_file())


def _records(paths: list[Path]) -> list[Record]:
    try:
        return [read_record(path) for path in paths]
    except RecordError as error:
        raise UserError(str(error)) from error
