"""TFRecord files read without TensorFlow: where the records lie, and the byte features of an Example."""

import struct
from collections.abc import Iterator
from pathlib import Path


def records(path: Path) -> Iterator[tuple[int, int]]:
    """Where each record of a file begins, and its length in bytes.

    A record is its length (8 bytes), a checksum of that (4), the content and a checksum of that (4). The checksums are
    not looked at; a file that was cut off is found.

    Raises:
        ValueError: if the file ends within a record.
    """
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            head = file.read(12)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else size
            if place + 16 + length > size:
                raise ValueError(
                    f"{path} ends within a record, at byte {place} of {size}: it was cut off. Fetch it again."
                )
            yield place + 12, length
            place += 16 + length


def features(example: bytes) -> dict[str, bytes]:
    """The features of a serialised Example that are lists of bytes: the first of each, by name."""
    found = {}
    for _, group in _fields(example):
        for _, entry in _fields(group):
            parts = dict(_fields(entry))
            for kind, values in _fields(parts.get(2, b"")):
                if kind == 1:  # bytes_list; 2 and 3 are lists of floats and integers
                    found[parts[1].decode()] = next((value for number, value in _fields(values) if number == 1), b"")
    return found


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protocol buffer, each with its number; others are passed over."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(message, place)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        elif kind == 2:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise ValueError("the record is damaged: a field is longer than its message")
            yield key >> 3, message[place : place + length]
            place += length
        else:
            raise ValueError(f"the record is damaged: there is no field of kind {kind}")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
    raise ValueError("the record is damaged: it ends within a number")
