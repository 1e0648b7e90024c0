"""Putting the filled hole into the source's own planes: what lies far from the hole keeps the source's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from lib.video.compose import Blend, changing_box
from lib.video.planes import code_values, frame_of, native_planes
from lib.video.sdr import from_sdr
from lib.video.sizes import resize_frame, resize_mask
from lib.video.source_format import ResultFormat

if TYPE_CHECKING:
    from av import VideoFrame

Orient = Callable[[np.ndarray], np.ndarray]


def compose_in_format(
    frames: Iterable[VideoFrame],
    fills: Iterable[np.ndarray],
    masks: Iterable[np.ndarray],
    blend: Blend,
    wanted: ResultFormat,
    size_hw: tuple[int, int],
    *,
    orient: Orient = np.asarray,
    turned: bool = False,
) -> Iterator[VideoFrame]:
    """Source frames with the hole taken from fills, one by one, in the wanted format.

    Luma outside the mask and the blend's reach is the source's, and so is chroma whose pixels all lie there, unless
    the source has another size or format and must be converted.

    Args:
        frames: as decoded, not yet upright.
        fills: as many upright (h, w, 3) uint8 BT.709 pictures of any size, as `lib.video.sdr` shows the source.
        masks: as many upright (h, w) bool masks of any size.
        size_hw: (H, W) of the upright result.
        orient: makes a (rows, columns) plane upright, by any of the eight rotations and mirrorings.
        turned: `orient` swaps rows and columns.

    Raises:
        ValueError: the three differ in length, or the format's chroma cannot be turned.
    """
    if turned and wanted.chroma[0] != wanted.chroma[1]:
        raise ValueError(f"planes of {wanted.pixel_format} cannot be turned; expected a format made for turned sources")
    height, width = size_hw
    source_hw = (width, height) if turned else size_hw
    for frame, fill, mask in zip(frames, fills, masks, strict=True):
        planes = [orient(plane) for plane in native_planes(frame, wanted, source_hw)]
        _fill_hole(planes, fill, resize_mask(mask, size_hw), blend, wanted)
        yield frame_of(planes, wanted)


def _fill_hole(
    planes: list[np.ndarray], fill: np.ndarray, mask: np.ndarray, blend: Blend, wanted: ResultFormat
) -> None:
    box = changing_box(mask, blend, multiple=2)
    if box is None:
        return
    shares = blend.weights(mask[box])
    values = code_values(from_sdr(resize_frame(fill, mask.shape)[box], wanted.tags), wanted)
    for index, (plane, value) in enumerate(zip(planes, values, strict=True)):
        columns, rows = wanted.chroma if index else (1, 1)
        part = _reduced(box[0], rows), _reduced(box[1], columns)
        below = plane[part].astype(np.float32)
        mixed = below + _mean(shares, rows, columns) * (_mean(value, rows, columns) - below)
        plane[part] = np.rint(mixed).astype(plane.dtype)


def _reduced(span: slice, by: int) -> slice:
    return slice(span.start // by, span.stop // by)


def _mean(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Means of fields of so many rows and columns."""
    if rows == columns == 1:
        return values
    height, width = values.shape
    return values.reshape(height // rows, rows, width // columns, columns).mean(axis=(1, 3), dtype=np.float32)
