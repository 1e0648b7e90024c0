"""Masks made by code, and short ways to read them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from video_inputs import box_masks, save_frames

from lib.video.masks import MaskTrack, mask_reading, read_masks
from lib.video.timeline import Timeline

SIZE = (48, 64)
MASKS = box_masks(4, *SIZE)


def clip_of(count: int, names: tuple[str, ...] = (), fps: int = 24) -> Timeline:
    return Timeline(count, Fraction(fps), names=names)


def numbered(first: int, last: int, digits: int = 5) -> tuple[str, ...]:
    """Stems of frames first..last."""
    return tuple(f"{number:0{digits}d}" for number in range(first, last + 1))


def read(path: Path, count: int = 4, size: tuple[int, int] = SIZE, **options: Any) -> MaskTrack:
    """All masks of a clip of `count` frames."""
    return read_masks(path, clip_of(count), size, positions=count, **options)


def reading(path: Path, count: int = 4, **options: Any) -> dict[str, Any]:
    usual = {"threshold": None, "object_ids": (), "sample_aspect": Fraction(1), "size": SIZE}
    return mask_reading(path, clip_of(count), **{**usual, **options})


def texts(track: MaskTrack) -> tuple[str, ...]:
    return tuple(note.text for note in track.notes)


def gray_folder(path: Path, masks: np.ndarray = MASKS, value: int = 255, suffix: str = ".png", first: int = 0) -> Path:
    return save_frames(path, masks.astype(np.uint8) * value, suffix, first)


def save_pictures(folder: Path, pictures: list[Image.Image], suffix: str = ".png", **options: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        picture.save(folder / f"{index:05d}{suffix}", **options)
    return folder


def palette_picture(indices: np.ndarray, *colours: tuple[int, int, int], padded: bool = False) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8), mode="P")
    values = [value for colour in colours for value in colour]
    picture.putpalette(values + [0] * ((768 - len(values)) if padded else 0))
    return picture
