"""Putting the filled hole into the source: nothing outside the feather band changes."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from lib.video.sizes import resize_frame, resize_mask


def feather(mask: np.ndarray, radius: int) -> np.ndarray:
    """Float32 alpha of an (H, W) bool mask: 1 on it, falling smoothly to 0 beyond `radius` pixels outside it."""
    if radius <= 0 or not mask.any():
        return mask.astype(np.float32)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ramp = np.where(distance > radius, np.float32(0), 1 - distance / np.float32(radius + 1))
    return ramp * ramp * (3 - 2 * ramp)


def compose(
    source: Iterable[np.ndarray], filled: Iterable[np.ndarray], masks: Iterable[np.ndarray], feather_px: int
) -> Iterator[np.ndarray]:
    """Source frames with the hole taken from `filled`, one by one.

    Args:
        source: (H, W, 3) uint8 frames.
        filled: as many uint8 frames, of the source's size or any other (then scaled to it).
        masks: as many bool masks, of the source's size or any other (then scaled to it, nearest).
        feather_px: width of the transition outside the mask, in pixels of the source; beyond it frames are
            byte-identical to the source.

    Raises:
        ValueError: the three differ in length.
    """
    for frame, fill, mask in zip(source, filled, masks, strict=True):
        yield compose_frame(frame, fill, mask, feather_px)


def compose_frame(frame: np.ndarray, fill: np.ndarray, mask: np.ndarray, feather_px: int) -> np.ndarray:
    """One composed (H, W, 3) uint8 frame, a new array; see `compose`."""
    size = frame.shape[0], frame.shape[1]
    mask = resize_mask(mask, size)
    composed = frame.copy()
    box = _bounding_box(mask, feather_px + 1)
    if box is None:
        return composed
    alpha = feather(mask[box], feather_px)[..., None]
    below = frame[box].astype(np.float32)
    blend = below + alpha * (resize_frame(fill, size)[box] - below)
    composed[box] = np.rint(blend).astype(np.uint8)
    return composed


def _bounding_box(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + 1 + margin),
        slice(max(columns[0] - margin, 0), columns[-1] + 1 + margin),
    )
