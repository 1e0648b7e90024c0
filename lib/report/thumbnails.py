"""Small pictures inside a page, so that the page is one file."""

from __future__ import annotations

import base64
import io
import math
import struct
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH = 400  # pixels of all columns together, at most
HEIGHT = 800  # pixels of one frame, at most
_QUALITY = 78
# What Pillow raises on files that are no pictures, cut off, damaged or absurdly large.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError, MemoryError)


def thumbnail_columns(frames: int) -> int:
    """How many thumbnails of a video stand side by side: a strip of many would be too low to see anything."""
    return math.ceil(math.sqrt(max(1, frames)))


def thumbnail_uris(path: Path | None, frames: int = 1) -> list[str]:
    """Each frame that the picture shows as a JPEG data URI; [] if there is no picture or it cannot be read.

    Args:
        frames: how many frames of equal size the picture shows side by side.
    """
    if path is None:
        return []
    try:
        with Image.open(path) as picture:
            return [_jpeg_uri(frame) for frame in _small_frames(picture, frames if frames <= picture.width else 1)]
    except _UNREADABLE:
        return []


def frame_uri(frame: np.ndarray, width: int = WIDTH // 2) -> str:
    """A frame (H, W, 3) uint8 RGB as a JPEG data URI, `width` pixels wide at most."""
    small = Image.fromarray(frame)
    small.thumbnail((width, HEIGHT), reducing_gap=2.0)
    return _jpeg_uri(small)


def save_thumbnail(frame: np.ndarray, path: Path, width: int = WIDTH) -> Path:
    """Write a frame (H, W, 3) uint8 RGB as a JPEG file, `width` pixels wide at most."""
    small = Image.fromarray(frame)
    small.thumbnail((width, HEIGHT), reducing_gap=2.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    small.save(path, format="JPEG", quality=_QUALITY)
    return path


def _small_frames(strip: Image.Image, frames: int) -> list[Image.Image]:
    frames = max(1, frames)
    width = WIDTH // thumbnail_columns(frames)
    strip.draft("RGB", (width * frames, 1))  # a JPEG is decoded at a fraction of its size, which is much faster
    small = strip.convert("RGB")
    small.thumbnail((width * frames, HEIGHT), reducing_gap=2.0)
    edges = [round(small.width * number / frames) for number in range(frames + 1)]
    return [small.crop((edges[i], 0, max(edges[i + 1], edges[i] + 1), small.height)) for i in range(frames)]


def _jpeg_uri(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")
