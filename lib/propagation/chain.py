"""Follow hidden pixels from frame to frame until some frame shows them."""

from dataclasses import dataclass

import cv2
import numpy as np

SUPPORT = 3  # pixels around a source that must be visible: the reach of cubic interpolation and one to spare


@dataclass
class Sources:
    """Where each followed pixel of one frame is seen in one direction of time.

    flat: (N,) int32 sorted, row * width + column. frame: (N,) int32, -1 = nowhere. position: (N, 2) float32 (x, y) in
    that frame. age: (N,) uint16, how many frames away. jacobian: (N, 2, 2) float32, how the position changes with the
    pixel, so that a neighbour's source can be continued by a fraction of a pixel.
    """

    flat: np.ndarray
    frame: np.ndarray
    position: np.ndarray
    age: np.ndarray
    jacobian: np.ndarray


def closed_pixels(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels that cannot be a source, since the hole reaches into their surroundings."""
    side = 2 * SUPPORT + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def nowhere(flat: np.ndarray) -> Sources:
    """The sources of a frame that nothing leads to."""
    count = len(flat)
    return Sources(
        flat,
        np.full(count, -1, np.int32),
        np.zeros((count, 2), np.float32),
        np.zeros(count, np.uint16),
        np.zeros((count, 2, 2), np.float32),
    )


def step_targets(
    flat: np.ndarray, width: int, homography: np.ndarray, residual: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Where pixels go in the neighbouring frame: (N, 2) float64 (x, y), and the camera's (N, 2, 2) Jacobian there.

    residual: (N, 2), added to the camera's motion; None = none.
    """
    rows, columns = np.divmod(flat, width)
    points = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float64)
    projected = homography @ points
    target = (projected[:2] / projected[2]).T
    jacobian = homography[None, :2, :2] - target[:, :, None] * homography[None, 2:3, :2]
    jacobian = (jacobian / projected[2][:, None, None]).astype(np.float32)
    if residual is not None:
        target = target + residual
    return target, jacobian


def follow(
    flat: np.ndarray,
    target: np.ndarray,
    jacobian: np.ndarray,
    closed: np.ndarray,
    beyond: Sources,
    neighbour: int,
    reach: int,
) -> Sources:
    """One step of the chain: a pixel is seen in the neighbouring frame itself, or where its landing place was seen.

    Args:
        flat: (N,) int32 sorted, the pixels to follow.
        target, jacobian: from `step_targets`.
        closed: (H, W) bool of the neighbouring frame, True where it shows nothing.
        beyond: the neighbouring frame's own sources, in the same direction of time.
        neighbour: its index.
        reach: a source at most this many frames away counts.
    """
    height, width = closed.shape
    found = nowhere(flat)
    landing = np.rint(target).astype(np.int64)
    inside = ((landing >= 0) & (landing < (width, height))).all(axis=1)
    landing_flat = np.where(inside, landing[:, 1] * width + landing[:, 0], 0)
    hidden = closed.ravel()[landing_flat]
    seen = inside & ~hidden
    found.frame[seen], found.position[seen] = neighbour, target[seen]
    found.age[seen], found.jacobian[seen] = 1, jacobian[seen]
    if len(beyond.flat):
        _inherit(found, np.flatnonzero(inside & hidden), landing_flat, target - landing, jacobian, beyond, reach)
    return found


def _inherit(
    found: Sources,
    pixels: np.ndarray,
    landing_flat: np.ndarray,
    offset: np.ndarray,
    jacobian: np.ndarray,
    beyond: Sources,
    reach: int,
) -> None:
    place = np.minimum(np.searchsorted(beyond.flat, landing_flat[pixels]), len(beyond.flat) - 1)
    usable = (beyond.flat[place] == landing_flat[pixels]) & (beyond.frame[place] >= 0) & (beyond.age[place] < reach)
    pixels, place = pixels[usable], place[usable]
    onward = beyond.jacobian[place]
    found.frame[pixels] = beyond.frame[place]
    found.position[pixels] = beyond.position[place] + np.einsum("nij,nj->ni", onward, offset[pixels])
    found.age[pixels] = beyond.age[place] + 1
    found.jacobian[pixels] = onward @ jacobian[pixels]
