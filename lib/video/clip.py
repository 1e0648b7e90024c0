"""Reading clips: folders of frames and video files, each frame decoded once.

Needs only numpy and Pillow, and PyAV when a video file is read, so it also runs in the caption environment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lib.errors import InputError
from lib.video.decode import DEFAULT_FPS, decode_frames, frame_rate, open_video, raw_frames, to_array
from lib.video.images import FRAME_SUFFIXES, list_images, open_image

__all__ = [
    "FRAME_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Clip",
    "ClipInfo",
    "frame_names",
    "iter_frames",
    "probe_clip",
    "read_clip",
    "read_clip_frame",
]

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".webm", ".mkv")
_GROWTH = 64  # frames
_MOST_PREALLOCATED = 100_000  # frames; a container may claim any number


@dataclass(frozen=True)
class Clip:
    """A decoded clip."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    fps: Fraction
    path: Path

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.frames.shape[1], self.frames.shape[2]


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip without decoding it."""

    path: Path
    height: int
    width: int
    frame_count: int | None  # None where the container does not say
    fps: Fraction
    has_audio: bool


def probe_clip(path: Path) -> ClipInfo:
    """Size, length and rate of a video file or a folder of frames.

    Raises:
        InputError: the path is missing, of an unknown kind, empty, or its first frame cannot be read.
    """
    if _is_folder(path):
        images = _frame_files(path)
        height, width = _read_image(images[0]).shape[:2]
        return ClipInfo(path, height, width, len(images), DEFAULT_FPS, has_audio=False)
    with open_video(path) as (container, stream):
        count, fps, has_audio = stream.frames or None, frame_rate(stream), bool(container.streams.audio)
    height, width = read_clip_frame(path, 0).shape[:2]
    return ClipInfo(path, height, width, count, fps, has_audio)


def read_clip(path: Path, limit: int = -1) -> Clip:
    """The first `limit` frames (-1: all) of a video file or a folder of frames; folders play at 24 fps.

    Raises:
        InputError: see `iter_frames`.
    """
    if _is_folder(path):
        count, fps = len(_frame_files(path)), DEFAULT_FPS
    else:
        with open_video(path) as (_, stream):
            count, fps = min(stream.frames, _MOST_PREALLOCATED), frame_rate(stream)
    if limit >= 0:
        count = min(count, limit)
    return Clip(_gather(iter_frames(path, limit), count), fps, path)


def read_clip_frame(path: Path, index: int) -> np.ndarray:
    """Frame `index` (H, W, 3) uint8 RGB, clamped to the first and last one.

    Raises:
        InputError: see `iter_frames`.
    """
    index = max(index, 0)
    if _is_folder(path):
        images = _frame_files(path)
        return _read_image(images[min(index, len(images) - 1)])
    passed = deque(islice(raw_frames(path), index + 1), maxlen=1)
    return to_array(passed[0])


def iter_frames(path: Path, limit: int = -1) -> Iterator[np.ndarray]:
    """The first `limit` frames (-1: all) one by one, (H, W, 3) uint8 RGB.

    Raises:
        InputError: the path is missing, of an unknown kind or empty, a frame cannot be decoded, or sizes differ.
        ValueError: `limit` is 0 or below -1.
    """
    if limit == 0 or limit < -1:
        raise ValueError(f"limit is {limit}; expected -1 (all frames) or a positive number of frames")
    frames = _folder_frames(path) if _is_folder(path) else decode_frames(path)
    return frames if limit < 0 else islice(frames, limit)


def frame_names(path: Path) -> tuple[str, ...]:
    """Stems of a frame folder's files in playing order; empty for a video file.

    Raises:
        InputError: the path is missing, of an unknown kind or an empty folder.
    """
    return tuple(image.stem for image in _frame_files(path)) if _is_folder(path) else ()


def _is_folder(path: Path) -> bool:
    if path.is_dir():
        return True
    if not path.exists():
        raise InputError(f"{path}: not found; expected a video file or a folder of frames")
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(
            f"{path}: unknown kind of video {path.suffix!r}; "
            f"expected a folder of frames or one of {', '.join(VIDEO_SUFFIXES)}"
        )
    return False


def _frame_files(folder: Path) -> tuple[Path, ...]:
    images = list_images(folder)
    if not images:
        raise InputError(f"{folder}: found no frames, expected files ending in {', '.join(FRAME_SUFFIXES)}")
    return images


def _folder_frames(folder: Path) -> Iterator[np.ndarray]:
    first, *others = _frame_files(folder)
    frame = _read_image(first)
    height, width = frame.shape[:2]
    yield frame
    for path in others:
        frame = _read_image(path)
        if frame.shape[:2] != (height, width):
            raise InputError(
                f"{path}: frame is {frame.shape[1]}x{frame.shape[0]}, expected {width}x{height} like {first.name}; "
                "bring all frames of a folder to one size"
            )
        yield frame


def _read_image(path: Path) -> np.ndarray:
    with open_image(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bit: Pillow would clip instead of scaling
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        return np.array(upright.convert("RGB"))


def _gather(frames: Iterator[np.ndarray], expected: int) -> np.ndarray:
    """Stack frames in place: `ndarray.resize` reallocates, so there is never a second copy of the clip."""
    stack = np.empty(0, np.uint8)
    count = 0
    for frame in frames:
        if not count:
            stack = np.empty((max(expected, 1), *frame.shape), np.uint8)
        elif count == len(stack):
            stack.resize((count + _GROWTH, *frame.shape), refcheck=False)
        stack[count] = frame
        count += 1
    stack.resize((count, *stack.shape[1:]), refcheck=False)
    return stack
