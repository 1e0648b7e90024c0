"""Optical flow of backgrounds: what moves behind the object, as far as its surroundings tell."""

from typing import Protocol

import cv2
import numpy as np

_FILL_SIDE = 96  # pixels of the longer side at which flow is carried on into the hole: it is smooth
_FILL_RADIUS = 3.0
_SMALLEST = 16  # pixels of a side that DIS takes
# Where flow forth and back agree (Sundaram, Brox, Keutzer: ECCV 2010, formula 5).
_RELATIVE, _ABSOLUTE = 0.01, 0.5


class FlowEstimator(Protocol):
    """Gives the motion between two frames."""

    name: str

    def __call__(self, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Forth and back, (H, W, 2) float32 pixels each, x first: p in `start` is p + forth(p) in `end`.

        Args:
            start, end: (H, W, 3) uint8 RGB.
        """
        ...


class DisFlow:
    """Dense inverse search (Kroeger et al., ECCV 2016), OpenCV's preset MEDIUM."""

    name = "DIS"

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._one_way(start, end), self._one_way(end, start)

    def _one_way(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        height, width = start.shape[:2]
        first, second = _large_enough(_gray(start)), _large_enough(_gray(end))
        return self._dis.calc(first, second, np.zeros((*first.shape, 2), np.float32))[:height, :width]


def background_flow(
    estimate: FlowEstimator, start: np.ndarray, end: np.ndarray, holes: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The motion behind the object from one frame to another, and where it can be relied on.

    Around the holes it is the estimate, as far as forth and back agree; it is carried on into the holes.

    Args:
        start, end: (H, W, 3) uint8 RGB with the object.
        holes: (H, W) bool of both.

    Returns:
        (H, W, 2) float32 flow from `start` to `end`, and (H, W) bool: forth and back agree.
    """
    forth, back = estimate(start, end)
    seen = agreement(forth, back) & ~holes[0], agreement(back, forth) & ~holes[1]
    forth, back = (_carried_on(flow, good, hole) for flow, good, hole in zip((forth, back), seen, holes, strict=True))
    return forth, agreement(forth, back)


def agreement(forth: np.ndarray, back: np.ndarray) -> np.ndarray:
    """(H, W) bool: where following the flow (H, W, 2) forth and then back ends near the start, inside the frame."""
    returned, inside = warp(back, forth)
    gap = np.square(forth + returned).sum(axis=-1)
    size = np.square(forth).sum(axis=-1) + np.square(returned).sum(axis=-1)
    return inside & (gap < _RELATIVE * size + _ABSOLUTE)


def warp(picture: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, C) as float32 read at pixel + flow, bilinear, and where that lies inside the frame (H, W)."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    moved = cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return moved, inside


def _carried_on(flow: np.ndarray, good: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The flow with what is in the hole replaced by what its surroundings say."""
    if not hole.any() or not good.any():
        return flow
    height, width = hole.shape
    scale = min(1.0, _FILL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    weight = cv2.resize(good.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(flow * good[..., None], size, interpolation=cv2.INTER_AREA)
    unknown = (weight < 1e-3).astype(np.uint8)
    small /= np.maximum(weight, 1e-3)[..., None]
    filled = np.stack(
        [
            cv2.inpaint(np.ascontiguousarray(small[..., axis]), unknown, _FILL_RADIUS, cv2.INPAINT_NS)
            for axis in range(2)
        ],
        axis=-1,
    )
    large = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(hole[..., None], large, flow)


def _large_enough(gray: np.ndarray) -> np.ndarray:
    """(H, W) grown at the bottom and right where OpenCV's DIS would refuse it."""
    bottom, right = (max(0, _SMALLEST - side) for side in gray.shape)
    return cv2.copyMakeBorder(gray, 0, bottom, 0, right, cv2.BORDER_REPLICATE) if bottom or right else gray


def _gray(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
