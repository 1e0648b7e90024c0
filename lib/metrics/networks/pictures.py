"""Frames as tensors."""

from collections.abc import Sequence

import numpy as np
import torch


def to_tensor(frames: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """(n, 3, H, W) float32 in 0..1 of (H, W, 3) uint8 frames."""
    stack = torch.from_numpy(np.stack(frames)).to(device)
    return stack.permute(0, 3, 1, 2).float().div_(255)
