"""Reading and widening object masks.

Lossless masks (PNG) mark the object with any non-zero value: palette index, gray value or colour channel.
Lossy ones (JPEG, video) mark it with gray above 127. Needs only numpy and Pillow, and PyAV for video masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from lib.errors import InputError
from lib.video.clip import VIDEO_SUFFIXES
from lib.video.decode import decode_frames
from lib.video.images import FRAME_SUFFIXES, list_folder, list_images, open_image

LOSSY_THRESHOLD = 127
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class MaskTrack:
    """Masks of a clip, one for each frame."""

    masks: np.ndarray  # (T, H, W) bool, True = object
    notes: tuple[str, ...] = ()  # what was adapted, for the user


def read_masks(
    path: Path,
    frame_count: int,
    size: tuple[int, int],
    *,
    threshold: int | None = None,
    object_ids: tuple[int, ...] = (),
    frame_names: Sequence[str] = (),
) -> MaskTrack:
    """Masks for the first `frame_count` frames of a clip of `size` (H, W).

    Args:
        path: a picture (holds for all frames), a folder of pictures, a folder of such folders (their union), a video.
        threshold: object is gray > threshold, whatever the file's kind.
        object_ids: keep only these palette indices or gray values of PNG masks; empty keeps all.
        frame_names: stems of the clip's frame files. If every mask's stem is among them, masks belong to frames by
            name and a frame without one takes its predecessor's; otherwise masks belong to frames in order.

    Raises:
        InputError: nothing readable there, another aspect ratio, no object in any frame, or none of `object_ids`.
    """
    if threshold is not None and object_ids:
        raise InputError("a mask threshold and object ids exclude each other; give one of them")
    reader = _Reader(size, threshold, frozenset(object_ids))
    masks = np.zeros((frame_count, *size), bool)
    notes: list[str] = []
    for source in _sources(path):
        notes += _add_source(masks, source, reader, frame_names)
    reader.check_ids(path)
    if not masks.any():
        raise InputError(
            f"{path}: no object in the masks of the first {frame_count} frames, expected {reader.rule}; "
            "check the mask, or lower the mask threshold"
        )
    return MaskTrack(masks, tuple(dict.fromkeys(notes + reader.notes)))


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


class _Reader:
    """Turns pictures into masks of one size and collects what the user should know."""

    def __init__(self, size: tuple[int, int], threshold: int | None, object_ids: frozenset[int]) -> None:
        self.size = size
        self.threshold = threshold
        self.object_ids = object_ids
        self.found_ids: set[int] = set()
        self.notes: list[str] = []
        self.rule = "values above 0 (PNG)" if threshold is None else f"gray values above {threshold}"

    def image(self, path: Path) -> np.ndarray:
        """The (H, W) bool mask of one picture file."""
        lossless = path.suffix.lower() == ".png"
        with open_image(path) as image:
            if self.object_ids:
                return self._fit(self._pick(image, path, lossless), path)
            if self.threshold is None and lossless:
                return self._fit(_non_zero(image), path)
            return self.gray(_gray(image), path, lossless)

    def gray(self, gray: np.ndarray, path: Path, lossless: bool = False) -> np.ndarray:
        """The (H, W) bool mask of gray values."""
        if self.object_ids and not lossless:
            raise self._lossy_ids(path)
        if self.threshold is None:
            self.rule = f"gray values above {LOSSY_THRESHOLD} (lossy mask)"
        return self._fit(gray > (LOSSY_THRESHOLD if self.threshold is None else self.threshold), path)

    def check_ids(self, path: Path) -> None:
        """Refuse ids of which none occurs."""
        if self.object_ids and not self.object_ids & self.found_ids:
            raise InputError(
                f"{path}: none of the object ids {_listed(self.object_ids)} occurs; "
                f"found {_listed(self.found_ids) or 'no object at all'}; choose among those"
            )

    def _pick(self, image: Image.Image, path: Path, lossless: bool) -> np.ndarray:
        if not lossless:
            raise self._lossy_ids(path)
        if image.mode in ("RGB", "RGBA"):
            raise InputError(f"{path}: object ids need a palette or gray PNG, found {image.mode}; leave the ids out")
        values = np.asarray(image if image.mode != "LA" else image.getchannel(0))
        self.found_ids |= {int(value) for value in np.unique(values) if value}
        return np.isin(values, sorted(self.object_ids)) & (values != 0)

    def _lossy_ids(self, path: Path) -> InputError:
        return InputError(
            f"{path}: object ids need lossless masks (palette or gray PNG), found {path.suffix}; leave the ids out"
        )

    def _fit(self, mask: np.ndarray, path: Path) -> np.ndarray:
        height, width = self.size
        if mask.shape == self.size:
            return mask
        found = f"{mask.shape[1]}x{mask.shape[0]}"
        if abs(mask.shape[1] * height / (mask.shape[0] * width) - 1) > _ASPECT_TOLERANCE:
            raise InputError(
                f"{path}: mask is {found}, the video is {width}x{height}: aspect ratios differ; "
                "expected masks made for this video, or a resized copy of them"
            )
        self.notes.append(f"masks of {found} resized to {width}x{height}")
        return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _non_zero(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        values = values[..., :-1]
    return values != 0 if values.ndim == 2 else (values != 0).any(axis=-1)


def _gray(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bit
        return np.asarray(image) >> 8
    return np.asarray(image.convert("L"))


def _listed(ids: set[int] | frozenset[int]) -> str:
    return ", ".join(map(str, sorted(ids)))


def _sources(path: Path) -> tuple[Path | tuple[Path, ...], ...]:
    """Video files, or tuples of pictures, that are united."""
    if path.is_dir():
        if images := list_images(path):
            return (images,)
        found = tuple(images for item in list_folder(path) if item.is_dir() and (images := list_images(item)))
        if not found:
            raise InputError(f"{path}: found no masks, expected pictures ending in {', '.join(FRAME_SUFFIXES)}")
        return found
    if not path.exists():
        raise InputError(f"{path}: not found; expected a mask picture, a folder of masks or a mask video")
    suffix = path.suffix.lower()
    if suffix in FRAME_SUFFIXES:
        return ((path,),)
    if suffix in VIDEO_SUFFIXES:
        return (path,)
    raise InputError(
        f"{path}: unknown kind of mask {path.suffix!r}; "
        f"expected a folder of masks or one of {', '.join(FRAME_SUFFIXES + VIDEO_SUFFIXES)}"
    )


def _add_source(masks: np.ndarray, source: Path | tuple[Path, ...], reader: _Reader, names: Sequence[str]) -> list[str]:
    """Unite one source's masks with `masks` in place and say what was adapted."""
    if isinstance(source, Path):
        return _add_in_order(masks, (reader.gray(gray, source) for gray in decode_frames(source, "gray")), None)
    if len(source) > 1 and {image.stem for image in source} <= set(names):
        return _add_by_name(masks, source, reader.image, names)
    return _add_in_order(masks, map(reader.image, source), len(source))


def _add_in_order(masks: np.ndarray, found: Iterator[np.ndarray], count: int | None) -> list[str]:
    """`count`: number of masks if known; one lone picture is a static mask, without a note."""
    last, used = None, 0
    for last in islice(found, len(masks)):
        masks[used] |= last
        used += 1
    if last is not None:
        masks[used:] |= last
    if used < len(masks):
        return [] if count == 1 else [f"{used} masks for {len(masks)} frames: the last one repeated"]
    surplus = next(found, None) is not None if count is None else count > used
    return [f"more masks than the {len(masks)} frames: the rest left out"] if surplus else []


def _add_by_name(
    masks: np.ndarray, images: tuple[Path, ...], read: Callable[[Path], np.ndarray], names: Sequence[str]
) -> list[str]:
    by_name = {image.stem: image for image in images}
    own = [by_name.get(name) for name in names[: len(masks)]]
    own += [None] * (len(masks) - len(own))
    current = next((image for image in own if image), images[0])
    mask = read(current)
    for index, image in enumerate(own):
        if image and image != current:
            current, mask = image, read(image)
        masks[index] |= mask
    missing = own.count(None)
    return [f"{missing} of {len(masks)} frames have no mask of their own: the one before is used"] if missing else []
