"""What no frame of a shot shows: paint it once, in one frame, and carry that picture along the chains."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from lib.propagation.chain import Sources, closed_pixels, follow, nowhere
from lib.propagation.fill import fetch
from lib.propagation.flow import box_around, fill_smoothly
from lib.propagation.links import Links, scaled
from lib.propagation.settings import PropagationSettings

TELEA_RADIUS = 5
LIGHT_LIMIT = 40.0  # gray levels; a rim that differs more shows another thing, not another light
MIN_RIM = 16
Inpaint = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (H, W, 3) uint8, (H, W) bool -> (H, W, 3) uint8


@dataclass
class Painted:
    """How many pictures were painted, and how many pixels came from them or were closed as crumbs."""

    pictures: int = 0
    anchored: int = 0
    crumbs: int = 0


def paint_with_telea(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The frame with the masked pixels inpainted by OpenCV's Telea method."""
    filled = frame.copy()
    box = box_around(mask, 4 * TELEA_RADIUS)
    if box is None:
        return filled
    part, hole = frame[box.slices], mask[box.slices]
    painted = cv2.inpaint(np.ascontiguousarray(part), hole.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)
    filled[box.slices][hole] = painted[hole]
    return filled


def fill_never_visible(
    frames: np.ndarray,
    missing: list[np.ndarray],
    links: Links,
    inpaint: Inpaint,
    first: int,
    settings: PropagationSettings,
    painted: Painted,
) -> None:
    """Fill the missing pixels of a shot in place, and count in `painted` how; it bounds the pictures of a clip.

    Args:
        frames: (T, H, W, 3) uint8 of the shot, filled but for `missing`.
        missing: per frame of the shot the flat indices (N,) int32, sorted, that are still to fill; emptied.
        inpaint: paints one picture.
        first: frame of the shot to paint first; others follow, the one with the most missing pixels first.
    """
    size = frames.shape[1:3]
    crumb = scaled(settings.crumb_area**0.5, size) ** 2
    while painted.pictures < settings.max_anchors:
        counts = [len(flat) for flat in missing]
        chosen = first if 0 <= first < len(counts) and counts[first] > crumb else int(np.argmax(counts))
        if counts[chosen] <= crumb:
            break
        hole = _as_mask(missing[chosen], size)
        picture = inpaint(frames[chosen], hole)
        frames[chosen][hole] = picture[hole]
        painted.pictures += 1
        painted.anchored += counts[chosen]
        before = list(missing)
        missing[chosen] = missing[chosen][:0]
        for direction in (1, -1):
            painted.anchored += _carry(frames, before, missing, links, chosen, direction)
    for index, flat in enumerate(missing):
        if len(flat):
            hole = _as_mask(flat, size)
            frames[index] = paint_with_telea(frames[index], hole)
            painted.crumbs += len(flat)
            missing[index] = flat[:0]


def _carry(
    frames: np.ndarray, before: list[np.ndarray], missing: list[np.ndarray], links: Links, chosen: int, direction: int
) -> int:
    """Carry the painted frame `chosen` to one end of the shot; the number of pixels filled."""
    size, filled = frames.shape[1:3], 0
    closed, beyond = np.zeros(size, bool), nowhere(np.empty(0, np.int32))
    index = chosen + direction
    while 0 <= index < len(before) and len(before[index]):
        own_closed = closed_pixels(_as_mask(before[index], size))
        flat = np.flatnonzero(own_closed).astype(np.int32)
        target, jacobian = links.targets(index, -direction, flat)
        beyond = follow(flat, target, jacobian, closed, beyond, index - direction, len(before))
        filled += _write(frames, missing, beyond, index, chosen, links.shot.gains)
        closed = own_closed
        index += direction
    return filled


def _write(
    frames: np.ndarray, missing: list[np.ndarray], sources: Sources, index: int, chosen: int, gains: np.ndarray
) -> int:
    to_fill = np.zeros(len(sources.flat), bool)
    to_fill[np.searchsorted(sources.flat, missing[index])] = True
    found = sources.frame >= 0
    samples = fetch(frames, sources, found, gains, gains[index])
    painted, rim = (to_fill & found)[found], (~to_fill & (sources.frame == chosen))[found]
    flat, colour = sources.flat[found], samples.colour.astype(np.float32)
    colour = colour[painted] + _change_of_light(frames[index], flat, colour, rim)[painted]
    frames[index].reshape(-1, 3)[flat[painted]] = np.clip(np.rint(colour), 0, 255)
    missing[index] = np.setdiff1d(missing[index], flat[painted], assume_unique=True)
    return int(painted.sum())


def _change_of_light(frame: np.ndarray, flat: np.ndarray, colour: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """(N, 3) how a frame's light differs from the painted one's: seen on the rim of the hole, continued smoothly.

    flat: (N,) pixels with colour (N, 3) from the painted frame. rim: (N,) bool, those whose own colour is known.
    """
    width = frame.shape[1]
    rows, columns = np.divmod(flat, width)
    difference = frame[rows, columns] - colour
    usable = rim & (np.abs(difference).max(axis=1) < LIGHT_LIMIT)
    if usable.sum() < MIN_RIM:
        return np.zeros_like(difference)
    top, left = rows.min(), columns.min()
    field = np.zeros((rows.max() - top + 1, columns.max() - left + 1, 3), np.float32)
    weight = np.zeros(field.shape[:2], np.float32)
    field[rows[usable] - top, columns[usable] - left] = difference[usable]
    weight[rows[usable] - top, columns[usable] - left] = 1
    return fill_smoothly(field, weight)[rows - top, columns - left]


def _as_mask(flat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask.ravel()[flat] = True
    return mask
