"""Planes of decoded frames as arrays, and frames of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from lib.video.colour import LUMA_WEIGHTS, RGB, ColourTags, tags_of
from lib.video.source_format import ResultFormat

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.plane import VideoPlane

_LIMITED, _FULL = 1, 2  # FFmpeg's numbers of the ranges


def native_planes(frame: VideoFrame, wanted: ResultFormat, size_hw: tuple[int, int]) -> list[np.ndarray]:
    """Copies of a frame's planes in the wanted format at `size_hw`, uint8 or uint16; its own numbers if it has both.

    What is transparent is laid over black.
    """
    tags, alpha = tags_of(frame), _alpha(frame)
    alike = (tags.matrix, tags.full_range) == (wanted.tags.matrix, wanted.tags.full_range)
    if frame.format.name.replace("yuvj", "yuv") != wanted.pixel_format or not alike or _size(frame) != size_hw:
        frame = _converted(frame, tags, wanted, size_hw)
    planes = [_plane_array(plane, wanted.depth).copy() for plane in frame.planes]
    if alpha is not None:
        _lay_over_black(planes, alpha, wanted)
    return planes


def frame_of(planes: list[np.ndarray], wanted: ResultFormat) -> VideoFrame:
    """A frame of planes in this format, with its tags."""
    import av

    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, wanted.pixel_format)
    for plane, array in zip(frame.planes, planes, strict=True):
        _plane_array(plane, wanted.depth)[:] = array
    frame.colorspace, frame.color_range = wanted.tags.matrix, _range(wanted.tags)
    frame.color_trc, frame.color_primaries = wanted.tags.transfer, wanted.tags.primaries
    return frame


def code_values(rgb: np.ndarray, wanted: ResultFormat) -> list[np.ndarray]:
    """Float32 planes, not rounded, of (H, W, 3) float32 R'G'B' 0..1; chroma is not yet reduced."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    top = np.float32((1 << wanted.depth) - 1)
    if wanted.family == "rgb":
        return [green * top, blue * top, red * top]
    # Gray has no matrix of its own; BT.709's weights are where no other is named.
    of_red, of_blue = LUMA_WEIGHTS[wanted.tags.matrix]
    luma = np.float32(of_red) * red + np.float32(1 - of_red - of_blue) * green + np.float32(of_blue) * blue
    unit = np.float32(1 << (wanted.depth - 8))
    luma_span, luma_zero, chroma_span = (top, 0, top) if wanted.tags.full_range else (219 * unit, 16 * unit, 224 * unit)
    planes = [luma * luma_span + luma_zero]
    if wanted.family == "yuv":
        for colour, weight in ((blue, of_blue), (red, of_red)):
            planes.append((colour - luma) * (chroma_span / np.float32(2 * (1 - weight))) + 128 * unit)
    return [np.clip(plane, 0, top) for plane in planes]


def _alpha(frame: VideoFrame) -> np.ndarray | None:
    """(H, W) uint8 alpha where some of it is not 255, else None."""
    if not any(part.is_alpha for part in frame.format.components):
        return None
    alpha = frame.to_ndarray(format="rgba")[..., 3]
    return alpha if alpha.min() < 255 else None


def _lay_over_black(planes: list[np.ndarray], alpha: np.ndarray, wanted: ResultFormat) -> None:
    black = code_values(np.zeros((1, 1, 3), np.float32), wanted)
    for plane, least in zip(planes, black, strict=True):
        shares = cv2.resize(alpha, (plane.shape[1], plane.shape[0]), interpolation=cv2.INTER_AREA) / np.float32(255)
        plane[:] = np.rint(least + shares * (plane - least))


def _size(frame: VideoFrame) -> tuple[int, int]:
    return frame.height, frame.width


def _converted(frame: VideoFrame, tags: ColourTags, wanted: ResultFormat, size_hw: tuple[int, int]) -> VideoFrame:
    return frame.reformat(
        width=size_hw[1],
        height=size_hw[0],
        format=wanted.pixel_format,
        src_colorspace=_swscale_matrix(tags),
        dst_colorspace=_swscale_matrix(wanted.tags),
        src_color_range=_range(tags),
        dst_color_range=_range(wanted.tags),
        interpolation=_scaler(),
    )


def _swscale_matrix(tags: ColourTags) -> int | None:
    return None if tags.matrix == RGB else tags.matrix


def _range(tags: ColourTags) -> int:
    return _FULL if tags.full_range else _LIMITED


def _scaler() -> Any:
    from av.video.reformatter import Interpolation

    exact = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    return Interpolation.BICUBIC | exact


def _plane_array(plane: VideoPlane, depth: int) -> np.ndarray:
    """(rows, columns) view of a plane; lines in memory may be longer than the picture."""
    number = np.dtype(np.uint8 if depth == 8 else "<u2")
    lines = np.frombuffer(plane, number, plane.height * plane.line_size // number.itemsize)  # pyright: ignore
    return lines.reshape(plane.height, -1)[:, : plane.width]
