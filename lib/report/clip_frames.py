"""Single frames out of clips for pages: video files are not decoded from their beginning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.errors import InputError, attempt
from lib.report.thumbnails import frame_uri
from lib.video.clip import probe_clip, read_clip_frame
from lib.video.decode import DEFAULT_FPS, open_video, to_array

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer


def before_and_after(source: Path | None, result: Path | None) -> tuple[str, str]:
    """The same moment of both, in the middle of the result, as JPEG data URIs; "" for what cannot be read.

    Args:
        source: a video file or a folder of frames; the result may be shorter.
    """
    moment = attempt(lambda: _middle(result or source), result or source)
    if isinstance(moment, InputError):
        moment = 0.0
    return _uri(source, moment), _uri(result, moment)


def _uri(path: Path | None, moment: float) -> str:
    if path is None:
        return ""
    uri = attempt(lambda: frame_uri(frame_at(path, moment)), path)
    return "" if isinstance(uri, InputError) else uri


def _middle(path: Path | None) -> float:
    """Seconds from the beginning."""
    if path is None:
        return 0.0
    if path.is_dir():
        return float(((probe_clip(path).frame_count or 1) // 2) / DEFAULT_FPS)
    with open_video(path) as (container, stream):
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base) / 2
        return (container.duration or 0) / 2_000_000  # microseconds


def frame_at(path: Path, moment: float) -> np.ndarray:
    """The frame that is shown `moment` seconds after the beginning, (H, W, 3) uint8 RGB; the last one if that is later.

    Raises:
        InputError: the clip cannot be read.
    """
    if path.is_dir():
        return read_clip_frame(path, round(moment * DEFAULT_FPS))
    from av.error import FFmpegError

    with open_video(path) as (container, stream):
        try:
            return to_array(_seek(container, stream, moment), path)
        except FFmpegError as error:
            raise InputError(f"{path}: no frame can be read at {moment:.1f} s ({error})") from error


def _seek(container: InputContainer, stream: VideoStream, moment: float) -> VideoFrame:
    base = stream.time_base
    wanted = (stream.start_time or 0) + (round(moment / base) if base else 0)
    container.seek(wanted, stream=stream)  # to the key frame before
    frame = None
    for frame in container.decode(stream):
        if frame.pts is None or frame.pts + (frame.duration or 0) > wanted:
            break
    if frame is None:
        raise InputError(f"{container.name}: holds no frame at {moment:.1f} s")
    return frame
