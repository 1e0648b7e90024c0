"""Structural similarity inside a hole."""

import numpy as np
from skimage.metrics import structural_similarity


def masked_ssim(reference: np.ndarray, result: np.ndarray, masks: np.ndarray) -> float:
    """Mean over the pixels under the masks of the SSIM map of the whole frame (7x7 windows, per channel), -1..1.

    Args:
        reference, result: (T, H, W, 3) uint8, sides of at least 7.
        masks: (T, H, W) bool, True where pixels count; frames without such pixels are skipped.

    Raises:
        ValueError: no pixel is under the masks.
    """
    if not masks.any():
        raise ValueError(f"the masks of shape {masks.shape} are all empty: there is no pixel to score")
    total, count = 0.0, 0
    for one, other, mask in zip(reference, result, masks, strict=True):
        if mask.any():
            box = _box_around(mask, margin=7)
            total += _ssim_map(one[box], other[box])[mask[box]].mean(axis=-1).sum()
            count += int(mask.sum())
    return float(total / count)


def _ssim_map(reference: np.ndarray, result: np.ndarray) -> np.ndarray:
    return structural_similarity(reference, result, data_range=255, channel_axis=-1, full=True)[1]


def _box_around(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The smallest box with all of the mask and a margin wider than the SSIM window, so the map is the frame's own."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
