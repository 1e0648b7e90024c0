"""Frames out of video files with PyAV, which is imported only when a video is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from lib.errors import InputError

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

DEFAULT_FPS = Fraction(24)
_LARGEST_DENOMINATOR = 65_535
_BT709, _BT601, _UNSPECIFIED = 1, 5, 2
PixelFormat = Literal["rgb24", "gray"]


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its main video stream.

    Raises:
        InputError: no video can be read from the file, or it ends before its last frame.
    """
    import av
    from av.error import FFmpegError

    try:
        container = av.open(path)
    except (FFmpegError, OSError) as error:
        raise InputError(f"{path}: video cannot be opened ({_reason(error)}); {_ADVICE}") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: holds no video stream; {_ADVICE}")
        stream = cast("VideoStream", container.streams.best("video"))
        _check_whole(path, stream)
        stream.thread_type = "AUTO"
        yield container, stream


def decode_frames(path: Path, pixel_format: PixelFormat = "rgb24") -> Iterator[np.ndarray]:
    """Upright uint8 frames, (H, W, 3) RGB or (H, W) gray, full range.

    Raises:
        InputError: the file cannot be decoded, holds no frame, or its frames change size.
    """
    first_size = None
    for frame in raw_frames(path):
        array = to_array(frame, pixel_format)
        first_size = first_size or array.shape[:2]
        if array.shape[:2] != first_size:
            raise InputError(
                f"{path}: frames change size from {_size(first_size)} to {_size(array.shape)}; "
                "expected one size, encode the video again"
            )
        yield array


def raw_frames(path: Path) -> Iterator[VideoFrame]:
    """Decoded frames before any conversion.

    Raises:
        InputError: the file cannot be decoded or holds no frame.
    """
    from av.error import FFmpegError

    count = 0
    with open_video(path) as (container, stream):
        try:
            for frame in container.decode(stream):
                count += 1
                yield frame
        except FFmpegError as error:
            raise InputError(f"{path}: decoding fails after {count} frames ({_reason(error)}); {_ADVICE}") from error
    if not count:
        raise InputError(f"{path}: found 0 frames, expected at least 1; {_ADVICE}")


def to_array(frame: VideoFrame, pixel_format: PixelFormat = "rgb24") -> np.ndarray:
    """One decoded frame as an upright uint8 array, (H, W, 3) RGB or (H, W) gray."""
    array = frame.to_ndarray(format=pixel_format, src_colorspace=_colorspace(frame), interpolation=_scaler())
    quarter_turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(array, quarter_turns)) if quarter_turns else array


def frame_rate(stream: VideoStream) -> Fraction:
    """Mean frames per second; 24 where the file does not say."""
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate).limit_denominator(_LARGEST_DENOMINATOR) if rate else DEFAULT_FPS


_ADVICE = "expected a whole, playable video; replace the file or encode it again"


def _check_whole(path: Path, stream: VideoStream) -> None:
    entries = getattr(stream, "index_entries", ())  # PyAV before 17 has none
    end, found = max((entry.pos + entry.size for entry in entries), default=0), path.stat().st_size
    if end > found:
        raise InputError(f"{path}: truncated, found {found} bytes, expected at least {end}; {_ADVICE}")


def _colorspace(frame: VideoFrame) -> int | None:
    if frame.colorspace != _UNSPECIFIED:
        return None
    return _BT709 if frame.height > 576 or frame.width >= 1280 else _BT601  # as players guess it


def _scaler() -> Any:
    from av.video.reformatter import Interpolation

    if not hasattr(Interpolation, "ACCURATE_RND"):  # PyAV before 18
        return Interpolation.BICUBIC
    return (
        Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
