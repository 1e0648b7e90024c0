"""How a video's frames are turned and mirrored to be shown, as its display matrix says."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame

_MATRIX = "DISPLAYMATRIX"


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay an array of pixels: first transposed or not, then flipped."""

    transposed: bool = False
    rows_flipped: bool = False
    columns_flipped: bool = False
    exact: bool = True  # False: the matrix asks for another angle, this is the nearest

    @property
    def is_mirrored(self) -> bool:
        """Whether it is no mere rotation."""
        return (self.transposed + self.rows_flipped + self.columns_flipped) % 2 == 1

    def apply(self, array: np.ndarray) -> np.ndarray:
        """An (H, W, ...) array as it is shown; a view where nothing changes, else contiguous."""
        if self.transposed:
            array = array.swapaxes(0, 1)
        if self.rows_flipped:
            array = array[::-1]
        if self.columns_flipped:
            array = array[:, ::-1]
        return np.ascontiguousarray(array)


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation that a decoded frame asks for.

    A display matrix holds nine numbers a b u, c d v, x y w: the pixel (p, q) is shown at (a p + c q, b p + d q).
    """
    from av.sidedata.sidedata import SideDataContainer

    # Not `frame.side_data`: the two would hold each other, and decoded frames pile up until Python looks for cycles.
    found = cast(Any, SideDataContainer)(frame).get(_MATRIX)
    if found is None:
        return UPRIGHT
    values = struct.unpack("<9i", bytes(found)[:36])
    a, b, c, d = values[0], values[1], values[3], values[4]
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    exact = not (any((a, d)) if transposed else any((b, c)))
    if transposed:
        return Orientation(True, rows_flipped=b < 0, columns_flipped=c < 0, exact=exact)
    return Orientation(False, rows_flipped=d < 0, columns_flipped=a < 0, exact=exact)
