"""Sizes of processing: scaling, and padding to a multiple."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Crop:
    """The part of a padded frame that is the frame: its first rows and columns, in pixels."""

    height: int
    width: int


def processing_size(
    source_hw: tuple[int, int], height: int = -1, width: int = -1, max_side: int = -1
) -> tuple[int, int]:
    """(H, W) to work at. -1 means the source's; one side alone keeps the aspect ratio; -1 for `max_side`: no limit.

    Raises:
        ValueError: a size is 0 or below -1.
    """
    for name, value in (("height", height), ("width", width), ("max_side", max_side)):
        if value == 0 or value < -1:
            raise ValueError(f"{name} is {value}; expected -1 or a positive number of pixels")
    source_height, source_width = source_hw
    if height < 0 and width < 0:
        height, width = source_hw
    elif height < 0:
        height = max(1, round(source_height * width / source_width))
    elif width < 0:
        width = max(1, round(source_width * height / source_height))
    return fit_longer_side((height, width), max_side)


def fit_longer_side(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """(H, W) scaled down so that the longer side is at most `max_side`; unchanged if it is, or for -1."""
    longer = max(size)
    if max_side < 0 or longer <= max_side:
        return size
    return max(1, round(size[0] * max_side / longer)), max(1, round(size[1] * max_side / longer))


def resize_frames(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(T, H, W, 3) uint8 frames at `size` (H, W): area average down, bicubic up; the same array if nothing changes."""
    if frames.shape[1:3] == size:
        return frames
    resized = np.empty((len(frames), *size, frames.shape[3]), frames.dtype)
    for index, frame in enumerate(frames):
        resized[index] = resize_frame(frame, size)
    return resized


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One (H, W, 3) uint8 frame at `size` (H, W); the same array if nothing changes."""
    if frame.shape[:2] == size:
        return frame
    shrinks = size[0] <= frame.shape[0] and size[1] <= frame.shape[1]
    return cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def resize_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(T, H, W) bool masks at `size` (H, W), nearest; the same array if nothing changes."""
    if masks.shape[1:3] == size:
        return masks
    resized = np.empty((len(masks), *size), bool)
    for index, mask in enumerate(masks):
        resized[index] = resize_mask(mask, size)
    return resized


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One (H, W) bool mask at `size` (H, W), nearest; the same array if nothing changes."""
    if mask.shape == size:
        return mask
    scaled = cv2.resize(mask.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return scaled.astype(bool)


def pad_to_multiple(frames: np.ndarray, masks: np.ndarray, multiple: int = 8) -> tuple[np.ndarray, np.ndarray, Crop]:
    """Grow (T, H, W, 3) frames (reflection) and (T, H, W) masks (no object) at the bottom and right to a multiple.

    Returns the same arrays where nothing is missing, and the crop that undoes it.
    """
    height, width = frames.shape[1:3]
    bottom, right = -height % multiple, -width % multiple
    crop = Crop(height, width)
    if not bottom and not right:
        return frames, masks, crop
    missing = ((0, 0), (0, bottom), (0, right))
    return np.pad(frames, (*missing, (0, 0)), mode="reflect"), np.pad(masks, missing), crop


def crop_back(frames: np.ndarray, crop: Crop) -> np.ndarray:
    """The part of padded (T, H, W, ...) frames or masks that `crop` names; a view."""
    return frames[:, : crop.height, : crop.width]
