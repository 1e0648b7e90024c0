"""The weights-free engine: what the hole hides is taken from frames that show it.

The camera is followed from frame to frame (`camera`), what moves otherwise gets residual flow (`links`, `flow`), each
hidden pixel is followed both ways to the nearest frame that shows it (`chain`), colours are read once and blended
(`fill`). A still camera takes a temporal median (`plate`). What no frame shows is painted once (`anchor_fill`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from lib.propagation.anchor_fill import Inpaint, Painted, fill_never_visible, paint_with_telea
from lib.propagation.camera import find_shots
from lib.propagation.chain import Sources, closed_pixels, follow, nowhere
from lib.propagation.chunks import Chunk, chunks_of
from lib.propagation.fill import blend, fetch
from lib.propagation.links import Links, add_residuals, link_by_camera, scaled
from lib.propagation.plate import fill_from_plate
from lib.propagation.settings import PropagationSettings

CODE_VERSION = "1"  # part of every cache key: raise it with each change of the results
CAMERA_SHARE = 0.3  # of the whole time, for the progress report


@dataclass(frozen=True)
class Propagation:
    """frames: (T, H, W, 3) uint8, the holes filled; the other counts are in pixels of the holes."""

    frames: np.ndarray
    hole_pixels: int
    anchored_pixels: int
    crumb_pixels: int
    shots: int


def propagate(
    frames: np.ndarray,
    masks: np.ndarray,
    settings: PropagationSettings | None = None,
    *,
    inpaint: Inpaint = paint_with_telea,
    first_anchor: int = 0,
    out: np.ndarray | None = None,
    report: Callable[[float], None] = lambda _fraction: None,
) -> Propagation:
    """Fill the holes of a clip; pixels outside them keep their bytes, and the same input gives the same output.

    While it runs, OpenCV uses one thread in the whole process.

    Args:
        frames: (T, H, W, 3) uint8 RGB. masks: (T, H, W) bool, True where the hole is.
        inpaint: paints into one picture what no frame shows.
        first_anchor: the frame that is painted first.
        out: where to write, as in numpy; `out=frames` needs no second copy of the clip. None = a new array.
        report: called with the share done, 0..1.

    Raises:
        ValueError: shapes or types do not fit.
    """
    _check(frames, masks, out)
    settings = settings or PropagationSettings()
    if out is None:
        out = frames.copy()
    elif out is not frames:
        np.copyto(out, frames)
    painted = Painted()
    with _reproducible_opencv():
        shots = find_shots(out, masks, settings, lambda share: report(CAMERA_SHARE * share))
        for chunk in (chunk for shot in shots for chunk in chunks_of(shot, masks, settings)):
            for share in _fill_chunk(out, masks, chunk, settings, inpaint, first_anchor, painted):
                done = chunk.start + share * (chunk.finished - chunk.start)
                report(CAMERA_SHARE + (1 - CAMERA_SHARE) * done / len(frames))
        report(1.0)
    return Propagation(out, int(masks.sum()), painted.anchored, painted.crumbs, len(shots))


def _check(frames: np.ndarray, masks: np.ndarray, out: np.ndarray | None) -> None:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"frames must be (T, H, W, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}")
    if masks.shape != frames.shape[:3] or masks.dtype != bool:
        raise ValueError(f"masks must be {frames.shape[:3]} bool, got {masks.shape} {masks.dtype}")
    if out is not None and (out.shape != frames.shape or out.dtype != np.uint8 or not out.flags.c_contiguous):
        kind = "" if out.flags.c_contiguous else " that is not contiguous"
        raise ValueError(f"out must be {frames.shape} uint8 and contiguous, got {out.shape} {out.dtype}{kind}")


@contextmanager
def _reproducible_opencv() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cv2.setRNGSeed(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _fill_chunk(
    frames: np.ndarray,
    masks: np.ndarray,
    chunk: Chunk,
    settings: PropagationSettings,
    inpaint: Inpaint,
    first_anchor: int,
    painted: Painted,
) -> Iterator[float]:
    """Fill the holes of a chunk, and yield the share done now and then."""
    frames, masks, shot = chunk.cut(frames, masks)
    if not masks.any():
        return
    links = link_by_camera(masks, shot)
    if shot.static:
        missing = _fill_from_frames(frames, masks, links, settings)
        fill_from_plate(frames, masks, shot, settings)
    else:
        missing: list[np.ndarray] = []
        for done in range(settings.passes):
            add_residuals(links, frames, _unknown(masks, missing, settings), settings)
            yield (done + 0.7) / (settings.passes + 0.1)
            missing = _fill_from_frames(frames, masks, links, settings)
            yield (done + 1) / (settings.passes + 0.1)
    fill_never_visible(frames, missing, links, inpaint, first_anchor - chunk.start, settings, painted)


def _unknown(
    masks: np.ndarray, missing: list[np.ndarray], settings: PropagationSettings
) -> Callable[[int], np.ndarray]:
    """Where a frame's content means nothing to the flow: near the hole, or once it is filled near what is missing."""
    guard = 2 * scaled(settings.guard, masks.shape[1:]) + 1

    def unknown(index: int) -> np.ndarray:
        if not missing:
            return cv2.dilate(masks[index].astype(np.uint8), np.ones((guard, guard), np.uint8)) > 0
        left = np.zeros(masks.shape[1:], bool)
        left.ravel()[missing[index]] = True
        return closed_pixels(left)

    return unknown


def _fill_from_frames(
    frames: np.ndarray, masks: np.ndarray, links: Links, settings: PropagationSettings
) -> list[np.ndarray]:
    """Fill what other frames show; per frame the flat indices of the hole's pixels that none does."""
    gains = links.shot.gains
    past = [
        fetch(frames, sources, wanted, gains, gains[index])
        for index, sources, wanted in _sweep(masks, links, 1, settings)
    ]
    missing = [np.empty(0, np.int32)] * len(frames)
    for index, sources, wanted in _sweep(masks, links, -1, settings):
        future = fetch(frames, sources, wanted, gains, gains[index])
        colour, unseen = blend(past[index], future)
        flat = sources.flat[wanted]
        frames[index].reshape(-1, 3)[flat[~unseen]] = colour[~unseen]
        missing[index] = flat[unseen]
    return missing


def _sweep(
    masks: np.ndarray, links: Links, direction: int, settings: PropagationSettings
) -> Iterator[tuple[int, Sources, np.ndarray]]:
    """Sources of each frame, from one end of the shot to the other; each frame builds on the one before.

    Yields the frame's index, its sources on the side where the sweep comes from, and which of them lie in the hole.
    """
    count = len(masks)
    beyond, closed = nowhere(np.empty(0, np.int32)), np.zeros(0, bool)
    for index in range(count) if direction > 0 else range(count - 1, -1, -1):
        flat = links.flat[index]
        neighbour = index - direction
        if 0 <= neighbour < count and len(flat):
            target, jacobian = links.targets(index, -direction)
            beyond = follow(flat, target, jacobian, closed, beyond, neighbour, settings.reach)
        else:
            beyond = nowhere(flat)
        closed = np.zeros(masks.shape[1:], bool)
        closed.ravel()[flat] = True
        yield index, beyond, masks[index].ravel()[flat]
