"""Which frames the networks see together, and how the results of windows that share frames become one."""

from dataclasses import dataclass

import numpy as np

from lib.diffueraser.settings import LONGEST_WINDOW


@dataclass(frozen=True)
class Windows:
    """The windows of a clip: two lists that the steps take in turn, so that no seam stays where it is."""

    even: tuple[range, ...]  # of steps 0, 2, 4 ...
    odd: tuple[range, ...]  # of steps 1, 3, 5 ...

    def of_step(self, step: int) -> tuple[range, ...]:
        """The windows of a step (the first is 0), in their order; together they hold every frame."""
        return self.odd if step % 2 else self.even


def window_lists(count: int, length: int) -> Windows:
    """The windows of a clip.

    Neighbours share a quarter of their frames; the last window ends with the clip and so may share more. In odd steps
    all but the first are shifted by half a window. A clip no longer than a window is one window.

    Args:
        count: frames of the clip, at least 1.
        length: frames of a window, 1 to 32.

    Raises:
        ValueError: either is out of its range.
    """
    _check(count, length)
    if count <= length:
        return Windows((range(count),), (range(count),))
    stride, last = length - length // 4, count - length
    shifted = max(length // 2, 1)  # the first window is there already
    even = [*range(0, last, stride), last]
    odd = [0, *range(shifted, last, stride), last]
    return Windows(*(tuple(range(start, start + length) for start in starts) for starts in (even, odd)))


def new_window_weights(covered: int, length: int, smooth: bool = False) -> np.ndarray:
    """What a window's frames weigh against those that earlier windows of the step made; these weigh the rest to 1.

    Args:
        covered: how many of the window's frames, its first, earlier windows hold too; 0 to `length`.
        length: frames of the window.
        smooth: blend every shared frame; else the last of them is replaced, as in the published program.

    Returns:
        float32 weights in 0..1, rising over the shared frames and 1 behind them, one a frame.
    """
    if not 0 <= covered <= length:
        raise ValueError(f"{covered} frames are covered; a window of {length} can share 0 to {length}")
    weights = np.ones(length, np.float32)
    blended = covered if smooth else max(covered - 1, 0)
    weights[:blended] = np.arange(1, blended + 1, dtype=np.float32) / (covered + 1)
    return weights


def pre_inference_indices(count: int, length: int) -> tuple[int, ...]:
    """The frames of a long clip that are made first, together, so that windows far apart agree.

    Args:
        count: frames of the clip, at least 1.
        length: frames of a window, 1 to 32.

    Returns:
        `length` indices spread evenly from frame 0 on; none where `count` is at most twice `length`.
    """
    _check(count, length)
    if count <= 2 * length:
        return ()
    step = count / length
    return tuple(int(index * step) for index in range(length))


def _check(count: int, length: int) -> None:
    if count < 1:
        raise ValueError(f"the clip has {count} frames; expected at least 1")
    if not 1 <= length <= LONGEST_WINDOW:
        raise ValueError(f"a window has {length} frames; expected 1 to {LONGEST_WINDOW}")
