"""What HDR files say of the display they were made on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame

_DYNAMIC = {
    "DYNAMIC_HDR_PLUS": "the HDR10+ metadata",
    "DOVI_METADATA": "the Dolby Vision metadata",
    "DYNAMIC_HDR_VIVID": "the HDR Vivid metadata",
}
_CHROMATICITY_UNIT, _LUMINANCE_UNIT = 50_000, 10_000  # parts of 1 and of 1 cd/m², as HEVC counts them


@dataclass(frozen=True)
class HdrMetadata:
    """Metadata of HDR10, written as x265 takes them; empty where a source has none."""

    mastering_display: str = ""
    light_levels: str = ""  # brightest pixel and brightest frame, in cd/m²
    lost: tuple[str, ...] = ()  # in words: what cannot be passed on

    @property
    def static(self) -> bool:
        return bool(self.mastering_display or self.light_levels)


def hdr_metadata(frame: VideoFrame) -> HdrMetadata:
    """What a decoded frame carries."""
    carried = {part.type.name: part for part in cast(Any, frame.side_data)}
    mastering = carried.get("MASTERING_DISPLAY_METADATA")
    levels = carried.get("CONTENT_LIGHT_LEVEL")
    return HdrMetadata(
        "" if mastering is None else _mastering(bytes(mastering)),
        "" if levels is None else "{},{}".format(*np.frombuffer(bytes(levels), np.uint32, 2)),
        tuple(text for name, text in _DYNAMIC.items() if name in carried),
    )


def _mastering(content: bytes) -> str:
    """FFmpeg's AVMasteringDisplayMetadata: ten fractions and two flags, all of 32 bits."""
    numbers = np.frombuffer(content, np.int32, 22)
    if not numbers[20:].all():  # primaries or luminances are not known
        return ""
    fractions = numbers[:20:2] / np.maximum(numbers[1:20:2], 1)
    red, green, blue, white = (np.rint(fractions[:8] * _CHROMATICITY_UNIT).astype(int).reshape(4, 2)).tolist()
    darkest, brightest = np.rint(fractions[8:] * _LUMINANCE_UNIT).astype(int).tolist()
    corners = zip("GBR", (green, blue, red), strict=True)
    named = "".join(f"{name}({x},{y})" for name, (x, y) in corners)
    return f"{named}WP({white[0]},{white[1]})L({brightest},{darkest})"
