"""Reading and widening object masks.

Lossless masks (PNG, BMP, ...) mark the object with any non-zero value: palette index, gray value or colour channel.
Lossy ones (JPEG, video) mark it with gray above 127. Which mask belongs to which frame: see `lib.video.pairing`.
Needs only numpy and Pillow, and PyAV for video masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.clip import VIDEO_SUFFIXES
from lib.video.images import FRAME_SUFFIXES, held_instead, list_folder, list_images
from lib.video.mask_grays import GrayTally, MaskRules
from lib.video.mask_headers import is_animation
from lib.video.mask_pictures import PictureSource
from lib.video.mask_videos import VideoSource
from lib.video.pairing import Pairing
from lib.video.suffixes import some_suffixes
from lib.video.timeline import Timeline

_MOVING_PICTURES = (".gif", ".apng")  # still pictures as often as videos
_ASPECT_TOLERANCE = 0.01
_Source = PictureSource | VideoSource


@dataclass(frozen=True)
class MaskTrack:
    """Masks of a clip, one for each frame wanted."""

    masks: np.ndarray  # (T, H, W) bool, True = object
    notes: tuple[Note, ...] = ()  # what is in doubt, and what was adapted
    plain: bool = True  # masks are for frames in order or by name: as many as there are, so many frames have one


def read_masks(
    path: Path,
    clip: Timeline,
    size: tuple[int, int],
    *,
    positions: Sequence[int] | int,
    limit: int = -1,
    threshold: int | None = None,
    object_ids: tuple[int, ...] = (),
    invert: bool = False,
    sample_aspect: Fraction = Fraction(1),
) -> MaskTrack:
    """Masks for some frames of a clip whose frames are stored at `size` (H, W).

    Args:
        path: a picture (holds for all frames), a folder of pictures, a folder of such folders (their union), a video.
        clip: the whole clip's frames, which masks are paired with whatever `positions` says.
        positions: the frames wanted, counted from 0; a number means the first so many.
        limit: how many of the clip's first frames are worked on, -1 for all; there may be masks for these alone.
        threshold: object is gray > threshold, whatever the file's kind.
        object_ids: keep only these palette indices or gray values of lossless masks; empty keeps all.
        invert: masks show what is not object. Frames without a mask have no object all the same.
        sample_aspect: width / height of a stored pixel; masks may be as large as the clip is shown.

    Raises:
        InputError: nothing readable there, masks and frames that cannot be paired, another aspect ratio, lossy masks
            that need a threshold, no object in any of the frames, or none of `object_ids`.
        ValueError: no position, or one outside the clip.
    """
    frames = _frames(positions, clip)
    rules = _rules(threshold, object_ids, invert)
    sizes = _MaskSizes(size, sample_aspect)
    masks = np.zeros((len(frames), *size), bool)
    notes: list[Note] = []
    tally, found_ids, plain = GrayTally(), set[int](), True
    sources = _sources(path, rules)
    for source in sources:
        pairing = source.pair(clip, limit)
        plain = plain and pairing.is_plain(limit)
        _add_source(masks, source, pairing, frames, sizes, invert)
        notes += _named(source, sources, source.notes(pairing, frames, clip))
        tally.counts += source.tally.counts
        found_ids |= source.found_ids
    _check_ids(path, rules, found_ids)
    if not masks.any():
        raise _no_object(path, frames, rules, tally, notes)
    return MaskTrack(masks, tuple(dict.fromkeys([*notes, *sizes.notes])), plain)


def mask_reading(
    path: Path,
    clip: Timeline,
    *,
    limit: int = -1,
    threshold: int | None,
    object_ids: tuple[int, ...],
    sample_aspect: Fraction,
    size: tuple[int, int],
) -> dict[str, Any]:
    """What of the masks is read by other rules than those that results were once cached under, for cache keys.

    Empty for plain masks: a mask for each frame, upright, object by value. Headers are read, pixels only of pictures
    with alpha or a bright palette index 0.

    Raises:
        InputError: masks cannot be found, opened or paired.
    """
    reading: dict[str, Any] = {}
    sizes = _MaskSizes(size, sample_aspect)
    for source in _sources(path, _rules(threshold, object_ids, invert=False)):
        for key, value in source.reading(source.pair(clip, limit), limit).items():
            known = reading.setdefault(key, value)
            if known != value:
                reading[key] = "+".join(sorted({*str(known).split("+"), value}))
        if any(map(sizes.display_only, source.sizes())):
            reading["size"] = "display"
    return reading


def masks_at_a_glance(
    path: Path,
    clip: Timeline,
    size: tuple[int, int],
    *,
    positions: Sequence[int],
    limit: int = -1,
    threshold: int | None,
    object_ids: tuple[int, ...],
    sample_aspect: Fraction,
) -> tuple[tuple[Note, ...], np.ndarray | None]:
    """How masks are paired with the frames at `positions`, and the first of them, (H, W) bool; as of `read_masks`.

    Raises:
        InputError: masks cannot be found, opened or paired, or the first one has another aspect ratio.
    """
    notes: list[Note] = []
    first: np.ndarray | None = None
    sizes = _MaskSizes(size, sample_aspect)
    sources = _sources(path, _rules(threshold, object_ids, invert=False))
    for source in sources:
        pairing = source.pair(clip, limit)
        notes += _named(source, sources, source.pairing_notes(pairing, positions, clip))
        index = next((pairing.masks[frame] for frame in positions if pairing.masks[frame] is not None), None)
        for _, file, mask in source.masks([] if index is None or first is not None else [index]):
            first = sizes.fit(mask, file)
    return tuple(dict.fromkeys(notes)), first


def count_masks(path: Path) -> int:
    """How many masks there are; of several objects, for the first.

    Raises:
        InputError: masks cannot be found or opened.
    """
    return _sources(path, MaskRules())[0].count


def mask_size(path: Path) -> tuple[int, int]:
    """(H, W) of the first mask as it is shown.

    Raises:
        InputError: as `count_masks`.
    """
    return _sources(path, MaskRules())[0].first_size()


def dilate(masks: np.ndarray, iterations: int) -> np.ndarray:
    """Widen (T, H, W) bool masks by `iterations` pixels in a square, as that many 3x3 dilations do; a new array."""
    widened = masks.copy()
    for mask in widened:
        if mask.any():
            _widen(mask, iterations)
            _widen(mask.T, iterations)
    return widened


def _widen(mask: np.ndarray, radius: int) -> None:
    """Dilate along the first axis in place, in steps that double: even at the border a run is c+1 pixels long."""
    covered = 0
    while covered < min(radius, len(mask)):
        step = min(covered + 1, radius - covered)
        before = mask.copy()
        mask[step:] |= before[:-step]
        mask[:-step] |= before[step:]
        covered += step


class _MaskSizes:
    """Brings masks to the size at which a clip is stored.

    Attributes:
        notes: what was resized.
    """

    def __init__(self, size: tuple[int, int], sample_aspect: Fraction) -> None:
        """`size`: (H, W) of the stored frames."""
        height, width = size
        self.size = size
        self.display = height, round(width * sample_aspect)
        self.notes: list[Note] = []

    def display_only(self, found: tuple[int, int]) -> bool:
        """Whether (H, W) masks fit the clip as it is shown, but not as it is stored."""
        return not _same_shape(found, self.size) and (found == self.display or _same_shape(found, self.display))

    def fit(self, mask: np.ndarray, path: Path) -> np.ndarray:
        """A (h, w) bool mask at the clip's stored size.

        Raises:
            InputError: it has another aspect ratio than the clip, both as stored and as shown.
        """
        height, width = self.size
        shape = mask.shape[0], mask.shape[1]
        if shape == self.size:
            return mask
        found, stored = f"{shape[1]}x{shape[0]}", f"{width}x{height}"
        if not _same_shape(shape, self.size) and not self.display_only(shape):
            shown = f" (shown as {self.display[1]}x{self.display[0]})" if self.display != self.size else ""
            raise InputError(
                f"{path}: mask is {found}, the video is {stored}{shown}: aspect ratios differ; "
                "expected masks made for this video, or a resized copy of them"
            )
        if shape == self.display:
            note = Note(f"masks of {found}, as the video is shown, brought to the {stored} that it is stored at")
        else:
            note = input_note(f"masks of {found} resized to {stored}")
        self.notes.append(note)
        return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return abs(first[1] * second[0] / (first[0] * second[1]) - 1) <= _ASPECT_TOLERANCE


def _frames(positions: Sequence[int] | int, clip: Timeline) -> tuple[int, ...]:
    frames = tuple(range(positions)) if isinstance(positions, int) else tuple(map(int, positions))
    if not frames or min(frames) < 0 or max(frames) >= clip.count:
        raise ValueError(f"masks are wanted for frames {positions}; expected some of the clip's {clip.count} frames")
    return frames


def _rules(threshold: int | None, object_ids: tuple[int, ...], invert: bool) -> MaskRules:
    if threshold is not None and object_ids:
        raise InputError("a mask threshold and object ids exclude each other; give one of them")
    return MaskRules(threshold, frozenset(object_ids), invert)


def _sources(path: Path, rules: MaskRules) -> tuple[_Source, ...]:
    """Videos or pictures whose masks are united."""
    if path.is_dir():
        return _folder_sources(path, rules)
    if not path.exists():
        raise InputError(f"{path}: not found; expected a mask picture, a folder of masks or a mask video")
    suffix = path.suffix.lower()
    if suffix in FRAME_SUFFIXES or (suffix in _MOVING_PICTURES and not is_animation(path)):
        return (PictureSource(path, (path,), rules),)
    if suffix in VIDEO_SUFFIXES:
        return (VideoSource(path, rules),)
    raise InputError(
        f"{path}: unknown kind of mask {path.suffix!r}; expected a folder of masks, a picture "
        f"({some_suffixes(FRAME_SUFFIXES)}) or a video ({some_suffixes(VIDEO_SUFFIXES)})"
    )


def _folder_sources(folder: Path, rules: MaskRules) -> tuple[_Source, ...]:
    """The folder's own pictures, else those of each folder in it."""
    if images := _mask_images(folder):
        return (PictureSource(folder, images, rules),)
    below = ((item, _mask_images(item)) for item in list_folder(folder) if item.is_dir())
    found = tuple(PictureSource(item, images, rules) for item, images in below if images)
    if not found:
        expected = f"expected pictures ending in {some_suffixes(FRAME_SUFFIXES)}"
        raise InputError(f"{folder}: found no masks, {expected}{held_instead(folder)}")
    return found


def _mask_images(folder: Path) -> tuple[Path, ...]:
    """Pictures in natural order; GIF files, which are videos elsewhere, where there are no others."""
    moving = (item for item in list_folder(folder) if item.suffix.lower() in _MOVING_PICTURES and item.is_file())
    return list_images(folder) or tuple(moving)


def _named(source: _Source, sources: Sequence[_Source], notes: Iterable[Note]) -> Iterator[Note]:
    """Notes that say which of several objects they are about."""
    name = f"{source.path.name}: " if len(sources) > 1 else ""
    return (Note(name + note.text, note.kind) for note in notes)


def _add_source(
    masks: np.ndarray, source: _Source, pairing: Pairing, frames: Sequence[int], sizes: _MaskSizes, invert: bool
) -> None:
    """Unite one source's masks with `masks` in place, each read once."""
    rows: dict[int, list[int]] = {}
    for row, frame in enumerate(frames):
        index = pairing.masks[frame]
        if index is not None:
            rows.setdefault(index, []).append(row)
    if not rows:
        return
    for index, path, found in source.masks(rows):
        mask = sizes.fit(~found if invert else found, path)
        for row in rows[index]:
            masks[row] |= mask


def _check_ids(path: Path, rules: MaskRules, found: set[int]) -> None:
    """Refuse ids of which none occurs."""
    if rules.object_ids and not rules.object_ids & found:
        raise InputError(
            f"{path}: none of the object ids {_listed(rules.object_ids)} occurs; "
            f"found {_listed(found) or 'no object at all'}; choose among those"
        )


def _no_object(path: Path, frames: Sequence[int], rules: MaskRules, tally: GrayTally, notes: list[Note]) -> InputError:
    which = f"the first {len(frames)}" if frames == tuple(range(len(frames))) else f"{len(frames)}"
    if rules.threshold is not None:
        rule = f"gray values above {rules.threshold}"
    elif tally.counts.any():
        rule = "gray values above 127 (lossy mask)"
    else:
        rule = "values above 0 (PNG)"
    doubts = f" ({'; '.join(dict.fromkeys(note.text for note in notes))})" if notes else ""
    return InputError(
        f"{path}: no object in the masks of {which} frames{doubts}, expected {rule}{tally.grays()}; "
        "check the mask, or choose the values that are object with --mask_threshold"
    )


def _listed(ids: set[int] | frozenset[int]) -> str:
    return ", ".join(map(str, sorted(ids)))
