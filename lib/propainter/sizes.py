"""The sizes of the ProPainter prior, and pictures and masks brought to them. Sizes are (width, height) in pixels."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

LONGEST_SIDE = 960
MULTIPLE = 8
MOST_THREADS = 16


@dataclass(frozen=True)
class SizeRule:
    """Where the networks work, and what size their result is written in; each (width, height)."""

    process: tuple[int, int]
    output: tuple[int, int]


def size_rule(source_wh: tuple[int, int], resize_ratio: float, width: int = -1, height: int = -1) -> SizeRule:
    """The sizes for frames of `source_wh`, or of (width, height) where both are positive.

    Fractions of a pixel are cut off, as in the reference: 1280x720 at a ratio of 0.6 gives 576x323, not 576x324.
    """
    if width > 0 and height > 0:
        source_wh = (width, height)
    longest = max(source_wh)
    ratio = resize_ratio * (LONGEST_SIDE / longest) if longest > LONGEST_SIDE else resize_ratio
    output_wh = source_wh if ratio == 1 else (int(ratio * source_wh[0]), int(ratio * source_wh[1]))
    return SizeRule(process=(_floor(output_wh[0]), _floor(output_wh[1])), output=output_wh)


def resize_frames_bicubic(frames: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(T, H, W, 3) uint8 frames at `size_wh`, antialiased when shrinking; the same array if nothing changes."""
    if _has_size(frames[0], size_wh):
        return frames
    resized = np.empty((len(frames), size_wh[1], size_wh[0], 3), np.uint8)

    def resize(frame: np.ndarray, out: np.ndarray) -> None:
        out[:] = _resize_pillow(frame, size_wh, Image.Resampling.BICUBIC)

    for_each(resize, frames, resized)
    return resized


def resize_frames_bilinear(frames: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(T, H, W, 3) uint8 frames at `size_wh`, without antialiasing; the same array if nothing changes."""
    if _has_size(frames[0], size_wh):
        return frames
    return np.stack([cv2.resize(frame, size_wh, interpolation=cv2.INTER_LINEAR) for frame in frames])


def prepare_masks(masks: Sequence[np.ndarray] | np.ndarray, size_wh: tuple[int, int], dilation: int) -> np.ndarray:
    """(T, h, w) bool holes at `size_wh`, widened by `dilation` pixels counted along rows and columns.

    Args:
        masks: T masks (H, W), of one size or several; nonzero is the hole. The nearest pixel decides.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    prepared = np.empty((len(masks), size_wh[1], size_wh[0]), bool)

    def prepare(mask: np.ndarray, out: np.ndarray) -> None:
        hole = (mask != 0).astype(np.uint8)
        if not _has_size(hole, size_wh):
            hole = _resize_pillow(hole, size_wh, Image.Resampling.NEAREST)
        out[:] = cv2.dilate(hole, cross, iterations=dilation) if dilation > 0 else hole

    for_each(prepare, masks, prepared)
    return prepared


def for_each(function: Callable[..., None], *pictures: Sequence[Any] | np.ndarray) -> None:
    """`function(a[k], b[k], ...)` for every k, on all cores: the picture libraries release Python's lock."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        for _ in pool.map(function, *pictures):
            pass


def _resize_pillow(picture: np.ndarray, size_wh: tuple[int, int], filter_: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size_wh, filter_))


def _has_size(picture: np.ndarray, size_wh: tuple[int, int]) -> bool:
    return picture.shape[1::-1] == tuple(size_wh)


def _floor(pixels: int) -> int:
    return pixels - pixels % MULTIPLE
