"""The shape of pixels in a Matroska file: PyAV's muxer call leaves it out, so it is written into the finished file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_SEGMENT, _TRACKS, _ENTRY, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_WIDTH, _HEIGHT, _UNIT, _VOID, _CRC = 0xB0, 0xBA, 0x54B2, 0xEC, 0xBF
_SHOWN_WIDTH, _SHOWN_HEIGHT = 0x54B0, 0x54BA
_SHAPE = 3  # the unit of a shown size that is a ratio
_HEAD_BYTES = 64 * 1024  # of a file, in which its tracks are described


@dataclass(frozen=True)
class _Element:
    name: int
    start: int
    body: int
    end: int


def set_sample_aspect(path: Path, aspect: Fraction) -> None:
    """Tell players the width of a pixel by its height in a Matroska file that this project's writer made.

    Raises:
        ValueError: the file's track header has no room for it, or is not laid out as expected.
        OverflowError: the shape cannot be told in numbers of that size.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD_BYTES))
        segment = _find(head, _SEGMENT, 0, len(head))
        tracks = _find(head, _TRACKS, segment.body, len(head))
        _describe(head, tracks, aspect)
        first = next(_elements(head, tracks.body, tracks.end))
        if first.name == _CRC:
            head[first.body : first.end] = struct.pack("<I", zlib.crc32(head[first.end : tracks.end]))
        file.seek(0)
        file.write(head)


def _describe(head: bytearray, tracks: _Element, aspect: Fraction) -> None:
    for entry in _elements(head, tracks.body, tracks.end):
        parts = list(_elements(head, entry.body, entry.end)) if entry.name == _ENTRY else []
        video = next((part for part in parts if part.name == _VIDEO), None)
        if video is None:
            continue
        void = next((part for part in parts if part.name == _VOID and part.start >= video.end), None)
        if void is None:
            break
        told = _told(head, video, aspect)
        between = bytes(head[video.end : void.start])
        room = void.end - video.start - len(told) - len(between)
        if not (room == 0 or 2 <= room < 129):
            break
        filler = bytes([_VOID, 0x80 | room - 2]) + bytes(room - 2) if room else b""
        head[video.start : void.end] = told + between + filler
        return
    raise ValueError("found no room in the Matroska track header for the shape of the pixels")


def _told(head: bytearray, video: _Element, aspect: Fraction) -> bytes:
    """The element of the video track with the size at which it is to be shown."""
    parts = list(_elements(head, video.body, video.end))
    size = {part.name: int.from_bytes(head[part.body : part.end], "big") for part in parts}
    shown = size[_WIDTH] * aspect
    if shown.denominator == 1:
        added = _uint(_SHOWN_WIDTH, int(shown), 2) + _uint(_SHOWN_HEIGHT, size[_HEIGHT], 2)
    else:  # no size in whole pixels has this shape: the shape itself is told, in as many bytes as there is room for
        shape = shown / size[_HEIGHT]
        added = _uint(_SHOWN_WIDTH, shape.numerator, 3) + _uint(_SHOWN_HEIGHT, shape.denominator, 2)
        added += _uint(_UNIT, _SHAPE, 1)
    kept = b"".join(
        bytes(head[part.start : part.end]) for part in parts if part.name not in (_UNIT, _SHOWN_WIDTH, _SHOWN_HEIGHT)
    )
    body = kept + added
    size_bytes = bytes([0x80 | len(body)]) if len(body) < 127 else (0x4000 | len(body)).to_bytes(2, "big")
    return bytes([_VIDEO]) + size_bytes + body


def _uint(name: int, value: int, size: int) -> bytes:
    return name.to_bytes(2, "big") + bytes([0x80 | size]) + value.to_bytes(size, "big")


def _find(head: bytearray, name: int, start: int, end: int) -> _Element:
    for element in _elements(head, start, end):
        if element.name == name:
            return element
    raise ValueError(f"found no Matroska element {name:x} in the first {len(head)} bytes")


def _elements(head: bytearray, start: int, end: int) -> Iterator[_Element]:
    while start + 2 <= min(end, len(head)):
        name, at = _number(head, start, keep_marker=True)
        size, body = _number(head, at)
        stop = min(body + size, end)
        yield _Element(name, start, body, stop)
        start = stop


def _number(head: bytearray, start: int, *, keep_marker: bool = False) -> tuple[int, int]:
    """An EBML number, and where what follows it starts."""
    if not head[start]:
        raise ValueError(f"found no Matroska element at byte {start}")
    length = 9 - head[start].bit_length()
    value = int.from_bytes(head[start : start + length], "big")
    return value if keep_marker else value & ((1 << 7 * length) - 1), start + length
