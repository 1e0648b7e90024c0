"""Motion that the hole hides now was seen a frame earlier: carry it along."""

from dataclasses import dataclass

import cv2
import numpy as np

from lib.propagation.flow import Box, fill_smoothly
from lib.propagation.sampling import read_points

ROUNDS = 2  # of reading the neighbour's motion where the current guess of the motion leads
SAMPLING = 5  # every so many measured pixels are enough to fit the change of motion
MIN_SAMPLES = 50
EXPLAINED = 0.2  # share of the measured motion that the neighbour's must explain


@dataclass(frozen=True)
class _Seen:
    """Residual flow of the frame that the sweep comes from, to the frame before that.

    field: (h, w, 3) float32 over the box: x, y, and 1 where that is certain, else 0.
    """

    field: np.ndarray
    box: Box


class MotionMemory:
    """Completes the residual flow of one frame after the other, in the order of a sweep.

    A thing that moves unlike the camera keeps its share of that motion for a while. How the motion of the whole scene
    changes from one pair of frames to the next is fitted where both pairs are measured.
    """

    def __init__(self) -> None:
        self._seen: _Seen | None = None

    def complete(
        self, measured: tuple[np.ndarray, np.ndarray] | None, homography: np.ndarray, box: Box
    ) -> np.ndarray | None:
        """(h, w, 2) float32 residual flow everywhere in the box, or None where the camera explains all.

        Args:
            measured: from `ResidualFlow.between`.
            homography: (3, 3), pixels of this frame to the frame that the sweep comes from.
        """
        if measured is None:
            self._seen = None
            return None
        field, trusted = measured
        sure = trusted.astype(np.float32)
        completed = fill_smoothly(field, sure)
        if self._seen is not None:
            completed, sure = self._recall(self._seen, completed, trusted, homography, box)
        self._seen = _Seen(np.dstack([completed, sure]), box)
        return completed

    def _recall(
        self, seen: _Seen, guess: np.ndarray, trusted: np.ndarray, homography: np.ndarray, box: Box
    ) -> tuple[np.ndarray, np.ndarray]:
        samples = np.argwhere(trusted)[::SAMPLING]
        measured = guess[samples[:, 0], samples[:, 1]]
        recalled, known = _read_there(seen, samples, measured, homography, box)
        change = _fit_change(recalled[known], measured[known])
        if change is None:
            return guess, trusted.astype(np.float32)
        pixels = np.argwhere(~trusted)
        rows, columns = pixels.T
        start = flow = guess[rows, columns]
        known = np.zeros(len(pixels), bool)
        for _ in range(ROUNDS):
            recalled, known = _read_there(seen, pixels, flow, homography, box)
            flow = np.where(known[:, None], recalled @ change, start)
        completed, sure = guess.copy(), trusted.astype(np.float32)
        completed[rows, columns] = flow
        sure[rows, columns] = known
        return fill_smoothly(completed, sure), sure


def _read_there(
    seen: _Seen, pixels: np.ndarray, flow: np.ndarray, homography: np.ndarray, box: Box
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) neighbour's flow where `flow` leads from the box's pixels (N, 2) (row, column), and (N,) bool: certain."""
    x, y = pixels[:, 1] + flow[:, 0] + box.left, pixels[:, 0] + flow[:, 1] + box.top
    projected = homography @ np.stack([x, y, np.ones_like(x)])
    there = (projected[:2] / projected[2]).T - (seen.box.left, seen.box.top)
    values = read_points(seen.field, there, cv2.INTER_LINEAR)
    inside = ((there >= 0) & (there <= np.array(seen.box.size) - 1)).all(axis=1)
    return values[:, :2], inside & (values[:, 2] > 0.999)


def _fit_change(before: np.ndarray, now: np.ndarray) -> np.ndarray | None:
    """(2, 2) matrix M with before @ M close to now, (N, 2) each; None where it explains too little."""
    if len(before) < MIN_SAMPLES:
        return None
    before, now = before.astype(np.float64), now.astype(np.float64)
    ridge = 0.01 * len(before) * np.eye(2)
    change = np.linalg.solve(before.T @ before + ridge, before.T @ now + ridge)
    left, energy = ((before @ change - now) ** 2).sum(), (now**2).sum()
    return change.astype(np.float32) if left < (1 - EXPLAINED) * energy else None
