"""The 2x2 comparison video: four labelled clips side by side."""

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from lib.video.sizes import resize_frame

CELL_HEIGHT, CELL_WIDTH = 540, 960  # at most
_TINT = (255, 0, 0)
_TINT_SHARE = 0.5
_GRAY = 128


def comparison_frames(panels: Sequence[tuple[str, Iterable[np.ndarray]]]) -> Iterator[np.ndarray]:
    """Frames of a 2x2 grid: first and second panel on top, third and fourth below.

    Args:
        panels: four pairs of label (ASCII) and (H, W, 3) uint8 frames. Cells have the first panel's aspect ratio,
            even sides, at most 960x540 and never more than its size; the shortest panel ends the video.

    Raises:
        ValueError: there are not four panels.
    """
    if len(panels) != 4:
        raise ValueError(f"found {len(panels)} panels, expected 4")
    labels = [label for label, _ in panels]
    for frames in zip(*(frames for _, frames in panels), strict=False):
        size = cell_size(frames[0].shape[:2])
        cells = [_labelled(resize_frame(frame, size), label) for label, frame in zip(labels, frames, strict=True)]
        yield np.vstack([np.hstack(cells[:2]), np.hstack(cells[2:])])


def cell_size(frame_hw: tuple[int, ...]) -> tuple[int, int]:
    """(H, W) of a cell: within 960x540, not above the frame's size, even, aspect ratio kept to within rounding."""
    height, width = frame_hw
    scale = min(1.0, CELL_HEIGHT / height, CELL_WIDTH / width)
    return max(2, int(height * scale) // 2 * 2), max(2, int(width * scale) // 2 * 2)


def mask_overlay(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of an (H, W, 3) uint8 frame with the object of an (H, W) bool mask in red, its outline in full red."""
    shown = frame.copy()
    shown[mask] = np.rint(frame[mask] * (1 - _TINT_SHARE) + np.multiply(_TINT, _TINT_SHARE)).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(shown, outlines, -1, _TINT, thickness=max(1, round(frame.shape[0] / 270)))


def gray_hole(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of an (H, W, 3) uint8 frame with the object of an (H, W) bool mask in plain gray."""
    shown = frame.copy()
    shown[mask] = _GRAY
    return shown


def _labelled(cell: np.ndarray, label: str) -> np.ndarray:
    height, width = cell.shape[:2]
    scale = max(0.3, height / 540)
    (text_width, text_height), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    shrink = min(1.0, 0.9 * width / max(1, text_width))
    scale *= shrink
    margin, stroke = round(0.02 * width), max(1, round(2 * scale))
    cell, bottom = cell.copy(), text_height + 2 * margin
    cell[:bottom, : round(text_width * shrink) + 2 * margin] //= 3  # dark, so that white reads on any picture
    origin = (margin, text_height + margin)
    return cv2.putText(cell, label, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), stroke, cv2.LINE_AA)
