"""Frames out of video files with PyAV, which is imported only when a video is opened."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.orientation import orientation_of

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.filter import Graph

DEFAULT_FPS = Fraction(24)
_LARGEST_DENOMINATOR = 65_535
_UNNAMED = (2, 3)  # unspecified, reserved
_COVER = 1 << 10  # FFmpeg's flag of a stream that is an attached picture
_DEINTERLACER = ("bwdif", "mode=send_frame:parity=auto:deint=all")
PixelFormat = Literal["rgb24", "gray"]


@dataclass
class Findings:
    """What came to light while a clip was decoded."""

    frames: int = 0
    corrupt: int = 0  # frames that their decoder calls corrupt
    undecodable: int = 0  # packets that gave an error instead of a frame
    reason: str = ""  # of the first such error
    stamps: list[Fraction | None] = field(default_factory=list)  # of the frames, seconds in the file's own clock
    remarks: dict[Note, None] = field(default_factory=dict)  # for the user, in order, each once


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its main video stream.

    Raises:
        InputError: no video can be read from the file.
    """
    import av
    from av.error import FFmpegError

    try:
        container = av.open(path)
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: video cannot be opened ({_reason(error)}); {ADVICE}") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: holds no video stream; {ADVICE}")
        stream = main_video(container)
        if stream is None:
            raise InputError(f"{path}: holds no video but a cover picture; {ADVICE}")
        if stream.codec_context is None:
            raise InputError(f"{path}: its video has a codec that is not known here; {ADVICE}")
        # With threads for whole frames, chance decides which damaged frames of H.264 are called corrupt.
        stream.thread_type = "SLICE" if stream.codec_context.name == "h264" else "AUTO"
        yield container, stream


def main_video(container: InputContainer) -> VideoStream | None:
    """The stream that shows the pictures, never a cover picture."""
    best = cast("VideoStream | None", container.streams.best("video"))
    if best is None or not _is_cover(best):
        return best
    return next((stream for stream in container.streams.video if not _is_cover(stream)), None)


def _is_cover(stream: VideoStream) -> bool:
    return bool(int(getattr(stream, "disposition", 0)) & _COVER)  # PyAV before 14 does not tell


def decode_frames(
    path: Path,
    pixel_format: PixelFormat = "rgb24",
    *,
    deinterlace: bool = False,
    findings: Findings | None = None,
) -> Iterator[np.ndarray]:
    """Upright uint8 frames, (H, W, 3) RGB or (H, W) gray, full range; RGB is BT.709 for a standard display.

    Args:
        deinterlace: make whole frames of the two fields of each.
        findings: is told what was wrong.

    Raises:
        InputError: the file cannot be decoded, holds no frame, or its frames change size.
    """
    first_size = None
    for frame in raw_frames(path, deinterlace=deinterlace, findings=findings):
        array = to_array(frame, path, pixel_format, findings)
        first_size = first_size or array.shape[:2]
        if array.shape[:2] != first_size:
            raise InputError(
                f"{path}: frames change size from {_size(first_size)} to {_size(array.shape)}; "
                "expected one size, encode the video again"
            )
        yield array


def raw_frames(
    path: Path, *, deinterlace: bool = False, findings: Findings | None = None
) -> Generator[VideoFrame, None, None]:
    """Decoded frames before any conversion; a packet that cannot be decoded is passed over, and `findings` told.

    Raises:
        InputError: the file cannot be decoded or holds no frame.
    """
    findings = Findings() if findings is None else findings
    with open_video(path) as (container, stream):
        graph = _deinterlacer(stream) if deinterlace else None
        for packet in _packets(container, stream, findings):
            for frame in _decoded(packet, findings):
                findings.frames += 1
                findings.corrupt += bool(frame.is_corrupt)
                findings.stamps.append(moment(frame))
                yield from _filtered(graph, frame) if graph else (frame,)
        if graph:
            yield from _filtered(graph, None)
    if not findings.frames:
        why = f" ({findings.reason})" if findings.reason else ""
        raise InputError(f"{path}: found 0 frames{why}, expected at least 1; {ADVICE}")


def to_array(
    frame: VideoFrame,
    path: Path,
    pixel_format: PixelFormat = "rgb24",
    findings: Findings | None = None,
) -> np.ndarray:
    """One decoded frame of a file as an upright uint8 array, (H, W, 3) RGB or (H, W) gray.

    Raises:
        InputError: its colours cannot be converted.
    """
    array = _pixels(frame, path, pixel_format, findings)
    orientation = orientation_of(frame)
    if not orientation.exact and findings is not None:
        said = "the file asks for a rotation by an odd angle: the nearest quarter turn was taken"
        findings.remarks[input_note(said)] = None
    return orientation.apply(array)


def moment(frame: VideoFrame) -> Fraction | None:
    """When a frame is shown, seconds in the file's own clock; None where it does not say."""
    return frame.pts * frame.time_base if frame.pts is not None and frame.time_base else None


def frame_rate(stream: VideoStream) -> Fraction:
    """Mean frames per second; 24 where the file does not say."""
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate).limit_denominator(_LARGEST_DENOMINATOR) if rate else DEFAULT_FPS


ADVICE = "expected a whole, playable video; replace the file or encode it again"


def _packets(container: InputContainer, stream: VideoStream, findings: Findings) -> Iterator[Packet]:
    from av.error import FFmpegError

    try:
        yield from container.demux(stream)
    except FFmpegError as error:
        _note_error(findings, error)
        yield _last_packet(stream)


def _last_packet(stream: VideoStream) -> Packet:
    """What makes a decoder give the frames that it still holds back."""
    from av import Packet

    packet = Packet()
    packet.stream = stream
    return packet


def _decoded(packet: Packet, findings: Findings) -> list[VideoFrame]:
    from av.error import FFmpegError

    try:
        return cast("list[VideoFrame]", packet.decode())
    except FFmpegError as error:
        _note_error(findings, error)
        return []


def _note_error(findings: Findings, error: Exception) -> None:
    findings.undecodable += 1
    findings.reason = findings.reason or _reason(error)


def _deinterlacer(stream: VideoStream) -> Graph:
    from av.filter import Graph

    graph = Graph()
    source, sink = graph.add_buffer(template=stream), graph.add("buffersink")
    bwdif = graph.add(*_DEINTERLACER)
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


def _filtered(graph: Graph, frame: VideoFrame | None) -> Iterator[VideoFrame]:
    """What the graph gives after this frame; None is the end."""
    from av.error import BlockingIOError as NothingYet
    from av.error import EOFError as NoMore

    graph.push(frame)
    while True:
        try:
            yield cast("VideoFrame", graph.pull())
        except (NothingYet, NoMore):
            return


def _pixels(frame: VideoFrame, path: Path, pixel_format: PixelFormat, findings: Findings | None) -> np.ndarray:
    if pixel_format == "gray":
        return _reformatted(frame, path, "gray")
    tags = _checked_tags(frame, path)
    alpha = transparency(frame, path)
    if tags is None:
        rgb = _reformatted(frame, path, "rgb24" if alpha is None else "rgba")[..., :3]
    else:
        from lib.video.colour import white_of_rgb48
        from lib.video.sdr import to_sdr

        rgb = to_sdr(_reformatted(frame, path, "rgb48le"), tags, white_of_rgb48(frame))
    return rgb if alpha is None else _over_black(rgb, alpha, findings)


def shows_through(frame: VideoFrame, path: Path) -> bool:
    """Whether a frame has pixels that are not opaque.

    Raises:
        InputError: its colours cannot be converted.
    """
    return transparency(frame, path) is not None


def transparency(frame: VideoFrame, path: Path) -> np.ndarray | None:
    """The frame's (H, W) uint8 alpha, as it is decoded, where some of it is not 255; else None.

    Raises:
        InputError: its colours cannot be converted.
    """
    if not any(component.is_alpha for component in frame.format.components):
        return None
    alpha = _reformatted(frame, path, "rgba")[..., 3]
    return alpha if alpha.min() < 255 else None


def _checked_tags(frame: VideoFrame, path: Path) -> Any:
    """The frame's colour tags where it takes more than the usual conversion, else None."""
    from lib.video.colour import check_tags, reads_plainly, tags_of

    tags = tags_of(frame)
    check_tags(tags, path)
    return None if reads_plainly(tags) else tags


def _reformatted(frame: VideoFrame, path: Path, pixel_format: str) -> np.ndarray:
    from av.error import FFmpegError

    try:
        return frame.to_ndarray(format=pixel_format, src_colorspace=_colorspace(frame), interpolation=_scaler())
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: its pixels ({frame.format.name}, colour matrix {int(frame.colorspace)}) cannot be converted "
            f"({_reason(error)}); expected a usual format such as yuv420p with BT.709, encode the video again"
        ) from error


def _over_black(rgb: np.ndarray, alpha: np.ndarray, findings: Findings | None) -> np.ndarray:
    """(H, W, 3) uint8 pixels laid over black by their (H, W) uint8 alpha."""
    if findings is not None:
        findings.remarks[input_note("partly transparent: what shows through is taken as black")] = None
    return ((rgb.astype(np.uint16) * alpha[..., None] + 127) // 255).astype(np.uint8)


def _colorspace(frame: VideoFrame) -> int | None:
    """The matrix to convert with where the file names none. None: as the file says."""
    from lib.video.colour import tags_of

    unnamed = frame.colorspace in _UNNAMED or (not frame.colorspace and not frame.format.is_rgb)
    if not unnamed or frame.format.has_palette:
        return None
    return tags_of(frame).matrix


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
