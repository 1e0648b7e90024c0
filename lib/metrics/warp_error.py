"""How much a result flickers: the difference of a frame to its predecessor, moved along the true motion."""

import cv2
import numpy as np


def warp_error(reference: np.ndarray, result: np.ndarray, masks: np.ndarray) -> float:
    """Mean absolute difference in the hole between frame t and frame t-1 warped onto it, in gray levels (0..255).

    The motion is DIS optical flow (preset MEDIUM) from frame t to t-1 of the reference, so a result is not judged by
    its own motion. Pixels whose motion leaves the frame do not count. The truth has an error of its own (change of
    light, uncovered background, interpolation): compare with `warp_error(reference, reference, masks)`.

    Args:
        reference: (T, H, W, 3) uint8 RGB, the frames that the motion is taken from (the clean plate if there is one).
        result: (T, H, W, 3) uint8 RGB, the frames to score.
        masks: (T, H, W) bool, True where pixels count.

    Returns:
        The error; 0 for a clip of one frame or where no pixel counts.
    """
    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    total, count = 0.0, 0
    for index in range(1, len(result)):
        if not masks[index].any():
            continue
        start = np.zeros((*masks[index].shape, 2), np.float32)
        flow = flow_of.calc(_gray(reference[index]), _gray(reference[index - 1]), start)
        moved, inside = _warp(result[index - 1], flow)
        scored = masks[index] & inside
        total += np.abs(moved[scored] - result[index][scored]).sum(dtype=np.float64)
        count += 3 * int(scored.sum())
    return total / count if count else 0.0


def _gray(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _warp(frame: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The float32 frame read at pixel + flow, and where that lies inside the frame."""
    height, width = frame.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    moved = cv2.remap(frame.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return moved, inside
