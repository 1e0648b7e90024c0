"""Clips made by code, for benchmarks."""

import numpy as np


def moving_clip(frames: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A panning texture (T, H, W, 3) and the masks (T, H, W) of a square that moves over it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 235, (height // 8 + 2, (width + 2 * 256) // 8 + 2, 3), np.uint8)
    plate = coarse.repeat(8, 0).repeat(8, 1)
    clip = np.empty((frames, height, width, 3), np.uint8)
    masks = np.zeros((frames, height, width), bool)
    side = height // 3
    for index in range(frames):
        shift = 2 * index % 256
        clip[index] = plate[:height, shift : shift + width]
        left, top = (5 * index) % (width - side), height // 3 + index % 8
        masks[index, top : top + side, left : left + side] = True
        clip[index][masks[index]] = (250, 240, 40)
    return clip, masks
