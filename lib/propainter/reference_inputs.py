"""Clips and masks read as the reference implementation reads them, for results that can be compared with its own.

Kinds are told by how a path ends, a video's range of frames includes its end, and a mask is whatever is not black.
The rest of the project reads its files with `lib.video`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from lib.errors import InputError

if TYPE_CHECKING:
    from av import VideoFrame

_VIDEO_ENDINGS = ("mp4", "mov", "avi")
_PICTURE_ENDINGS = ("jpg", "jpeg", "png")
_FRAMES_AFTER_END = 5  # decoded on behalf of files whose frames come slightly out of order


@dataclass(frozen=True)
class ReferenceClip:
    """The frames of a clip and how many of them make a second."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    fps: float


def read_frames(path: Path, video_length: float = 2, save_fps: float = 24) -> ReferenceClip:
    """The frames of a video or of a folder of pictures.

    Args:
        path: a video (its name ends in mp4, mov or avi) or a folder, of which every entry is a frame, in order of name.
        video_length: seconds to read of a video, with the frame shown at that very moment; a folder is read whole.
        save_fps: frames per second of a folder.

    Raises:
        InputError: the path is neither, a file in it cannot be read as a picture, or frames differ in size.
    """
    if path.is_dir():
        frames, fps = _read_each(_entries(path), _read_colour_picture), float(save_fps)
    elif _ends_with(path, _VIDEO_ENDINGS):
        frames, fps = _read_video(path, video_length)
    else:
        raise InputError(f"{path}: expected a folder of pictures, or a video ending in {', '.join(_VIDEO_ENDINGS)}")
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        found = ", ".join(sorted(f"{width}x{height}" for height, width, _ in sizes))
        raise InputError(f"{path}: frames of different sizes ({found}); expected one size")
    return ReferenceClip(np.stack(frames), fps)


def read_masks(path: Path, max_frames: int) -> list[np.ndarray]:
    """Masks as (H, W) uint8 brightness; of a picture one, of a folder all, of a video at most `max_frames`.

    The colours of a mask video are read with red and blue exchanged, as in the reference; this shows in the brightness
    of dark colours only.

    Raises:
        InputError: the path is none of these, or something in it cannot be read.
    """
    if path.is_dir():
        return _read_each(_entries(path), _read_brightness)
    if _ends_with(path, _PICTURE_ENDINGS):
        return _read_each([path], _read_brightness)
    if _ends_with(path, _VIDEO_ENDINGS):
        return _read_mask_video(path, max_frames)
    raise InputError(
        f"{path}: expected a folder of masks, a picture ending in {', '.join(_PICTURE_ENDINGS)}, "
        f"or a video ending in {', '.join(_VIDEO_ENDINGS)}"
    )


def _ends_with(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.endswith((*endings, *(ending.upper() for ending in endings)))


def _entries(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    if not entries:
        raise InputError(f"{folder}: empty folder; expected pictures")
    return entries


def _read_each(paths: list[Path], read: Callable[[Path], np.ndarray]) -> list[np.ndarray]:
    pictures = []
    for path in paths:
        try:
            pictures.append(read(path))
        except (OSError, ValueError, cv2.error, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: not a readable picture ({error}); expected nothing but pictures here") from error
    return pictures


def _read_colour_picture(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise OSError("OpenCV cannot decode it")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _read_brightness(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def _read_video(path: Path, seconds: float) -> tuple[list[np.ndarray], float]:
    """Frames by time of presentation, and the stream's average frame rate."""
    import av
    from av.error import FFmpegError

    pictures: dict[int, np.ndarray] = {}
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise InputError(f"{path}: holds no video; give another file")
            stream = container.streams.video[0]
            end = math.ceil(seconds / stream.time_base) if stream.time_base else 0
            for frame in _frames_until(container.decode(stream), end):
                if frame.pts is not None and 0 <= frame.pts <= end:
                    pictures[frame.pts] = frame.to_ndarray(format="rgb24")
            rate = stream.average_rate
    except (FFmpegError, OSError) as error:
        raise InputError(f"{path}: not a readable video ({error}); encode it again") from error
    if not pictures or not rate:
        raise InputError(f"{path}: no frames found in the first {seconds} s; encode it again")
    return [pictures[time] for time in sorted(pictures)], float(rate)


def _frames_until(frames: Iterator[VideoFrame], end: int) -> Iterator[VideoFrame]:
    late = 0
    for frame in frames:
        yield frame
        late += frame.pts is not None and frame.pts >= end
        if late > _FRAMES_AFTER_END:
            return


def _read_mask_video(path: Path, max_frames: int) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    masks: list[np.ndarray] = []
    try:
        while len(masks) < max_frames:
            found, frame = video.read()
            if not found:
                break
            masks.append(np.asarray(Image.fromarray(frame).convert("L")))
    finally:
        video.release()
    if not masks:
        raise InputError(f"{path}: not a readable video; expected at least one frame")
    return masks
