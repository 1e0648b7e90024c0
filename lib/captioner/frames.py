"""Which frames the captioner sees, and the gray that hides the removed object in them."""

from __future__ import annotations

import numpy as np

from lib.errors import InputError
from lib.video.masks import dilate

GRAY = 128
CROP_MARGIN = 0.15  # of the object's longer side, on each side of it


def caption_frame_indices(frame_count: int, strategy: str = "middle", num_sample_frames: int = 3) -> tuple[int, ...]:
    """Indices of the frames to caption, ascending and without repetition.

    `middle` takes frame N // 2. `multi_sample` takes every step-th frame, step = N // (num_sample_frames + 1), from
    `step` on, so neither end of the clip; a clip shorter than that gives fewer frames.

    Args:
        frame_count: N, the smaller of the number of video frames and of mask frames; at least 1.
        num_sample_frames: frames for `multi_sample`, at least 1.

    Raises:
        InputError: a number below 1, or an unknown strategy.
    """
    if frame_count < 1:
        raise InputError(f"found {frame_count} frames to caption; expected at least 1")
    last = frame_count - 1
    if strategy == "middle":
        return (min(frame_count // 2, last),)
    if strategy != "multi_sample":
        raise InputError(f"found the frame strategy {strategy!r}; expected middle or multi_sample")
    if num_sample_frames < 1:
        raise InputError(f"found num_sample_frames {num_sample_frames}; expected at least 1")
    step = frame_count // (num_sample_frames + 1)
    return tuple(sorted({min(step * (i + 1), last) for i in range(num_sample_frames)}))


def resize_nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The (h, w) mask at size (H, W), each pixel from the nearest pixel centre of the source."""
    rows, columns = (
        ((np.arange(wanted) + 0.5) * found / wanted).astype(np.intp)
        for wanted, found in zip(size, mask.shape, strict=True)
    )
    return mask[rows][:, columns]


def hole_in_frame(mask: np.ndarray, size: tuple[int, int], dilation_iter: int) -> np.ndarray:
    """The (h, w) bool object mask as the (H, W) bool hole of the frame that is shown.

    It grows by `dilation_iter` pixels as in the removal, so that no rim of the object shows.
    """
    hole = resize_nearest(np.asarray(mask, dtype=bool), size)
    return dilate(hole[None], dilation_iter)[0]


def gray_out(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A copy of the (H, W, 3) uint8 RGB frame with (128, 128, 128) where the (H, W) bool hole is True."""
    if frame.shape[:2] != hole.shape:
        raise ValueError(f"frame is {frame.shape[:2]}, hole is {hole.shape}; expected one size")
    grayed = frame.copy()
    grayed[hole] = GRAY
    return grayed


def crop_around(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The part of the (H, W, 3) frame that holds the (H, W) bool mask, with a margin; all of it for an empty mask."""
    if not mask.any():
        return frame
    spans = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    margin = round(CROP_MARGIN * max(last - first + 1 for first, last in spans))
    rows, columns = (slice(max(0, first - margin), last + 1 + margin) for first, last in spans)
    return frame[rows, columns].copy()
