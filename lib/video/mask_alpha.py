"""Masks with an alpha channel: what it says of the object, and mask videos that have one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from lib.errors import InputError
from lib.notes import input_note
from lib.video.clip import first_frame
from lib.video.decode import Findings, open_video, raw_frames, shows_through, to_array
from lib.video.mask_grays import LOSSY_THRESHOLD
from lib.video.orientation import orientation_of

if TYPE_CHECKING:
    from av import VideoFrame

ALPHA_NOTE = input_note("the masks are of one colour: the object was read from the alpha channel")
TRANSPARENT_NOTE = input_note("parts of the masks are transparent: they are taken as no object, whatever their colour")
# The decoders that FFmpeg prefers leave the alpha channel of these out.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_ONE_COLOUR = 24  # gray values that lossy codecs make of one


def has_alpha(path: Path) -> bool:
    """Whether the first frame of a video is transparent somewhere.

    Raises:
        InputError: it cannot be decoded.
    """
    if _decoder_for_alpha(path) is None:
        return shows_through(first_frame(path), path)
    return any(alpha is not None for _, alpha in _first(gray_and_alpha(path, Findings())))


def gray_and_alpha(path: Path, findings: Findings) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """(H, W) uint8 gray values of each frame, upright, and its opacity; None where all of it is opaque.

    Raises:
        InputError: the file cannot be decoded, or its frames change size.
    """
    decoder, size = _decoder_for_alpha(path), None
    frames = _decoded_by(decoder, path, findings) if decoder else raw_frames(path, findings=findings)
    for frame in frames:
        gray, alpha = to_array(frame, path, "gray", findings), None
        size = size or gray.shape
        if gray.shape != size:
            raise InputError(f"{path}: frames change size; expected one size, encode the mask video again")
        if shows_through(frame, path):
            alpha = orientation_of(frame).apply(np.ascontiguousarray(frame.to_ndarray(format="rgba")[..., 3]))
        yield gray, alpha


def values_of_object(gray: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, bool]:
    """(H, W) values that are high where the object is, and whether they are the alpha channel's, not the colours'."""
    if alpha is None:
        return gray, False
    if np.ptp(gray) <= _ONE_COLOUR and (np.ptp(alpha) or not alpha.any()):
        return alpha, True
    return (np.where(alpha > LOSSY_THRESHOLD, gray, 0) if alpha.any() else gray), False


def _first(frames: Iterator[tuple[np.ndarray, np.ndarray | None]]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    return [next(frames)]


def _decoder_for_alpha(path: Path) -> str | None:
    """The decoder that gives the alpha channel, where the usual one does not."""
    with open_video(path) as (_, stream):
        if stream.metadata.get("alpha_mode") != "1":
            return None
        return _WITH_ALPHA.get(stream.codec_context.name)


def _decoded_by(decoder: str, path: Path, findings: Findings) -> Iterator[VideoFrame]:
    from av import VideoCodecContext
    from av.error import FFmpegError

    context = cast("VideoCodecContext", VideoCodecContext.create(decoder, "r"))
    with open_video(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                for frame in context.decode(packet):
                    findings.frames += 1
                    yield frame
        except FFmpegError as error:
            findings.undecodable += 1
            findings.reason = findings.reason or getattr(error, "strerror", None) or str(error)
    if not findings.frames:
        raise InputError(f"{path}: found 0 frames, expected at least 1; replace the mask video or encode it again")
