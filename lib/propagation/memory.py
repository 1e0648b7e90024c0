"""Motion that the hole hides now was seen a frame earlier: carry it along."""

from dataclasses import dataclass

import cv2
import numpy as np

from lib.propagation.flow import Box, fill_smoothly

ROUNDS = 3  # of reading the neighbour's motion where the current guess of the motion leads
MIN_SAMPLES = 200
EXPLAINED = 0.2  # share of the measured motion that the neighbour's must explain


@dataclass(frozen=True)
class _Seen:
    """Residual flow of the frame that the sweep comes from, to the frame before that; sure: (h, w) float32, 0 or 1."""

    field: np.ndarray
    sure: np.ndarray
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
        self._seen = _Seen(completed, sure, box)
        return completed

    def _recall(
        self, seen: _Seen, guess: np.ndarray, trusted: np.ndarray, homography: np.ndarray, box: Box
    ) -> tuple[np.ndarray, np.ndarray]:
        recalled, known = _read_there(seen, guess, homography, box)
        change = _fit_change(recalled[trusted & (known > 0.999)], guess[trusted & (known > 0.999)])
        sure = trusted.astype(np.float32)
        if change is None:
            return guess, sure
        flow, usable = guess, np.zeros(trusted.shape, bool)
        for _ in range(ROUNDS):
            recalled, known = _read_there(seen, flow, homography, box)
            usable = ~trusted & (known > 0.999)
            flow = np.where(usable[..., None], recalled @ change, guess).astype(np.float32)
        sure = (trusted | usable).astype(np.float32)
        return fill_smoothly(flow, sure), sure


def _read_there(seen: _Seen, flow: np.ndarray, homography: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """The neighbour's flow and certainty where `flow` leads from each pixel of the box."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(box.left, box.left + width)
    y = flow[..., 1] + np.arange(box.top, box.top + height)[:, None]
    depth = homography[2, 0] * x + homography[2, 1] * y + homography[2, 2]
    there_x = (homography[0, 0] * x + homography[0, 1] * y + homography[0, 2]) / depth - seen.box.left
    there_y = (homography[1, 0] * x + homography[1, 1] * y + homography[1, 2]) / depth - seen.box.top
    there_x, there_y = there_x.astype(np.float32), there_y.astype(np.float32)
    recalled = cv2.remap(seen.field, there_x, there_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.remap(seen.sure, there_x, there_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return recalled, known


def _fit_change(before: np.ndarray, now: np.ndarray) -> np.ndarray | None:
    """(2, 2) matrix M with before @ M close to now, (N, 2) each; None where it explains too little."""
    if len(before) < MIN_SAMPLES:
        return None
    before, now = before.astype(np.float64), now.astype(np.float64)
    ridge = 0.01 * len(before) * np.eye(2)
    change = np.linalg.solve(before.T @ before + ridge, before.T @ now + ridge)
    left, energy = ((before @ change - now) ** 2).sum(), (now**2).sum()
    return change if left < (1 - EXPLAINED) * energy else None
