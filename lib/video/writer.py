"""Writing clips: H.264 or HEVC for people, FFV1 where no bit may change. Files appear whole or not at all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import lcm
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from lib.notes import Note
from lib.video.codecs import Codec, ffv1_rgb, h264, tag_colours
from lib.video.fields import with_fields
from lib.video.matroska import set_sample_aspect
from lib.video.presentation import SQUARE, Presentation
from lib.video.streams import carry_streams

_THREADS = 4  # fixed: x264's output depends on the number
_BIT_EXACT = {"fflags": "+bitexact"}  # otherwise matroska draws random ids
_FINEST, _USUAL_CLOCK = 1_000_000, 90_000  # ticks a second: the most that a clip's own times may need, and else
_FIELD_ORDER = {True: 2, False: 3}  # FFmpeg's numbers, by whether the top field comes first

Picture = np.ndarray | av.VideoFrame


@dataclass(frozen=True)
class Carried:
    """A file whose sound, subtitles, chapters and words a written clip takes over."""

    source: Path
    until: Fraction | None = None  # seconds at which they are cut; None: not at all


def write_clip(
    path: Path,
    frames: Iterable[Picture],
    shown: Fraction | Presentation,
    *,
    codec: Codec | None = None,
    carried: Carried | None = None,
) -> tuple[Note, ...]:
    """Write frames as an mp4, ready for streaming; same frames, same bytes.

    Args:
        frames: (H, W, 3) uint8 RGB; or, with a codec, video frames of its pixel format.
        shown: frames a second, or more than that.
        codec: None: H.264 with 8 bit and BT.709, yuv420p for even sides, yuv444p for odd ones.

    Returns:
        Notes for the user on what could not be taken over as it is.

    Raises:
        ValueError: there is no frame, or frames differ in size.
    """
    first, frames = _peek(frames)
    height, width = _size(first)
    return _write(path, frames, shown, codec or h264(bool(height % 2 or width % 2)), carried)


def write_lossless(
    path: Path,
    frames: Iterable[Picture],
    shown: Fraction | Presentation,
    *,
    codec: Codec | None = None,
    carried: Carried | None = None,
) -> tuple[Note, ...]:
    """The same as FFV1 in Matroska; reading 8-bit RGB (no codec given) gives the identical arrays.

    Raises:
        ValueError: there is no frame, or frames differ in size.
    """
    return _write(path, frames, shown, codec or ffv1_rgb(), carried)


def _write(
    path: Path, frames: Iterable[Picture], shown: Fraction | Presentation, codec: Codec, carried: Carried | None
) -> tuple[Note, ...]:
    shown = Presentation(shown) if isinstance(shown, Fraction) else shown
    notes: tuple[Note, ...] = ()
    with _draft(path) as draft:
        _encode(draft, frames, shown, codec)
        if carried:
            container = cast(Literal["mp4", "matroska"], codec.container)
            notes = carry_streams(draft, carried.source, container=container, until=carried.until)
        if shown.sample_aspect != SQUARE and codec.container == "matroska":
            notes += _tell_aspect(draft, shown.sample_aspect)
    return notes


def _tell_aspect(path: Path, aspect: Fraction) -> tuple[Note, ...]:
    try:
        set_sample_aspect(path, aspect)
    except (ValueError, OverflowError):
        return (
            Note(f"the lossless copy does not tell the shape of its pixels ({aspect.numerator}:{aspect.denominator})"),
        )
    return ()


def _peek(frames: Iterable[Picture]) -> tuple[Picture, Iterator[Picture]]:
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


def _encode(path: Path, frames: Iterable[Picture], shown: Presentation, codec: Codec) -> None:
    first, frames = _peek(frames)
    options = {**_BIT_EXACT, **codec.container_options}
    tick = _tick(shown)
    with av.open(path, "w", format=codec.container, options=options) as container:
        stream = cast(av.VideoStream, container.add_stream(codec.name, rate=shown.fps, options=_options(codec, shown)))
        _describe(stream, first, shown, codec)
        if shown.times is not None:
            stream.codec_context.time_base = tick
        durations: dict[int, int] = {}
        pictures = _pictures(frames, _size(first), codec)
        if shown.top_field_first is not None:
            pictures = with_fields(pictures, top_first=shown.top_field_first)
        for picture, (start, duration) in zip(pictures, _ticks(shown, tick), strict=False):
            picture.pts, picture.duration, picture.time_base = start, duration, tick
            durations[start] = duration
            container.mux(_lasting(stream.encode(picture), shown, durations))
        container.mux(_lasting(stream.encode(), shown, durations))


def _lasting(packets: list[av.Packet], shown: Presentation, durations: dict[int, int]) -> list[av.Packet]:
    """Packets that last as long as their frames: encoders know of one rate only."""
    if shown.times is not None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = durations.pop(packet.pts, packet.duration)
    return packets


def _describe(stream: av.VideoStream, first: Picture, shown: Presentation, codec: Codec) -> None:
    stream.height, stream.width = _size(first)
    context = stream.codec_context
    stream.pix_fmt, context.thread_count = codec.pixel_format, _THREADS
    if codec.tag:
        context.codec_tag = codec.tag
    if codec.colour:
        tag_colours(context, codec.colour)
    if shown.sample_aspect != SQUARE:
        context.sample_aspect_ratio = shown.sample_aspect
    if shown.top_field_first is not None:
        context.field_order = _FIELD_ORDER[shown.top_field_first]


def _options(codec: Codec, shown: Presentation) -> dict[str, str]:
    options = dict(codec.options)
    if shown.times is not None and codec.container == "mp4":
        options["bf"] = "0"  # there, times of frames that are not in showing order say nothing on the last one's end
    if shown.top_field_first is not None and codec.name == "libx264":
        options["x264-params"] += ":tff=1" if shown.top_field_first else ":bff=1"
    return options


def _pictures(frames: Iterable[Picture], size: tuple[int, int], codec: Codec) -> Iterator[av.VideoFrame]:
    for index, frame in enumerate(frames):
        if _size(frame) != size:
            raise ValueError(f"frame {index} has (H, W) {_size(frame)}, the first one {size}; expected one size")
        yield frame if isinstance(frame, av.VideoFrame) else _convert(frame, codec.pixel_format)


def _tick(shown: Presentation) -> Fraction:
    """The unit of time in which all frames start."""
    if shown.times is None:
        return 1 / shown.fps
    finest = lcm(*(time.denominator for time in shown.times), (shown.last or Fraction(1)).denominator)
    return Fraction(1, finest if finest <= _FINEST else _USUAL_CLOCK)


def _ticks(shown: Presentation, tick: Fraction) -> Iterator[tuple[int, int]]:
    """Start and duration of each frame."""
    if shown.times is None:
        index = 0
        while True:
            yield index, 1
            index += 1
    starts = [round(time / tick) for time in shown.times]
    for index, start in enumerate(starts):
        yield start, max(1, round(shown.duration(index, len(starts)) / tick))


def _size(picture: Picture) -> tuple[int, int]:
    return (
        (picture.height, picture.width) if isinstance(picture, av.VideoFrame) else (picture.shape[0], picture.shape[1])
    )


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
