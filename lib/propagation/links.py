"""The motion of every hidden pixel to the frame before and the frame after, for one shot."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from lib.propagation.camera import Shot
from lib.propagation.chain import closed_pixels, step_targets
from lib.propagation.flow import Box, ResidualFlow, box_around
from lib.propagation.memory import MotionMemory
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
        return step_targets(pixels, self.width, self.homography(index, direction), residual)

    def homography(self, index: int, direction: int) -> np.ndarray:
        """(3, 3), pixels of frame `index` to pixels of frame index + direction."""
        step = self.shot.steps[index if direction > 0 else index - 1].homography
        return step if direction > 0 else np.linalg.inv(step)


def scaled(pixels: float, size: tuple[int, ...]) -> int:
    """A length given for 432x240, for frames of `size` (height, width)."""
    return max(round(pixels * (size[0] * size[1] / REFERENCE_AREA) ** 0.5), 1)


def link_by_camera(masks: np.ndarray, shot: Shot) -> Links:
    """Links that follow the camera alone. masks: (T, H, W) bool of the shot."""
    flat = [
        np.flatnonzero(closed_pixels(mask)).astype(np.int32) if mask.any() else np.empty(0, np.int32) for mask in masks
    ]
    return Links(shot, masks.shape[2], flat, [None] * len(flat), [None] * len(flat))


def add_residuals(
    links: Links,
    frames: np.ndarray,
    unknown: Callable[[int], np.ndarray],
    settings: PropagationSettings,
) -> None:
    """Add the residual flow between neighbouring frames to the links.

    Args:
        frames: (T, H, W, 3) uint8 of the shot.
        unknown: gives for a frame of the shot (H, W) bool, where neither its content nor its flow can be used.
    """
    for direction in (1, -1):
        _residuals_of(links, frames, unknown, direction, settings)


def _residuals_of(
    links: Links,
    frames: np.ndarray,
    unknown: Callable[[int], np.ndarray],
    direction: int,
    settings: PropagationSettings,
) -> None:
    """Residuals from each frame to the one that a sweep in `direction` comes from."""
    size = frames.shape[1:3]
    flow, memory = ResidualFlow(settings), MotionMemory()
    margin = scaled(settings.flow_margin, size)
    stored = links.to_previous if direction > 0 else links.to_next
    order = list(range(len(links.flat)))[::direction]
    other_gray, other_hidden = _gray(frames[order[0]]), unknown(order[0])
    for index in order[1:]:
        gray, hidden = _gray(frames[index]), unknown(index)
        homography = links.homography(index, -direction)
        box = _box_of_pair(links, index, -direction, size, margin)
        stored[index] = None
        if box is not None:
            field = memory.complete(
                flow.between(gray, hidden, other_gray, other_hidden, homography, box), homography, box
            )
            if field is not None:
                stored[index] = _at_pixels(field, links.flat[index], box, links.width, homography)
        other_gray, other_hidden = gray, hidden


def _box_of_pair(links: Links, index: int, step: int, size: tuple[int, int], margin: int) -> Box | None:
    """The part of frame `index` that the pixels to follow of this frame and the next one lie in, and a margin."""
    inside = np.zeros(size, bool)
    inside.ravel()[links.flat[index]] = True
    target, _ = step_targets(links.flat[index + step], links.width, links.homography(index + step, -step), None)
    columns, rows = np.clip(np.rint(target), 0, (size[1] - 1, size[0] - 1)).astype(int).T
    inside[rows, columns] = True
    return box_around(inside, margin)


def _at_pixels(field: np.ndarray, flat: np.ndarray, box: Box, width: int, homography: np.ndarray) -> np.ndarray:
    """The field over the box as residuals in the neighbouring frame, (N, 2) float16, at the pixels `flat`."""
    rows, columns = np.divmod(flat, width)
    _, jacobian = step_targets(flat, width, homography, None)
    return np.einsum("nij,nj->ni", jacobian, field[rows - box.top, columns - box.left]).astype(np.float16)


def _gray(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
