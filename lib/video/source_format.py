"""The format that a result keeps from its source: depth, chroma and colour tags."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from lib.notes import Note
from lib.video.colour import BT709, BT2020, ColourTags, is_gray, reads_plainly, tags_of
from lib.video.hdr_metadata import HdrMetadata, hdr_metadata

if TYPE_CHECKING:
    from av import VideoFormat, VideoFrame

Family = Literal["yuv", "rgb", "gray"]
_CHROMA = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}  # luma columns and rows of one chroma sample
_DEPTHS = (8, 10, 12, 14, 16)  # bits that all families have
_DELIVERED_DEPTH = 10  # bits; players show more hardly anywhere


@dataclass(frozen=True)
class ResultFormat:
    """How pictures of a result are stored: separate planes, little endian, without alpha."""

    family: Family
    chroma: tuple[int, int]  # luma columns and rows of one chroma sample
    depth: int  # bits
    tags: ColourTags
    odd_sides: bool
    metadata: HdrMetadata = field(default_factory=HdrMetadata)

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name. Planes are Y, Cb, Cr; or G, B, R; or gray."""
        name = {"yuv": f"yuv{_CHROMA[self.chroma]}p", "rgb": "gbrp", "gray": "gray"}[self.family]
        return name if self.depth == 8 else f"{name}{self.depth}le"

    def for_delivery(self) -> ResultFormat:
        """What H.264 and HEVC have players for: Y'CbCr of at most 10 bits, HDR of 10."""
        wanted = self
        if self.family == "gray":
            wanted = replace(self, family="yuv", chroma=(1, 1) if self.odd_sides else (2, 2))
        elif self.family == "rgb":
            matrix = BT2020 if self.tags.primaries == BT2020 else BT709
            wanted = replace(self, family="yuv", tags=replace(self.tags, matrix=matrix, full_range=False))
        depth = 8 if self.depth == 8 and not self.tags.is_hdr else _DELIVERED_DEPTH
        return replace(wanted, depth=depth)

    def notes(self, *, lossless: bool) -> tuple[Note, ...]:
        """What the result loses of its source: of the delivered file, or of the lossless copy."""
        lost = list(self.metadata.lost)
        if lossless and self.tags.is_hdr and self.metadata.static:
            lost.append("the light levels of HDR10")
        notes = [Note(f"The {'lossless copy' if lossless else 'result'} lacks {what} of the source.") for what in lost]
        if not lossless and self.depth > _DELIVERED_DEPTH:
            notes.append(
                Note(f"The source has {self.depth} bits, the result {_DELIVERED_DEPTH}; --lossless keeps {self.depth}.")
            )
        return tuple(notes)


def result_format(
    frame: VideoFrame, size_hw: tuple[int, int], *, turned: bool = False, fields: bool = False
) -> ResultFormat | None:
    """The format of a result, by the source's first frame.

    Args:
        size_hw: (H, W) of the upright result.
        turned: the source is shown turned by 90 or 270 degrees. 4:2:2 becomes 4:4:4 then, which holds all of it.
        fields: its frames are two fields each, whose chroma a conversion to RGB and back would mix.

    Returns:
        None where 8-bit BT.709 does as well: 4:2:0 or gray on 8 bits with ordinary colours, palettes, and what has
        no format of this kind (Bayer patterns, floating point, XYZ).
    """
    layout, tags = frame.format, tags_of(frame)
    odd = bool(size_hw[0] % 2 or size_hw[1] % 2)
    family, chroma, depth = _family(layout), _chroma(layout), _depth(layout)
    if family is None or depth is None:
        return None
    if (
        depth == 8
        and not fields
        and reads_plainly(tags)
        and (family == "gray" or (family == "yuv" and chroma == (2, 2)))
    ):
        return None
    if family != "yuv" or odd or (turned and chroma == (2, 1)):
        chroma = (1, 1)
    return ResultFormat(family, chroma, depth, tags, odd, hdr_metadata(frame))


def _family(layout: VideoFormat) -> Family | None:
    if layout.has_palette or layout.is_bayer or layout.name.startswith("xyz"):
        return None
    if is_gray(layout):
        return "gray"
    return "rgb" if layout.is_rgb else "yuv"


def _chroma(layout: VideoFormat) -> tuple[int, int]:
    """The coarsest of the known ones that holds a layout's chroma."""
    columns, rows = min(64 // layout.chroma_width(64), 2), min(64 // layout.chroma_height(64), 2)
    return (columns, rows) if (columns, rows) in _CHROMA else (1, 1)


def _depth(layout: VideoFormat) -> int | None:
    if "f16" in layout.name or "f32" in layout.name:
        return None
    bits = max(part.bits for part in layout.components)
    return next((depth for depth in _DEPTHS if depth >= bits), None)
