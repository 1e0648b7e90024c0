"""Peak signal-to-noise ratio inside a hole."""

import numpy as np
from skimage.metrics import peak_signal_noise_ratio


def masked_psnr(reference: np.ndarray, result: np.ndarray, masks: np.ndarray) -> float:
    """PSNR in dB (peak 255) over all channels of all pixels under the masks; inf where they are equal.

    Args:
        reference, result: (T, H, W, 3) uint8.
        masks: (T, H, W) bool, True where pixels count.

    Raises:
        ValueError: no pixel is under the masks.
    """
    if not masks.any():
        raise ValueError(f"the masks of shape {masks.shape} are all empty: there is no pixel to score")
    inside, filled = reference[masks], result[masks]
    if np.array_equal(inside, filled):
        return float("inf")
    return float(peak_signal_noise_ratio(inside, filled, data_range=255))
