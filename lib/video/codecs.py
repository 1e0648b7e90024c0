"""How videos are encoded. Everything is fixed that would let the same frames become other bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.video.colour import BT709_VIDEO, ColourTags, reads_plainly
from lib.video.hdr_metadata import HdrMetadata
from lib.video.source_format import ResultFormat

if TYPE_CHECKING:
    from av import VideoCodecContext

_REPRODUCIBLE = "mbtree=0"  # x264's macroblock tree reads memory that it has not set
_X264 = {"crf": "14", "preset": "fast", "x264-params": _REPRODUCIBLE}
_X265_CRF = "16"  # looks like x264's 14
# x265's bytes depend on whether it has a pool of threads, not on how large that is; "info" would name this machine.
_X265 = "log-level=error:info=0:pools=4:frame-threads=3:wpp=1:lookahead-slices=0"
_FFV1 = {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}
_MP4 = {"movflags": "+faststart"}


@dataclass(frozen=True)
class Codec:
    """An encoder with its options."""

    name: str
    container: str
    pixel_format: str
    options: Mapping[str, str]
    container_options: Mapping[str, str]
    colour: ColourTags | None = None  # None: not tagged
    tag: str = ""  # the container's name of the codec, where it is not FFmpeg's usual one


def h264(odd_sides: bool) -> Codec:
    """8-bit BT.709 for people and browsers; odd sides give yuv444p, because 4:2:0 cannot hold them."""
    return Codec("libx264", "mp4", "yuv444p" if odd_sides else "yuv420p", _X264, _MP4, BT709_VIDEO)


def ffv1_rgb() -> Codec:
    """8-bit RGB of which no bit changes."""
    return Codec("ffv1", "matroska", "bgr0", _FFV1, {})


def codec_for(wanted: ResultFormat, *, lossless: bool) -> Codec:
    """FFV1 in Matroska, or else H.264 for SDR and HEVC for HDR, in mp4.

    Args:
        wanted: for a file that is not lossless, what `ResultFormat.for_delivery` gives.

    Raises:
        ValueError: H.264 and HEVC do not take the format.
    """
    if lossless:
        return _ffv1(wanted)
    if wanted != wanted.for_delivery():
        raise ValueError(f"{wanted.pixel_format} is not for players; expected what for_delivery gives")
    if wanted.tags.is_hdr:
        options = {"crf": _X265_CRF, "preset": "fast", "x265-params": _X265 + _light(wanted.metadata)}
        return Codec("libx265", "mp4", wanted.pixel_format, options, _MP4, wanted.tags, "hvc1")
    return Codec("libx264", "mp4", wanted.pixel_format, _X264, _MP4, wanted.tags)


def tag_colours(context: VideoCodecContext, tags: ColourTags) -> None:
    """Say in the file what its numbers mean; before the encoder opens."""
    context.colorspace, context.color_range = tags.matrix, 2 if tags.full_range else 1
    context.color_trc, context.color_primaries = tags.transfer, tags.primaries


def _ffv1(wanted: ResultFormat) -> Codec:
    if wanted.family == "rgb" and wanted.depth == 8:  # of which FFV1 has no planes
        colour = None if reads_plainly(wanted.tags) else wanted.tags
        return Codec("ffv1", "matroska", "bgr0", _FFV1, {}, colour)
    return Codec("ffv1", "matroska", wanted.pixel_format, _FFV1, {}, wanted.tags)


def _light(metadata: HdrMetadata) -> str:
    parts = (("master-display", metadata.mastering_display), ("max-cll", metadata.light_levels))
    return "".join(f":{name}={value}" for name, value in parts if value)
