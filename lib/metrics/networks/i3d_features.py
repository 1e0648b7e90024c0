"""What VFID is made of: I3D features of a result and of its ground truth."""

from collections.abc import Sequence

import numpy as np
import torch

from lib.metrics.moment import Moment
from lib.metrics.networks.i3d import I3d
from lib.metrics.networks.pictures import measuring, to_tensor
from lib.video.sizes import resize_frame

SIZE = (240, 432)  # (H, W) at which video-inpainting papers take the features
# Frames that go through the network at a time. Papers send whole clips; those of DAVIS (104 at most) and of
# YouTube-VOS (180) are one piece.
PIECE = 192


class I3dFeatures:
    """The mean of Mixed_5c over a clip. Clips longer than a piece: over the pieces, weighted by their length.

    `own_statistics` as of `I3d.forward`: what papers report.
    """

    keys: Sequence[str] = ("vfid",)

    def __init__(self, net: I3d, device: torch.device, own_statistics: bool = False) -> None:
        self._net, self._device, self._own_statistics = net, device, own_statistics
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._sums: list[np.ndarray] | None = None
        self._count = 0

    def add(self, moment: Moment) -> None:
        if moment.truth is None:
            return
        self._waiting.append((resize_frame(moment.result, SIZE), resize_frame(moment.truth, SIZE)))
        if len(self._waiting) == PIECE:
            self._measure()

    def _measure(self) -> None:
        if not self._waiting:
            return
        with measuring():
            found = [self._features(frames) * len(frames) for frames in zip(*self._waiting, strict=True)]
        self._sums = found if self._sums is None else [a + b for a, b in zip(self._sums, found, strict=True)]
        self._count += len(self._waiting)
        self._waiting.clear()

    def _features(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        clip = to_tensor(frames, self._device).transpose(0, 1)[None]
        return self._net(clip, self._own_statistics)[0].double().mean(dim=(1, 2, 3)).cpu().numpy()

    def values(self) -> dict[str, float]:
        return {}  # a single video has none

    def unavailable(self) -> dict[str, str]:
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        self._measure()
        if self._sums is None:
            return {}
        result, truth = (total / self._count for total in self._sums)
        return {"i3d_result": result, "i3d_truth": truth}
