"""The motion of every hidden pixel to the frame before and the frame after, for one shot."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from lib.propagation.camera import Shot
from lib.propagation.chain import closed_pixels, step_targets
from lib.propagation.flow import Box, ResidualFlow, box_around
from lib.propagation.settings import PropagationSettings

REFERENCE_AREA = 432 * 240


@dataclass
class Links:
    """Per frame of a shot: pixels to follow, and their residual motion where the camera alone does not explain it.

    flat[i]: (N,) int32 sorted, the closed pixels of frame i. to_previous[i], to_next[i]: (N, 2) float16 or None.
    """

    shot: Shot
    width: int
    flat: list[np.ndarray]
    to_previous: list[np.ndarray | None]
    to_next: list[np.ndarray | None]

    def targets(self, index: int, direction: int, flat: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """`step_targets` of frame `index` (counted in the shot) to frame index + direction.

        flat: some of the frame's pixels; None = all.
        """
        residual = (self.to_next if direction > 0 else self.to_previous)[index]
        pixels = self.flat[index]
        if flat is not None:
            residual = None if residual is None else residual[np.searchsorted(pixels, flat)]
            pixels = flat
        homography = self.shot.steps[index if direction > 0 else index - 1].homography
        homography = homography if direction > 0 else np.linalg.inv(homography)
        return step_targets(pixels, self.width, homography, residual)


def scaled(pixels: float, size: tuple[int, ...]) -> int:
    """A length given for 432x240, for frames of `size` (height, width)."""
    return max(round(pixels * (size[0] * size[1] / REFERENCE_AREA) ** 0.5), 1)


def link_by_camera(masks: np.ndarray, shot: Shot) -> Links:
    """Links that follow the camera alone. masks: (T, H, W) bool of the whole clip."""
    flat = [
        np.flatnonzero(closed_pixels(mask)).astype(np.int32) if mask.any() else np.empty(0, np.int32)
        for mask in masks[shot.start : shot.stop]
    ]
    return Links(shot, masks.shape[2], flat, [None] * len(flat), [None] * len(flat))


def add_residuals(
    links: Links,
    frames: np.ndarray,
    unknown: Callable[[int], np.ndarray],
    settings: PropagationSettings,
    report: Callable[[float], None],
) -> None:
    """Add the residual flow between neighbouring frames to the links.

    Args:
        frames: (T, H, W, 3) uint8 of the whole clip.
        unknown: gives for a frame of the shot (H, W) bool, where neither its content nor its flow can be used.
    """
    shot, size = links.shot, frames.shape[1:3]
    flow = ResidualFlow(settings)
    margin = scaled(settings.flow_margin, size)
    gray, hidden = _gray(frames[shot.start]), unknown(0)
    for index, step in enumerate(shot.steps):
        next_gray, next_hidden = _gray(frames[shot.start + index + 1]), unknown(index + 1)
        links.to_next[index] = links.to_previous[index + 1] = None
        box = _box_of_pair(links, index, step.homography, size, margin)
        if box is not None:
            fields = flow.between(gray, hidden, next_gray, next_hidden, step.homography, box)
            if fields is not None:
                _store(links, index, step.homography, box, *fields)
        gray, hidden = next_gray, next_hidden
        report((index + 1) / len(shot.steps))


def _box_of_pair(links: Links, index: int, homography: np.ndarray, size: tuple[int, int], margin: int) -> Box | None:
    """The part of frame `index` that both frames' pixels to follow lie in, and a margin."""
    inside = np.zeros(size, bool)
    inside.ravel()[links.flat[index]] = True
    target, _ = step_targets(links.flat[index + 1], links.width, np.linalg.inv(homography), None)
    columns, rows = np.clip(np.rint(target), 0, (size[1] - 1, size[0] - 1)).astype(int).T
    inside[rows, columns] = True
    return box_around(inside, margin)


def _store(links: Links, index: int, homography: np.ndarray, box: Box, ahead: np.ndarray, back: np.ndarray) -> None:
    """Turn the two fields over the box into residuals of the followed pixels of both frames."""
    flat = links.flat[index]
    rows, columns = np.divmod(flat, links.width)
    shift = ahead[np.clip(rows - box.top, 0, ahead.shape[0] - 1), np.clip(columns - box.left, 0, ahead.shape[1] - 1)]
    _, jacobian = step_targets(flat, links.width, homography, None)
    links.to_next[index] = np.einsum("nij,nj->ni", jacobian, shift).astype(np.float16)
    at_home, _ = step_targets(links.flat[index + 1], links.width, np.linalg.inv(homography), None)
    position = (at_home - (box.left, box.top)).astype(np.float32)
    links.to_previous[index + 1] = read_field(back, position).astype(np.float16)


def read_field(field: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(N, C) values of a (h, w, C) field at (N, 2) positions (x, y), linear, the border repeated."""
    height, width = field.shape[:2]
    x = np.clip(position[:, 0], 0, width - 1)
    y = np.clip(position[:, 1], 0, height - 1)
    left, top = np.minimum(x.astype(int), max(width - 2, 0)), np.minimum(y.astype(int), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    upper = field[top, left] * (1 - across) + field[top, right] * across
    lower = field[bottom, left] * (1 - across) + field[bottom, right] * across
    return upper * (1 - down) + lower * down


def _gray(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
