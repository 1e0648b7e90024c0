"""What metrics see: a clip frame by frame, so that memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Moment:
    """One frame of everything. Frames are (H, W, 3) uint8 RGB, masks (H, W) bool."""

    index: int
    source: np.ndarray
    result: np.ndarray
    truth: np.ndarray | None  # None where there is no ground truth
    hole: np.ndarray  # the widened mask: what the engine filled
    kept: np.ndarray  # beyond the blend: what must be the source's
    previous: Moment | None = None  # whose own `previous` is None


class Accumulator(Protocol):
    """A metric, or several that share work. It sees every frame once, in order."""

    keys: Sequence[str]  # of `METRICS`, those that it may give

    def add(self, moment: Moment) -> None: ...

    def values(self) -> dict[str, float]:
        """The numbers by key; what cannot be had is left out."""
        ...

    def unavailable(self) -> dict[str, str]:
        """Why, for each key without a number."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """What numbers of a whole data set are made of."""
        ...
