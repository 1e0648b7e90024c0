"""Colour profiles (ICC): from what a picture's numbers mean to sRGB, which everything else here takes for granted."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # a profile's colour space -> Pillow's mode for it
_SAME = 2  # levels: a profile that moves no colour by more is sRGB
_GRID = np.linspace(0, 255, 9).round().astype(np.uint8)


@dataclass(frozen=True)
class ColourProfile:
    """A profile that can be applied."""

    description: str
    mode: str  # the mode of the pictures that it is for: RGB, L or CMYK
    is_srgb: bool  # in effect: nothing is to be done
    to_srgb: Callable[[Image.Image], Image.Image]  # a picture in `mode` -> RGB

    def fits(self, mode: str) -> bool:
        """Whether pictures of this mode can be meant; a gray picture's profile may be one for RGB."""
        if self.mode == "RGB":
            return mode not in ("CMYK", "LAB")
        if self.mode == "L":
            return mode in ("1", "L", "LA", "F") or mode.startswith("I")
        return mode == self.mode


@lru_cache(maxsize=8)
def read_profile(content: bytes) -> ColourProfile | None:
    """The profile in an ICC file's bytes; None if it is damaged or of no use for pictures."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        mode = _SPACES.get(str(getattr(profile.profile, "xcolor_space", "")).strip())
        if mode is None:
            return None
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        description = ImageCms.getProfileDescription(profile).strip("\x00 \r\n\t") or "unnamed"
        return ColourProfile(description, mode, _is_srgb(transform, mode), transform.apply)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):  # the last: Pillow built without it
        return None


def _is_srgb(transform: object, mode: str) -> bool:
    """Whether a grid of colours stays where it is."""
    if mode == "CMYK":
        return False
    if mode == "L":
        colours = np.arange(256, dtype=np.uint8)[None]
        expected = np.repeat(colours[..., None], 3, axis=-1)
    else:
        colours = expected = np.stack(np.meshgrid(_GRID, _GRID, _GRID), axis=-1).reshape(1, -1, 3)
    moved = np.asarray(transform.apply(Image.fromarray(colours)))  # type: ignore[attr-defined]
    return bool(np.abs(moved.astype(int) - expected).max() <= _SAME)
