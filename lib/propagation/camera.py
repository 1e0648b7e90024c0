"""The camera's motion between neighbouring frames: a homography and a gain, or an honest "cannot be followed"."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from lib.propagation.settings import PropagationSettings

FLAT_DIFFERENCE = 1.0  # gray levels; without any corner only frames this equal pass as unmoved
NO_MOTION = np.zeros(2, np.float32)
LK_WINDOW = (15, 15)
LK_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.01)


@dataclass(frozen=True)
class CameraStep:
    """From frame t to t+1.

    homography: (3, 3) float64, pixels (x, y, 1) of frame t to frame t+1. gain: (3,) float64, colour of t+1 over t.
    still: the corners hardly moved; in a static shot the homography is then exactly the identity.
    """

    homography: np.ndarray
    gain: np.ndarray
    still: bool


@dataclass(frozen=True)
class Shot:
    """Frames start..stop-1 that one unbroken camera chain joins. steps[i] leads from frame start+i to the next.

    gains: (stop - start, 3) float64, exposure of each frame relative to the first.
    """

    start: int
    stop: int
    steps: tuple[CameraStep, ...]
    gains: np.ndarray
    static: bool


def find_shots(
    frames: np.ndarray,
    masks: np.ndarray,
    settings: PropagationSettings,
    report: Callable[[float], None] = lambda _share: None,
) -> list[Shot]:
    """Follow the camera through a clip; the chain breaks at cuts and where the motion cannot be told.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        masks: (T, H, W) bool, True where the object is; nothing under it is used.
        report: called with the share done, 0..1.
    """
    shots: list[Shot] = []
    steps: list[CameraStep] = []
    start = 0
    views = (_View.of(frame, mask, settings) for frame, mask in zip(frames, masks, strict=True))
    for index, step in enumerate(_steps(views, settings), start=1):
        if step is None:
            shots.append(_shot(frames, masks, start, index, steps, settings))
            start, steps = index, []
        else:
            steps.append(step)
        report((index + 1) / len(frames))
    shots.append(_shot(frames, masks, start, len(frames), steps, settings))
    return shots


@dataclass(frozen=True)
class _View:
    """A frame as the camera estimation sees it."""

    gray: np.ndarray  # (h, w) uint8, perhaps smaller than the frame
    colour: np.ndarray  # (h/4, w/4, 3) float32
    known: np.ndarray  # (h, w) uint8, 255 where the object is not near
    to_frame: np.ndarray  # (3, 3), pixels of `gray` to pixels of the frame

    @staticmethod
    def of(frame: np.ndarray, mask: np.ndarray, settings: PropagationSettings) -> "_View":
        height, width = mask.shape
        scale = min(1.0, settings.camera_side / max(height, width))
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = frame if scale == 1 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        hole = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        known = np.where(cv2.dilate(hole, np.ones((11, 11), np.uint8)) > 0, 0, 255).astype(np.uint8)
        quarter = (max(size[0] // 4, 1), max(size[1] // 4, 1))
        colour = cv2.resize(small, quarter, interpolation=cv2.INTER_AREA).astype(np.float32)
        x_scale, y_scale = width / size[0], height / size[1]
        to_frame = np.array([[x_scale, 0, (x_scale - 1) / 2], [0, y_scale, (y_scale - 1) / 2], [0, 0, 1]])
        return _View(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), colour, known, to_frame)


def _steps(views: Iterator[_View], settings: PropagationSettings) -> Iterator[CameraStep | None]:
    previous = next(views)
    for view in views:
        yield _step(previous, view, settings)
        previous = view


def _step(view: _View, following: _View, settings: PropagationSettings) -> CameraStep | None:
    corners, moved, found = _track(view, following, settings)
    if found == 0:
        return _flat_step(view, following)
    step = _step_of(corners, moved, found, view, following, settings)
    if step is None:
        corners, moved, found = _track(view, following, settings, _phase_shift(view, following))
        step = _step_of(corners, moved, found, view, following, settings)
    return step


def _step_of(
    corners: np.ndarray, moved: np.ndarray, found: int, view: _View, following: _View, settings: PropagationSettings
) -> CameraStep | None:
    """The camera's step from tracked corners; None where too few agree or the aligned pictures are not alike."""
    still = len(corners) >= settings.min_inliers and _median_motion(corners, moved) < settings.still_px
    homography = _fit(corners, moved, found, settings)
    if homography is None:
        return None
    return _judged(homography, still, view, following, settings)


def _track(
    view: _View, following: _View, settings: PropagationSettings, start: np.ndarray = NO_MOTION
) -> tuple[np.ndarray, np.ndarray, int]:
    """Corners that come back to where they started when tracked there and back, and how many corners there were.

    start: (2,) the motion (x, y) to begin with.
    """
    distance = max(4.0, np.sqrt(view.gray.size / settings.corners) * 0.5)
    corners = cv2.goodFeaturesToTrack(view.gray, settings.corners, 0.004, distance, mask=view.known, blockSize=5)
    none = np.empty((0, 2), np.float32)
    if corners is None:
        return none, none, 0
    tracker = {"winSize": LK_WINDOW, "maxLevel": 4, "criteria": LK_STOP, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    moved, ahead, _ = cv2.calcOpticalFlowPyrLK(view.gray, following.gray, corners, corners + start, **tracker)
    back, behind, _ = cv2.calcOpticalFlowPyrLK(following.gray, view.gray, moved, moved - start, **tracker)
    good = (ahead[:, 0] > 0) & (behind[:, 0] > 0) & (np.abs(back - corners).max(axis=(1, 2)) < 0.5)
    landing = np.rint(moved[:, 0]).astype(int)
    height, width = view.gray.shape
    good &= (landing >= 0).all(axis=1) & (landing[:, 0] < width) & (landing[:, 1] < height)
    good[good] = following.known[landing[good, 1], landing[good, 0]] > 0
    return corners[good, 0], moved[good, 0], len(corners)


def _median_motion(corners: np.ndarray, moved: np.ndarray) -> float:
    return float(np.median(np.hypot(*(moved - corners).T)))


def _fit(corners: np.ndarray, moved: np.ndarray, found: int, settings: PropagationSettings) -> np.ndarray | None:
    """The homography that most corners agree on, or None where too few do."""
    enough = max(settings.min_inliers, settings.min_inlier_share * found)
    if len(corners) < enough:
        return None
    homography, inliers = cv2.findHomography(
        corners, moved, cv2.USAC_MAGSAC, settings.inlier_px, maxIters=4000, confidence=0.9999
    )
    if homography is None or inliers.sum() < enough:
        return None
    inside = inliers[:, 0] > 0
    refined, _ = cv2.findHomography(corners[inside], moved[inside], 0)
    return refined if refined is not None else homography


def _phase_shift(view: _View, following: _View) -> np.ndarray:
    """(2,) the shift (x, y) of the whole picture, for motions that corner tracking cannot bridge."""
    pair = []
    for each in (view, following):
        gray = each.gray.astype(np.float32)
        known = each.known > 0
        pair.append(np.where(known, gray, gray[known].mean() if known.any() else 0))
    window = cv2.createHanningWindow(pair[0].shape[::-1], cv2.CV_32F)
    return np.array(cv2.phaseCorrelate(pair[0], pair[1], window)[0], np.float32)


def _judged(
    homography: np.ndarray, still: bool, view: _View, following: _View, settings: PropagationSettings
) -> CameraStep | None:
    """The step if the aligned pictures are alike, else None."""
    size = view.gray.shape[::-1]
    inverse = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    gray = cv2.warpPerspective(following.gray, homography, size, flags=inverse)
    known = (cv2.warpPerspective(following.known, homography, size, flags=inverse) == 255) & (view.known == 255)
    if known.mean() < 0.04:
        return None
    ours = cv2.GaussianBlur(view.gray, (0, 0), 1.5)[known].astype(np.float32)
    theirs = cv2.GaussianBlur(gray, (0, 0), 1.5)[known].astype(np.float32)
    spread = float(ours.std() * theirs.std())
    if (
        spread > 1
        and float(((ours - ours.mean()) * (theirs - theirs.mean())).mean()) / spread < settings.min_correlation
    ):
        return None
    full = following.to_frame @ homography @ np.linalg.inv(view.to_frame)
    return CameraStep(full / full[2, 2], _gain(homography, view, following, known), still)


def _flat_step(view: _View, following: _View) -> CameraStep | None:
    """Frames without any corner: unmoved if they are equal, else nothing can be told."""
    known = (view.known > 0) & (following.known > 0)
    if not known.any() or cv2.absdiff(view.gray, following.gray)[known].mean() > FLAT_DIFFERENCE:
        return None
    return CameraStep(np.eye(3), np.ones(3), True)


def _gain(homography: np.ndarray, view: _View, following: _View, known: np.ndarray) -> np.ndarray:
    """(3,) how much brighter the following frame is, from aligned pixels that are neither dark nor saturated."""
    size = view.colour.shape[1::-1]
    x_scale, y_scale = view.gray.shape[1] / size[0], view.gray.shape[0] / size[1]
    up = np.array([[x_scale, 0, (x_scale - 1) / 2], [0, y_scale, (y_scale - 1) / 2], [0, 0, 1]])
    small = np.linalg.inv(up) @ homography @ up
    moved = cv2.warpPerspective(following.colour, small, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    usable = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
    usable &= ((view.colour > 16) & (view.colour < 240) & (moved > 16) & (moved < 240)).all(axis=2)
    if usable.sum() < 64:
        return np.ones(3)
    ours, theirs = view.colour[usable], moved[usable]
    ratio = np.median(theirs / ours, axis=0)
    close = (np.abs(theirs - ratio * ours) < 10).all(axis=1)
    if close.sum() < 64:
        return ratio.astype(np.float64)
    return theirs[close].sum(axis=0, dtype=np.float64) / ours[close].sum(axis=0, dtype=np.float64)


def _shot(
    frames: np.ndarray, masks: np.ndarray, start: int, stop: int, steps: list[CameraStep], settings: PropagationSettings
) -> Shot:
    gains = np.cumprod([np.ones(3), *(step.gain for step in steps)], axis=0)
    if np.abs(np.log(gains)).max() < settings.exposure_floor:
        gains = np.ones_like(gains)
    static = bool(steps) and all(step.still for step in steps)
    static = static and _still_over(frames, masks, start, stop, settings)
    if static:
        steps = [replace(step, homography=np.eye(3)) for step in steps]
    return Shot(start, stop, tuple(steps), gains, static)


def _still_over(frames: np.ndarray, masks: np.ndarray, start: int, stop: int, settings: PropagationSettings) -> bool:
    """Whether far apart frames agree too: a creeping camera moves little from frame to frame, but it adds up."""
    first = _View.of(frames[start], masks[start], settings)
    for index in {(start + stop) // 2, stop - 1}:
        corners, moved, _ = _track(first, _View.of(frames[index], masks[index], settings), settings)
        if len(corners) < settings.min_inliers or _median_motion(corners, moved) > 3 * settings.still_px:
            return False
    return True
