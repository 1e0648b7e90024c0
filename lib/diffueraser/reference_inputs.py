"""A clip prepared as the published program prepares it, for results that can be compared with its own.

Sizes lose what is over a multiple of 8, and masks are eroded before they are dilated. The rest of the project pads
sizes, dilates only, and reads its files with `lib.video`.
"""

from collections.abc import Iterable
from math import ceil

import cv2
import numpy as np
from PIL import Image

from lib.errors import InputError

SIZE_MULTIPLE = 8
SMALLEST_SIDE, LARGEST_SIDE = 256, 4096  # of the longer side of a video
SMALLEST_LIMIT, LARGEST_LIMIT = 256, 1920  # of `max_img_size`
_SQUARE = np.ones((3, 3), np.uint8)


def fit_size(width: int, height: int, max_img_size: int) -> tuple[int, int]:
    """Width and height that a video is processed at.

    Args:
        width, height: of its frames, pixels.
        max_img_size: what the longer side may be, 256 to 1920.

    Raises:
        InputError: the longer side is not within 256 to 4096, or the limit is not within its own range.
    """
    if not SMALLEST_LIMIT <= max_img_size <= LARGEST_LIMIT:
        raise InputError(f"max_img_size is {max_img_size}; give {SMALLEST_LIMIT} to {LARGEST_LIMIT}")
    longer = max(width, height)
    if not SMALLEST_SIDE <= longer <= LARGEST_SIDE:
        raise InputError(
            f"frames are {width}x{height}; the longer side must have {SMALLEST_SIDE} to {LARGEST_SIDE} pixels"
        )
    ratio = max(longer / max_img_size, 1.0)
    fitted_width, fitted_height = (int(side / ratio) // SIZE_MULTIPLE * SIZE_MULTIPLE for side in (width, height))
    return fitted_width, fitted_height


def frames_to_read(seconds: float, fps: float) -> int:
    """How many frames of a video are read at most."""
    return int(seconds * fps)


def noise_periods(frame_count: int, nframes: int) -> int:
    """How often the noise of one window is repeated so that every frame has some."""
    return ceil(frame_count / nframes)


def process_masks(pictures: Iterable[np.ndarray], size: tuple[int, int], dilation: int) -> np.ndarray:
    """Masks from frames of a mask video: what is not black, without its specks, widened.

    Args:
        pictures: (h, w, 3) uint8 in OpenCV's order of colours, blue first.
        size: width and height of the masks.
        dilation: how often they are widened by one pixel.

    Returns:
        (T, H, W) uint8, 255 in the hole, else 0.
    """
    return np.stack([_process_mask(picture, size, dilation) for picture in pictures])


def masked_images(frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) with their holes black, uint8; `masks` (T, H, W) are 255 in the hole, else 0."""
    known = 1 - masks[..., None].astype(np.float32) / 255
    return (frames * known).astype(np.uint8)


def _process_mask(picture: np.ndarray, size: tuple[int, int], dilation: int) -> np.ndarray:
    gray = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).convert("L")
    if gray.size != size:
        gray = gray.resize(size, Image.Resampling.NEAREST)
    mask = (np.asarray(gray) > 0).astype(np.uint8)
    mask = cv2.erode(mask, _SQUARE, iterations=1)
    if dilation:
        mask = cv2.dilate(mask, _SQUARE, iterations=dilation)
    return mask * np.uint8(255)
