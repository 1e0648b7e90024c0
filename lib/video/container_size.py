"""How long a file says it is: what its outermost headers promise, held against the bytes that are there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SEGMENT, _EBML = 0x18538067, 0x1A45DFA3
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_SIZE_AT = 40  # bytes from the object's GUID
_MP4_BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"pnot",
    b"styp",
    b"sidx",
    b"moof",
    b"uuid",
    b"udta",
)


def promised_bytes(path: Path) -> int | None:
    """The size in bytes that the container's own headers give the file, at least; None where they do not say."""
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if head[:4] in (b"RIFF", b"RF64"):
            return _riff(head)
        if head[:4] == _EBML.to_bytes(4, "big"):
            return _matroska(file)
        if head == _ASF_HEADER:
            return _asf(file)
        if head[4:8] in _MP4_BOXES:
            return max((end for end in _mp4_ends(file, path.stat().st_size)), default=None)
    return None


def _riff(head: bytes) -> int | None:
    size = int.from_bytes(head[4:8], "little")
    return (
        8 + size if len(head) >= 8 and size not in (0, 0xFFFFFFFF) else None
    )  # not filled in by who could not seek back


def _matroska(file: BinaryIO) -> int | None:
    while (found := _element(file)) is not None:
        name, size = found
        if name == _SEGMENT:
            return None if size is None else file.tell() + size
        if size is None:
            return None
        file.seek(size, 1)
    return None


def _element(file: BinaryIO) -> tuple[int, int | None] | None:
    """Name and size of the EBML element that starts here; a size of None is unknown, as of a live recording."""
    name, size = _number(file), _number(file)
    if name is None or size is None:
        return None
    bits = 7 * len(size)
    value = int.from_bytes(size, "big") & ((1 << bits) - 1)
    return int.from_bytes(name, "big"), None if value == (1 << bits) - 1 else value


def _number(file: BinaryIO) -> bytes | None:
    """A number of EBML with its marker: zeros in front of the first bit tell how many bytes follow."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    number = first + file.read(8 - first[0].bit_length())
    return number if len(number) == 9 - first[0].bit_length() else None


def _asf(file: BinaryIO) -> int | None:
    head = file.read(64 * 1024)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + _ASF_SIZE_AT + 8:
        return None
    return struct.unpack("<Q", head[at + _ASF_SIZE_AT : at + _ASF_SIZE_AT + 8])[0] or None


def _mp4_ends(file: BinaryIO, found: int) -> Iterator[int]:
    """Where each of the outermost boxes ends."""
    start = 0
    while start + 8 <= found:
        file.seek(start)
        head = file.read(16)
        size = struct.unpack(">I", head[:4])[0]
        if size == 1 and len(head) == 16:
            size = struct.unpack(">Q", head[8:16])[0]
        if size < 8 or not head[4:8].isalnum():  # 0: up to the file's end; else no box
            return
        start += size
        yield start
