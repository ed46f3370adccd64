"""TFRecord files read without TensorFlow: the offsets of the records, and the byte features of an Example."""

import struct
from collections.abc import Iterator
from pathlib import Path


def records(path: Path) -> Iterator[tuple[int, int]]:
    """The offset of each record's content in a file, and its length in bytes.

    A record is its length (8 bytes), a checksum of that (4), the content and a checksum of that (4). The checksums are
    not verified; a truncated file is detected.

    Raises:
        ValueError: if the file ends within a record.
    """
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            head = file.read(12)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else size
            if offset + 16 + length > size:
                raise ValueError(
                    f"{path} is truncated: it ends within the record at byte {offset} of {size}. Download it again."
                )
            yield offset + 12, length
            offset += 16 + length


def features(example: bytes) -> dict[str, bytes]:
    """The features of a serialised Example that are lists of bytes: the first entry of each, by name."""
    found = {}
    for _, group in _fields(example):
        for _, entry in _fields(group):
            parts = dict(_fields(entry))
            for kind, values in _fields(parts.get(2, b"")):
                if kind == 1:  # bytes_list; 2 and 3 are lists of floats and integers
                    found[parts[1].decode()] = next((value for number, value in _fields(values) if number == 1), b"")
    return found


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protocol buffer, each with its number; others are skipped."""
    offset = 0
    while offset < len(message):
        key, offset = _varint(message, offset)
        kind = key & 7
        if kind == 0:
            _, offset = _varint(message, offset)
        elif kind in (1, 5):
            offset += 8 if kind == 1 else 4
        elif kind == 2:
            length, offset = _varint(message, offset)
            if offset + length > len(message):
                raise ValueError("the record is damaged: a field is longer than its message")
            yield key >> 3, message[offset : offset + length]
            offset += length
        else:
            raise ValueError(f"the record is damaged: unknown field type {kind}")


def _varint(message: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while offset < len(message):
        byte = message[offset]
        value, shift, offset = value | (byte & 127) << shift, shift + 7, offset + 1
        if byte < 128:
            return value, offset
    raise ValueError("the record is damaged: it ends within a number")
