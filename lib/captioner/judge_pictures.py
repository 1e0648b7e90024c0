"""What a judge is shown: a few frames before and after the removal, cut around the hole, the hole outlined.

Runs in the main environment, so that the caption environment needs no video library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lib.captioner.judge_job import JudgedPictures
from lib.captioner.sources import count_frames
from lib.errors import InputError
from lib.mask_tracks import read_mask_track
from lib.settings import Processing
from lib.video.clip import iter_frames, probe_clip, worked_positions
from lib.video.masks import dilate
from lib.video.sizes import fit_longer_side, processing_size, resize_frame, resize_mask, resize_masks

OUTLINE = (255, 0, 255)  # RGB: rare in nature
_GAP, _THICKNESS = 2, 2  # pixels as shown: the line keeps off the hole's rim, where remainders are
_CONTEXT = 0.6  # of the hole's longer side, on each side of it
_LEAST_CONTEXT = 24  # pixels
_SMALLEST, _LARGEST = 448, 1024  # pixels of the longer side as shown
_BETWEEN = 8  # white pixels between both in the picture for people
SHOWN_FOLDER = "judged"


@dataclass(frozen=True)
class JudgedClip:
    """A result with what it was made from: video files or folders of frames."""

    source: Path
    masks: Path
    result: Path
    processing: Processing  # of the removal


def judged_frames(areas: Sequence[int] | np.ndarray, count: int) -> tuple[int, ...]:
    """Up to `count` frames where the hole is large, spread over the clip; ascending.

    The clip is cut into `count` spans around evenly spaced moments from its begin to its end (three: the first quarter,
    the half in the middle, the last quarter). Of each span the frame with the largest hole is taken, of several equal
    ones the middle one; a span without any hole gives none.

    Args:
        areas: (T,) pixels of the hole in each frame.
        count: at least 1.
    """
    areas, last = np.asarray(areas), len(areas)
    inner = [round((index + 0.5) * last / (count - 1)) for index in range(count - 1)]
    found = []
    for begin, end in zip([0, *inner], [*inner, last], strict=True):
        span = areas[begin:end]
        if span.any():
            largest = np.flatnonzero(span == span.max())
            found.append(begin + int(largest[(len(largest) - 1) // 2]))
    return tuple(found)


def prepare_judged_pictures(clip: JudgedClip, count: int, folder: Path, beside: Path) -> tuple[JudgedPictures, ...]:
    """Write what the judge is to see into `folder`, and the same for people into `beside`'s folder of judged frames.

    Args:
        count: frames of the clip, at least 1.
        beside: the result's folder.

    Raises:
        InputError: a file is missing, unreadable or too short, or the masks are empty.
    """
    info = probe_clip(clip.result)
    size, masks = (info.height, info.width), _masks(clip)
    indices = judged_frames(masks.sum(axis=(1, 2)), count)
    before, after = (
        _pick(path, indices, clip, deinterlace=deinterlace)
        for path, deinterlace in ((clip.source, clip.processing.deinterlace), (clip.result, False))
    )
    for directory in (folder, beside / SHOWN_FOLDER):
        directory.mkdir(parents=True, exist_ok=True)
    for old in (beside / SHOWN_FOLDER).glob("*.jpg"):
        old.unlink()
    made = []
    for index, source, result in zip(indices, before, after, strict=True):
        hole = resize_mask(dilate(masks[index][None], clip.processing.mask_dilation_iter)[0], size)
        pair = outlined_pair(resize_frame(source, size), result, hole)
        made.append(_save(pair, index, folder, beside))
    return tuple(made)


def outlined_pair(source: np.ndarray, result: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of both (H, W, 3) uint8 frames around the (H, W) bool hole, with a thin line around the hole.

    Both have one size, its longer side 448..1024 pixels where the shape allows; no pixel of the hole is drawn over.
    """
    box = _around(hole)
    height, width = hole[box].shape
    scale = min(max(1.0, _SMALLEST / max(height, width)), _LARGEST / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    shown = resize_mask(hole[box], size)[None]
    line = (dilate(shown, _GAP + _THICKNESS) & ~dilate(shown, _GAP))[0]
    pictures = []
    for frame in (source, result):
        picture = resize_frame(np.ascontiguousarray(frame[box]), size).copy()
        picture[line] = OUTLINE
        pictures.append(picture)
    return pictures[0], pictures[1]


def _masks(clip: JudgedClip) -> np.ndarray:
    """(T, h, w) bool masks at the removal's processing size, not yet dilated."""
    info, work = probe_clip(clip.source), clip.processing
    count = count_frames(clip.result)
    positions = worked_positions(info, work.video_length, count)
    if len(positions) < count:
        raise InputError(
            f"{clip.source}: holds no frame {len(positions)}; "
            f"expected as many frames as its result {clip.result.name} has"
        )
    track = read_mask_track(info, clip.masks, work, positions)
    size = fit_longer_side(processing_size(info.size, work.height, work.width), work.max_img_size)
    return resize_masks(track.masks, size)


def _pick(path: Path, indices: Sequence[int], clip: JudgedClip, *, deinterlace: bool) -> list[np.ndarray]:
    wanted, frames = set(indices), iter_frames(path, max(indices) + 1, deinterlace=deinterlace)
    found = [frame for index, frame in enumerate(frames) if index in wanted]
    if len(found) < len(indices):
        raise InputError(
            f"{path}: holds no frame {max(indices)}; expected as many frames as its result {clip.result.name} has"
        )
    return found


def _around(hole: np.ndarray) -> tuple[slice, slice]:
    """The hole with its surroundings; never an empty part."""
    if not hole.any():  # scaled away
        return slice(0, hole.shape[0]), slice(0, hole.shape[1])
    spans = [np.flatnonzero(hole.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    margin = max(_LEAST_CONTEXT, round(_CONTEXT * max(last - first + 1 for first, last in spans)))
    rows, columns = (slice(max(0, int(first) - margin), int(last) + 1 + margin) for first, last in spans)
    return rows, columns


def _save(pair: tuple[np.ndarray, np.ndarray], index: int, folder: Path, beside: Path) -> JudgedPictures:
    paths = []
    for kind, picture in zip(("before", "after"), pair, strict=True):
        paths.append(folder / f"{kind}_{index:06d}.png")
        Image.fromarray(picture).save(paths[-1], compress_level=1)  # read once and deleted
    white = np.full((len(pair[0]), _BETWEEN, 3), 255, np.uint8)
    shown = f"{SHOWN_FOLDER}/{index:06d}.jpg"
    Image.fromarray(np.concatenate([pair[0], white, pair[1]], axis=1)).save(beside / shown, quality=88)
    return JudgedPictures(index, str(paths[0]), str(paths[1]), shown)
