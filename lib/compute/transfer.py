"""Arrays on their way to the device and back, without either side waiting for the other."""

from collections import deque
from collections.abc import Callable

import numpy as np
import torch

COPIES_IN_FLIGHT = 2


def upload(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A copy on the device; the host does not wait for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class HostFrames:
    """Frames on their way back from the device into a (T, H, W, 3) array; the host waits only when it must."""

    def __init__(self, frames: np.ndarray, landed: Callable[[int, int], None] = lambda _start, _stop: None) -> None:
        """landed: told from where to where frames have arrived, in the order in which they were put."""
        self._frames, self._landed = frames, landed
        self._under_way: deque[tuple[int, torch.Tensor, torch.cuda.Event]] = deque()

    def put(self, start: int, frames: torch.Tensor) -> None:
        """Frames (n, H, W, 3) from index `start` on."""
        if not frames.is_cuda:
            self._frames[start : start + len(frames)] = frames.numpy()
            self._landed(start, start + len(frames))
            return
        staged = torch.empty(frames.shape, dtype=frames.dtype, pin_memory=True)
        staged.copy_(frames, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self._under_way.append((start, staged, arrived))
        if len(self._under_way) > COPIES_IN_FLIGHT:
            self._land()

    def finish(self) -> None:
        """Wait for all frames."""
        while self._under_way:
            self._land()

    def _land(self) -> None:
        start, staged, arrived = self._under_way.popleft()
        arrived.synchronize()
        self._frames[start : start + len(staged)] = staged.numpy()
        self._landed(start, start + len(staged))
