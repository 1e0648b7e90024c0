"""A clip brought to the size that the networks see, and its frames brought back."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lib.errors import InputError
from lib.propainter.raft import SMALLEST_SIDE
from lib.propainter.settings import Numerics, PriorSettings
from lib.propainter.sizes import (
    MULTIPLE,
    SizeRule,
    for_each,
    prepare_masks,
    resize_frames_bicubic,
    resize_frames_bilinear,
    size_rule,
)


@dataclass(frozen=True)
class Clip:
    """Frames and holes at the size that the networks see, on the host."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    masks: np.ndarray  # (T, H, W) bool, True = hole

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class SizedClip:
    """A clip for the networks, and how its result gets the size of the source."""

    clip: Clip
    source: np.ndarray  # (T, H, W, 3) uint8, as given
    holes: np.ndarray  # (T, H, W) bool, at the source's size
    content: tuple[int, int]  # (width, height) of what is not padding in `clip`
    sizes: SizeRule
    numerics: Numerics

    def back(self, painted: np.ndarray) -> np.ndarray:
        """The result for painted frames of the clip's size.

        "reference": the size rule's output size. "better": the source's size, and outside the hole its pixels.
        """
        if self.numerics == "reference":
            return resize_frames_bilinear(painted, self.sizes.output)
        painted = painted[:, : self.content[1], : self.content[0]]
        size = (self.source.shape[2], self.source.shape[1])
        if self.content == size:
            return np.ascontiguousarray(painted)
        result = self.source.copy()

        def fill(frame: np.ndarray, small: np.ndarray, hole: np.ndarray) -> None:
            cv2.copyTo(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), hole.view(np.uint8), frame)

        for_each(fill, result, painted, self.holes)
        return result


def bring_to_size(frames: np.ndarray, masks: Sequence[np.ndarray] | np.ndarray, settings: PriorSettings) -> SizedClip:
    """Size, and with better numerics pad, what the driver was given.

    Args:
        frames: (T, H, W, 3) uint8. masks: T masks, nonzero = hole.

    Raises:
        InputError: with reference numerics, the clip is too small for RAFT.
    """
    source = (frames.shape[2], frames.shape[1])
    sizes = size_rule(source, settings.resize_ratio, settings.width, settings.height)
    if settings.numerics == "reference":
        _check_large_enough(sizes)
        holes = prepare_masks(masks, sizes.process, settings.mask_dilation)
        clip = Clip(resize_frames_bicubic(frames, sizes.process), holes)
        return SizedClip(clip, frames, holes, sizes.process, sizes, settings.numerics)
    content = (max(sizes.output[0], 1), max(sizes.output[1], 1))
    holes = prepare_masks(masks, source, round(settings.mask_dilation * max(source) / max(content)))
    clip = Clip(_pad(resize_frames_bicubic(frames, content)), _pad(_shrink_holes(holes, content)))
    return SizedClip(clip, frames, holes, content, sizes, settings.numerics)


def _shrink_holes(holes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(T, H, W) bool holes at (width, height): a pixel is a hole if any part of it was."""
    if holes.shape[:0:-1] == size:
        return holes
    shrunk = np.empty((len(holes), size[1], size[0]), bool)

    def shrink(hole: np.ndarray, out: np.ndarray) -> None:
        out[:] = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0

    for_each(shrink, holes, shrunk)
    return shrunk


def _check_large_enough(sizes: SizeRule) -> None:
    if min(sizes.process) < SMALLEST_SIDE:
        raise InputError(
            f"the prior would work at {sizes.process[0]}x{sizes.process[1]}, and RAFT needs sides of at least "
            f"{SMALLEST_SIDE}; use larger frames, or numerics 'better', which pads small ones"
        )


def _pad(pictures: np.ndarray) -> np.ndarray:
    """(T, H, W, ...) grown at the bottom and right by reflection, to multiples of 8 and RAFT's smallest side."""
    missing = [max(SMALLEST_SIDE - side, -side % MULTIPLE) for side in pictures.shape[1:3]]
    if not any(missing):
        return pictures
    width = [(0, 0), (0, missing[0]), (0, missing[1])] + [(0, 0)] * (pictures.ndim - 3)
    return np.pad(pictures, width, mode="symmetric")
