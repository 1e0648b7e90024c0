"""Small pictures inside a page, so that the page is one file."""

from __future__ import annotations

import base64
import io
import math
import struct
from pathlib import Path

from PIL import Image

WIDTH = 400  # pixels, at most
HEIGHT = 800  # pixels, at most: upright pictures
_QUALITY = 78
# What Pillow raises on files that are no pictures, cut off, damaged or absurdly large.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError, MemoryError)


def thumbnail_uri(path: Path | None, frames: int = 1) -> str:
    """The picture as a JPEG data URI, at most WIDTH pixels wide; "" if there is none or it cannot be read.

    Args:
        frames: how many frames of equal size the picture shows side by side. Several are laid out in rows, because a
            strip would be too low to see anything.
    """
    if path is None:
        return ""
    try:
        with Image.open(path) as picture:
            small = _folded(picture, frames) if 1 < frames <= picture.width else _shrunk(picture)
    except _UNREADABLE:
        return ""
    content = io.BytesIO()
    small.save(content, format="JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _shrunk(picture: Image.Image) -> Image.Image:
    picture.draft("RGB", (WIDTH, 1))  # a JPEG is decoded at a fraction of its size, which is several times as fast
    small = picture.convert("RGB")
    small.thumbnail((WIDTH, HEIGHT), reducing_gap=2.0)
    return small


def _folded(strip: Image.Image, frames: int) -> Image.Image:
    """The strip's frames in rows from left to right, top to bottom; a last row that is not full ends black."""
    columns = math.ceil(math.sqrt(frames))
    width = WIDTH // columns
    height = max(1, round(strip.height * width * frames / strip.width))
    row = strip.convert("RGB").resize((width * frames, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    folded = Image.new("RGB", (width * columns, height * math.ceil(frames / columns)))
    for number in range(frames):
        frame = row.crop((width * number, 0, width * (number + 1), height))
        folded.paste(frame, (width * (number % columns), height * (number // columns)))
    return folded
