"""Frames as tensors, and networks as exact on a GPU as on the CPU."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def to_tensor(frames: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """(n, 3, H, W) float32 in 0..1 of (H, W, 3) uint8 frames."""
    stack = torch.from_numpy(np.stack(frames)).to(device)
    return stack.permute(0, 3, 1, 2).float().div_(255)


@contextmanager
def measuring() -> Iterator[None]:
    """Without gradients, and with convolutions in full float32: TF32 has three digits, scores are given with six."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
