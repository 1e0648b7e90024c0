"""What needs no ground truth: how large holes are, what changed outside of them, how much they flicker."""

from collections.abc import Sequence

import cv2
import numpy as np

from lib.metrics.moment import Moment

_RING = 16  # pixels around the hole that its brightness is compared with


class HoleStatistics:
    """How much of the frames the holes cover."""

    keys: Sequence[str] = ("hole_share", "hole_share_max", "hole_frames")

    def __init__(self) -> None:
        self._shares: list[float] = []

    def add(self, moment: Moment) -> None:
        self._shares.append(float(moment.hole.mean()))

    def values(self) -> dict[str, float]:
        if not self._shares:
            return {}
        shares = np.array(self._shares)
        return dict(zip(self.keys, map(float, (shares.mean(), shares.max(), (shares > 0).mean())), strict=True))

    def unavailable(self) -> dict[str, str]:
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class KeptDifference:
    """The largest difference, in gray levels, between result and source where nothing was to change."""

    keys: Sequence[str] = ("max_difference_kept",)

    def __init__(self) -> None:
        self._largest: int | None = None

    def add(self, moment: Moment) -> None:
        if moment.kept.any():
            found = int(cv2.absdiff(moment.result, moment.source)[moment.kept].max())
            self._largest = max(found, self._largest or 0)

    def values(self) -> dict[str, float]:
        return {} if self._largest is None else {self.keys[0]: float(self._largest)}

    def unavailable(self) -> dict[str, str]:
        return {self.keys[0]: "the holes and their surroundings fill all frames"} if self._largest is None else {}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class Flicker:
    """Amplitude, in gray levels, of the frame-to-frame change of the hole's brightness against its surroundings.

    d_t is the mean of the result in the hole less the mean of the source in a ring of 16 pixels around it (of the
    source, so that the blend has no part in it), per channel. The flicker is the mean over frames and channels of
    |d_t - (d_{t-1} + d_{t+1}) / 2| / 2: a for a brightness that goes up and down by a from frame to frame, 0 for one
    that drifts evenly.
    """

    keys: Sequence[str] = ("flicker_inside",)

    def __init__(self) -> None:
        self._last: list[np.ndarray] = []  # at most three frames in a row
        self._total, self._count = 0.0, 0

    def add(self, moment: Moment) -> None:
        found = _against_surroundings(moment)
        self._last = [] if found is None else [*self._last[-2:], found]
        if len(self._last) == 3:
            before, now, after = self._last
            self._total += float(np.abs(now - (before + after) / 2).mean() / 2)
            self._count += 1

    def values(self) -> dict[str, float]:
        return {self.keys[0]: self._total / self._count} if self._count else {}

    def unavailable(self) -> dict[str, str]:
        return {} if self._count else {self.keys[0]: "no three frames in a row have a hole with surroundings"}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


def _against_surroundings(moment: Moment) -> np.ndarray | None:
    """The mean of each channel in the hole less that around it; None without hole or surroundings."""
    if not moment.hole.any():
        return None
    size = 2 * _RING + 1
    near = cv2.dilate(moment.hole.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
    ring = near & ~moment.hole
    if not ring.any():
        return None
    return moment.result[moment.hole].mean(axis=0) - moment.source[ring].mean(axis=0)
