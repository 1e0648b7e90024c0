"""How much a result changes along the motion: a frame against its predecessor, moved as the scene moves."""

from collections.abc import Sequence

import numpy as np

from lib.metrics.flow import DisFlow, FlowEstimator, background_flow, warp
from lib.metrics.moment import Moment

_MARGIN = 96  # pixels around the hole, at least


class WarpError:
    """Mean absolute difference in the hole, in gray levels, along the flow behind the object (`background_flow`)."""

    keys: Sequence[str] = ("warp_error_inside",)

    def __init__(self, estimate: FlowEstimator | None = None) -> None:
        self.estimate = estimate or DisFlow()
        self._total, self._count = 0.0, 0

    def add(self, moment: Moment) -> None:
        before = moment.previous
        if before is None or not moment.hole.any():
            return
        box = _around(moment.hole | before.hole)
        holes = moment.hole[box], before.hole[box]
        flow, reliable = background_flow(self.estimate, moment.source[box], before.source[box], holes)
        moved, inside = warp(before.result[box], flow)
        scored = holes[0] & inside & reliable
        self._total += float(np.abs(moved[scored] - moment.result[box][scored]).sum(dtype=np.float64))
        self._count += 3 * int(scored.sum())

    def values(self) -> dict[str, float]:
        return {self.keys[0]: self._total / self._count} if self._count else {}

    def unavailable(self) -> dict[str, str]:
        why = "no frame with a hole follows another one along a motion that forth and back agree on"
        return {} if self._count else {self.keys[0]: why}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


def _around(hole: np.ndarray) -> tuple[slice, slice]:
    """The hole and enough of its surroundings to tell their motion by."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    margin = max(_MARGIN, (rows[-1] - rows[0]) // 2, (columns[-1] - columns[0]) // 2)
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + 1 + margin),
        slice(max(columns[0] - margin, 0), columns[-1] + 1 + margin),
    )


def warp_error(reference: np.ndarray, result: np.ndarray, masks: np.ndarray) -> float:
    """Mean absolute difference under the masks between frame t and frame t-1 moved onto it, in gray levels (0..255).

    The motion is DIS optical flow from frame t to t-1 of the reference, so a result is not judged by its own motion.
    Pixels whose motion leaves the frame do not count. The truth has an error of its own (change of light, uncovered
    background, interpolation): compare with `warp_error(reference, reference, masks)`.

    Args:
        reference: (T, H, W, 3) uint8 RGB, the frames that the motion is taken from: a clean plate.
        result: (T, H, W, 3) uint8 RGB, the frames to score.
        masks: (T, H, W) bool, True where pixels count.

    Returns:
        The error; 0 for a clip of one frame or where no pixel counts.
    """
    estimate = DisFlow()
    total, count = 0.0, 0
    for index in range(1, len(result)):
        if not masks[index].any():
            continue
        moved, inside = warp(result[index - 1], estimate(reference[index], reference[index - 1])[0])
        scored = masks[index] & inside
        total += np.abs(moved[scored] - result[index][scored]).sum(dtype=np.float64)
        count += 3 * int(scored.sum())
    return total / count if count else 0.0
