"""What the numbers of a decoded frame mean: its colour tags, as ISO/IEC 23091-2 (ITU-T H.273) numbers them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import InputError

if TYPE_CHECKING:
    from av import VideoFormat, VideoFrame

RGB, BT709, UNSPECIFIED, BT601 = 0, 1, 2, 5
BT2020 = 9  # primaries, and the matrix with non-constant luminance
SRGB, PQ, HLG = 13, 16, 18  # transfers
HDR = (PQ, HLG)
DEEPEST = 65_535  # the largest number of 16 bits
_RESERVED = (0, 3)  # decoders give them for what a file does not say
_FULL = 2  # FFmpeg's number of the range
_GUESSED_709 = 576, 1280  # more rows than this, or as many columns: players take BT.709

LUMA_WEIGHTS = {  # of red and blue, by matrix
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    BT601: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    BT2020: (0.2627, 0.0593),
}
_REFUSED_MATRICES = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE ST 2085 Y'D'zD'x",
    12: "derived from the primaries",
    13: "derived from the primaries with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_SDR_TRANSFERS = (1, 2, 4, 5, 6, 7, 11, 12, SRGB, 14, 15)
_REFUSED_TRANSFERS = {8: "linear light", 9: "logarithmic 100:1", 10: "logarithmic 316:1", 17: "SMPTE ST 428-1 (cinema)"}
_PLAIN_PRIMARIES = (BT709, UNSPECIFIED, 5, 6, 7, 22)  # so near each other that players show them alike
_OTHER_PRIMARIES = (4, 8, BT2020, 11, 12)
_REFUSED_PRIMARIES = {10: "CIE XYZ (SMPTE ST 428-1)"}


@dataclass(frozen=True)
class ColourTags:
    """Code points of H.273; 2 is "unspecified" for transfer and primaries. A matrix is always known: 0 is RGB."""

    matrix: int
    transfer: int
    primaries: int
    full_range: bool

    @property
    def is_hdr(self) -> bool:
        return self.transfer in HDR


BT709_VIDEO = ColourTags(BT709, BT709, BT709, full_range=False)


def tags_of(frame: VideoFrame) -> ColourTags:
    """Tags of a decoded frame.

    A matrix that the file does not name is that of BT.2020 with its primaries, else guessed from the size, as
    players do. Gray counts as full range whatever
    its tag says, because that is how swscale reads it.
    """
    layout = frame.format
    full = layout.is_rgb or is_gray(layout) or layout.name.startswith("yuvj") or frame.color_range == _FULL
    transfer, primaries = getattr(frame, "color_trc", 2), getattr(frame, "color_primaries", 2)
    return ColourTags(_matrix(frame), _said(transfer), _said(primaries), full)


def check_tags(tags: ColourTags, path: Path) -> None:
    """Refuse what would be shown in wrong colours.

    Raises:
        InputError: a matrix, transfer or primaries that cannot be converted.
    """
    _check(path, "colour matrix", tags.matrix, (RGB, *LUMA_WEIGHTS), _REFUSED_MATRICES)
    _check(path, "transfer characteristic", tags.transfer, (*_SDR_TRANSFERS, *HDR), _REFUSED_TRANSFERS)
    _check(path, "colour primaries", tags.primaries, (*_PLAIN_PRIMARIES, *_OTHER_PRIMARIES), _REFUSED_PRIMARIES)


def reads_plainly(tags: ColourTags) -> bool:
    """Whether R'G'B' of these tags is shown as it is, as BT.709 is; else it goes through `lib.video.sdr`."""
    return tags.transfer in _SDR_TRANSFERS and tags.primaries in _PLAIN_PRIMARIES


def white_of_rgb48(frame: VideoFrame) -> int:
    """What swscale makes of signal 1 when it converts a frame to rgb48: it shifts bits, which seldom gives 65535."""
    bits = max(part.bits for part in frame.format.components)
    if frame.format.is_rgb and bits > 8:
        return DEEPEST
    if not tags_of(frame).full_range or bits < 8:
        bits = 8
    return ((1 << bits) - 1) << (16 - bits)


def is_gray(layout: VideoFormat) -> bool:
    """Whether a pixel format has one component besides alpha, and no palette."""
    return not layout.has_palette and sum(not part.is_alpha for part in layout.components) == 1


def _matrix(frame: VideoFrame) -> int:
    if frame.format.is_rgb or frame.format.has_palette:
        return RGB
    if frame.colorspace in (UNSPECIFIED, *_RESERVED):
        if getattr(frame, "color_primaries", 2) == BT2020:
            return BT2020
        rows, columns = _GUESSED_709
        return BT709 if frame.height > rows or frame.width >= columns else BT601
    return int(frame.colorspace)


def _said(number: int) -> int:
    return UNSPECIFIED if number in _RESERVED else int(number)


def _check(path: Path, what: str, found: int, expected: tuple[int, ...], names: dict[int, str]) -> None:
    if found in expected:
        return
    name = names.get(found, "unknown")
    raise InputError(
        f"{path}: found {what} {found} ({name}), expected one of {', '.join(map(str, expected))} of H.273; "
        "convert the video to BT.709, BT.2020, HLG or PQ, or correct the tag if it is wrong"
    )
