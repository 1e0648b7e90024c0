"""Optical flow by RAFT (Teed and Deng, ECCV 2020), with the weights that ProPainter uses."""

from pathlib import Path

import cv2
import numpy as np
import torch

from lib.metrics.networks.pictures import to_tensor
from lib.propainter.checkpoints import load_raft

_ITERATIONS = 20
_SMALLEST, _LARGEST = 128, 960  # pixels of the shorter and of the longer side


class RaftFlow:
    """The estimator of `lib.metrics.flow`. Large frames are scaled down: correlations grow with the square of them."""

    name = "RAFT"

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises InputError: the weights cannot be used."""
        self._net, self._device = load_raft(path).to(device), device

    @torch.inference_mode()
    def __call__(self, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = start.shape[:2]
        size = _fitting(height, width)
        frames = [cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for frame in (start, end)]
        forth, back = self._net(2 * to_tensor(frames, self._device) - 1, _ITERATIONS)
        return _at(forth[0], height, width), _at(back[0], height, width)


def _fitting(height: int, width: int) -> tuple[int, int]:
    """Sides that RAFT takes: multiples of 8, neither too small nor too large."""
    scale = max(min(1.0, _LARGEST / max(height, width)), _SMALLEST / min(height, width))
    return max(_SMALLEST, round(height * scale / 8) * 8), max(_SMALLEST, round(width * scale / 8) * 8)


def _at(flow: torch.Tensor, height: int, width: int) -> np.ndarray:
    """(H, W, 2) of a (2, h, w) flow, in pixels of the larger picture."""
    small = flow.permute(1, 2, 0).float().cpu().numpy()
    scale = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR) * scale
