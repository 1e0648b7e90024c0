"""Writing clips: H.264 for people and browsers, FFV1 where no bit may change. Files appear whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from lib.video.audio import add_audio

_THREADS = 4  # fixed: x264's output depends on the number
_REPRODUCIBLE = "mbtree=0"  # x264's macroblock tree reads memory that it has not set
_BIT_EXACT = {"fflags": "+bitexact"}  # otherwise matroska draws random ids


@dataclass(frozen=True)
class _Codec:
    name: str
    container: str
    pixel_format: str
    options: Mapping[str, str]
    container_options: Mapping[str, str]


def write_clip(
    path: Path, frames: Iterable[np.ndarray], fps: Fraction, *, audio_from: Path | None = None
) -> tuple[str, ...]:
    """Write (H, W, 3) uint8 RGB frames as H.264 mp4, ready for streaming; same frames, same bytes.

    Even sides give yuv420p; odd ones yuv444p, because 4:2:0 cannot hold them. Colours are BT.709.

    Args:
        audio_from: a video whose audio track is copied, cut to the length of the frames.

    Returns:
        Notes for the user: an audio track that had to be encoded again or left out.

    Raises:
        ValueError: there is no frame, or frames differ in size.
    """
    first, frames = _peek(frames)
    odd = first.shape[0] % 2 or first.shape[1] % 2
    codec = _Codec(
        "libx264",
        "mp4",
        "yuv444p" if odd else "yuv420p",
        {"crf": "14", "preset": "fast", "x264-params": _REPRODUCIBLE},
        {"movflags": "+faststart"},
    )
    with _draft(path) as draft:
        count = _encode(draft, frames, fps, codec)
        return add_audio(draft, audio_from, count / fps) if audio_from else ()


def write_lossless(path: Path, frames: Iterable[np.ndarray], fps: Fraction) -> None:
    """Write (H, W, 3) uint8 RGB frames as FFV1 in Matroska; reading gives the identical arrays.

    Raises:
        ValueError: there is no frame, or frames differ in size.
    """
    codec = _Codec("ffv1", "matroska", "bgr0", {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}, {})
    with _draft(path) as draft:
        _encode(draft, frames, fps, codec)


def _peek(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError("found 0 frames to write, expected at least 1")
    return first, chain([first], iterator)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` that takes its place when the block succeeds and vanishes when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _encode(path: Path, frames: Iterable[np.ndarray], fps: Fraction, codec: _Codec) -> int:
    count = 0
    first, frames = _peek(frames)
    options = {**_BIT_EXACT, **codec.container_options}
    with av.open(path, "w", format=codec.container, options=options) as container:
        stream = cast(av.VideoStream, container.add_stream(codec.name, rate=fps, options=dict(codec.options)))
        stream.height, stream.width = first.shape[:2]
        context = stream.codec_context
        stream.pix_fmt, context.thread_count = codec.pixel_format, _THREADS
        if codec.pixel_format.startswith("yuv"):
            context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for frame in frames:
            if frame.shape != first.shape:
                raise ValueError(
                    f"frame {count} has shape {frame.shape}, the first one {first.shape}; expected one size"
                )
            picture = _convert(frame, codec.pixel_format)
            picture.pts, picture.duration, picture.time_base = count, 1, 1 / fps
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode())
    return count


def _convert(frame: np.ndarray, pixel_format: str) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    if not pixel_format.startswith("yuv"):
        return picture.reformat(format=pixel_format)
    return picture.reformat(
        format=pixel_format,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
    )
