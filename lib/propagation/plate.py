"""A still camera: the temporal median of everything that is ever visible at a pixel."""

import numpy as np

from lib.propagation.camera import Shot
from lib.propagation.settings import PropagationSettings

BLOCK = 8192  # pixels sorted at once
HIDDEN = np.float32(1e6)  # sorts behind every colour


def fill_from_plate(frames: np.ndarray, masks: np.ndarray, shot: Shot, settings: PropagationSettings) -> None:
    """Write the median of the visible samples into the holes of a static shot.

    Pixels with fewer than `plate_sources` samples, or whose samples differ too much (moving leaves, changing light),
    are left as they are.

    Args:
        frames: (T, H, W, 3) uint8 of the shot, changed in place. masks: (T, H, W) bool.
    """
    pixels = np.flatnonzero(masks.any(axis=0))
    colour = np.empty((len(pixels), 3), np.float32)
    sure = np.empty(len(pixels), bool)
    for start in range(0, len(pixels), BLOCK):
        rows, columns = np.divmod(pixels[start : start + BLOCK], masks.shape[2])
        samples = frames[:, rows, columns] / shot.gains[:, None].astype(np.float32)
        chosen = slice(start, start + BLOCK)
        colour[chosen], sure[chosen] = _median(samples, masks[:, rows, columns], settings)
    for frame, mask, gain in zip(frames, masks, shot.gains, strict=True):
        own = mask.ravel()[pixels] & sure
        frame.reshape(-1, 3)[pixels[own]] = np.clip(np.rint(colour[own] * gain), 0, 255)


def _median(samples: np.ndarray, hidden: np.ndarray, settings: PropagationSettings) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the middle half of the visible samples (T, N, 3) -> (N, 3), and (N,) bool where it can be relied on."""
    visible = (~hidden).sum(axis=0)
    ordered = np.sort(np.where(hidden[..., None], HIDDEN, samples), axis=0)
    low, high = visible // 4, np.maximum(visible - 1 - visible // 4, 0)
    ranks = np.arange(len(samples))[:, None]
    middle = (ranks >= low) & (ranks <= high) & (ranks < visible)
    total = np.where(middle[..., None], ordered, 0).sum(axis=0)
    colour = total / np.maximum(middle.sum(axis=0), 1)[:, None]
    each = np.arange(samples.shape[1])
    last = np.minimum(high, len(samples) - 1)
    spread = ordered[last, each] - ordered[np.minimum(low, last), each]
    return colour, (visible >= settings.plate_sources) & (spread.max(axis=1) <= settings.plate_spread)
