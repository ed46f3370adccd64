"""Reads the file of an offline W&B run: LevelDB's log format, one protocol buffer to a record. For the tests."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7


def buffers(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    position, parts = HEADER, []
    while position + HEADER <= len(content):
        room = BLOCK - position % BLOCK
        if room < HEADER:
            position += room
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + HEADER])
        if kind == 0:
            return
        parts.append(content[position + HEADER : position + HEADER + length])
        position += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def value(entry: Any) -> tuple[str, Any]:
    return entry.key or ".".join(entry.nested_key), json.loads(entry.value_json)


class Offline:
    """What all sessions of a run folder have logged, in order."""

    def __init__(self, folder: Path) -> None:
        import wandb
        from wandb.proto.wandb_internal_pb2 import Record

        wandb.teardown()  # its service writes behind
        self.ids: list[str] = []
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.artifacts: dict[str, list[str]] = {}
        """The files of each artifact that is a record."""
        self.axes: dict[str, str] = {}
        self.exit_codes: list[int] = []
        self.names: list[str] = []
        for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
            for buffer in buffers(path):
                record = Record()
                record.ParseFromString(buffer)
                self._take(record, record.WhichOneof("record_type"))

    def _take(self, record: Any, kind: str) -> None:
        match kind:
            case "run":
                self.ids.append(record.run.run_id)
                self.names.append(record.run.display_name)
                self.config |= dict(map(value, record.run.config.update))
            case "config":
                self.config |= dict(map(value, record.config.update))
            case "history":
                self.history.append(dict(map(value, record.history.item)))
            case "summary":
                self.summary |= dict(map(value, record.summary.update))
            case "artifact" if record.artifact.type == "record":
                self.artifacts[record.artifact.name] = [entry.path for entry in record.artifact.manifest.contents]
            case "metric":
                self.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
            case "exit":
                self.exit_codes.append(record.exit.exit_code)

    def logged(self, key: str) -> list[tuple[Any, Any]]:
        """The generator updates and values of a key."""
        return [(row.get("generator_updates"), row[key]) for row in self.history if key in row]
