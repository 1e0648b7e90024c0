"""Putting the filled hole into the source: nothing far from the hole changes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from lib.video.sizes import resize_frame, resize_mask

_KERNEL = 21  # of the published program's blur, in pixels


class Blend(Protocol):
    """How the result passes over into the source around the hole."""

    @property
    def reach(self) -> int:
        """Pixels outside the mask that may change; beyond them frames are byte-identical to the source."""
        ...

    def weights(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) float32 share of the fill, of an (H, W) bool mask: 1 on it, 0 beyond the reach."""
        ...

    def mix(self, below: np.ndarray, fill: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 of `below` with the (H, W) bool mask's hole taken from `fill`, both (H, W, 3) uint8."""
        ...


@dataclass(frozen=True)
class Feather:
    """A smooth fade over so many pixels; rounded."""

    radius: int

    @property
    def reach(self) -> int:
        return self.radius

    def weights(self, mask: np.ndarray) -> np.ndarray:
        return feather(mask, self.radius)

    def mix(self, below: np.ndarray, fill: np.ndarray, mask: np.ndarray) -> np.ndarray:
        under = below.astype(np.float32)
        mixed = under + self.weights(mask)[..., None] * (fill - under)
        return np.rint(mixed).astype(np.uint8)


@dataclass(frozen=True)
class GaussianBlend:
    """As the published DiffuEraser program does it: a blurred mask on 8 bits, and numbers cut to integers."""

    @property
    def reach(self) -> int:
        return _KERNEL // 2

    def weights(self, mask: np.ndarray) -> np.ndarray:
        hole = np.where(mask, np.uint8(255), np.uint8(0))
        blurred = cv2.GaussianBlur(hole, (_KERNEL, _KERNEL), 0)
        shares = (255 * (1 - (1 - hole / 255) * (1 - blurred / 255))).astype(np.uint8)
        return (shares / 255).astype(np.float32)

    def mix(self, below: np.ndarray, fill: np.ndarray, mask: np.ndarray) -> np.ndarray:
        alpha = self.weights(mask)[..., None]
        return (fill * alpha + below * (1 - alpha)).astype(np.uint8)


def feather(mask: np.ndarray, radius: int) -> np.ndarray:
    """Float32 alpha of an (H, W) bool mask: 1 on it, falling smoothly to 0 beyond `radius` pixels outside it."""
    if radius <= 0 or not mask.any():
        return mask.astype(np.float32)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ramp = np.where(distance > radius, np.float32(0), 1 - distance / np.float32(radius + 1))
    return ramp * ramp * (3 - 2 * ramp)


def compose(
    source: Iterable[np.ndarray], filled: Iterable[np.ndarray], masks: Iterable[np.ndarray], blend: Blend
) -> Iterator[np.ndarray]:
    """Source frames with the hole taken from `filled`, one by one.

    Args:
        source: (H, W, 3) uint8 frames.
        filled: as many uint8 frames, of the source's size or any other (then scaled to it).
        masks: as many bool masks, of the source's size or any other (then scaled to it, nearest).
        blend: the transition outside the mask, at the source's size.

    Raises:
        ValueError: the three differ in length.
    """
    for frame, fill, mask in zip(source, filled, masks, strict=True):
        yield compose_frame(frame, fill, mask, blend)


def compose_frame(frame: np.ndarray, fill: np.ndarray, mask: np.ndarray, blend: Blend) -> np.ndarray:
    """One composed (H, W, 3) uint8 frame, a new array; see `compose`."""
    size = frame.shape[0], frame.shape[1]
    mask = resize_mask(mask, size)
    composed = frame.copy()
    box = changing_box(mask, blend)
    if box is not None:
        composed[box] = blend.mix(frame[box], resize_frame(fill, size)[box], mask[box])
    return composed


def changing_box(mask: np.ndarray, blend: Blend, multiple: int = 1) -> tuple[slice, slice] | None:
    """Rows and columns to blend in, that begin and end at multiples of `multiple`; None for an empty mask."""
    # A blur sees twice its reach: at the box's border its reflection must be as empty as what it replaces.
    margin = 2 * blend.reach + 1
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return _span(rows, margin, multiple), _span(columns, margin, multiple)


def _span(places: np.ndarray, margin: int, multiple: int) -> slice:
    start, stop = max(int(places[0]) - margin, 0), int(places[-1]) + 1 + margin
    return slice(start - start % multiple, stop + -stop % multiple)
