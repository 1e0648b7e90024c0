"""Reading one still picture: upright, opaque, 8 bits, in sRGB, whatever its file holds.

Pillow reads all but planar TIFF files of 16 bits, which it takes for something else: imageio does, where it is there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.profiles import ColourProfile, read_profile
from lib.video.suffixes import PILLOW_FORMATS

# What Pillow raises on files that are no pictures, cut off, damaged or absurdly large.
_UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, LookupError, TypeError, ArithmeticError),
    Image.DecompressionBombError,
)
_BITS, _INVERTED, _ORIENTATION, _PLANES = 258, 262, 274, 284  # tags of TIFF files
_EIGHT_BITS = "save it with 8 or 16 bits for each colour"
_TRANSPARENT = input_note("pictures have transparent pixels: they were laid over black; save them without transparency")
_BAD_PROFILE = input_note("the pictures' colour profile is damaged or not made for them: it was left out")
_SEVERAL = input_note("picture files hold several pictures each: only the first was taken")
_NO_INKS = input_note("pictures are CMYK without a colour profile: their colours are a guess; save them as RGB")


@contextmanager
def open_image(path: Path, *, pixels: bool = True) -> Iterator[Image.Image]:
    """A picture in the mode of its file: decoded, or with `pixels=False` only what its header says.

    Raises:
        InputError: the file is missing, truncated or no picture.
    """
    with _decoding(path):
        image = Image.open(path, formats=_formats())
        if _is_mapped_sideways(image):
            image.filename = ""
        if pixels:
            image.load()
    with image:
        yield image


def upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation says, in its own mode."""
    return ImageOps.exif_transpose(image)


def read_frame_picture(path: Path) -> tuple[np.ndarray, tuple[Note, ...]]:
    """A frame (H, W, 3) uint8 RGB, and what is in doubt about it; notes name no file, so that frames share them.

    Orientation and colour profile are honoured, 16 bits become 8 (the upper ones), transparent pixels lie on black.

    Raises:
        InputError: the file cannot be decoded, or holds values that have no meaning as colours (float, 32 bits).
    """
    with open_image(path, pixels=False) as image:
        notes = [_SEVERAL] if _holds_several(image) else []
        if _is_deep_planar(image):
            return _read_planar(path), tuple(notes)
        with _decoding(path):
            image.load()
            turned = upright(image)
            alpha = _alpha(turned)
        colours, found = _in_srgb(_eight_bits(turned, image, path), image)
        notes += found
        if alpha is not None:
            notes.append(_TRANSPARENT)
            colours = ((colours.astype(np.uint16) * alpha[..., None] + 127) // 255).astype(np.uint8)
    return colours, tuple(notes)


def picture_reading(path: Path) -> dict[str, Any]:
    """What is special in how a picture is read, in JSON's types; {} for what needs no more than a plain decoder.

    `icc`: the profile that is converted from; `alpha`: it has transparent pixels; `depth`, `inverted`, `planar`,
    `sideways`: how a TIFF file stores its values. Looks into the header alone, and at the pixels where there is an
    alpha channel.

    Raises:
        InputError: the file cannot be opened.
    """
    reading: dict[str, Any] = {}
    with open_image(path, pixels=False) as image:
        if _is_deep_planar(image):
            return {"planar": True}
        if (profile := _profile(image)) and not profile.is_srgb:
            reading["icc"] = profile.description
        if image.format == "TIFF" and image.mode.startswith("I"):
            reading |= {"inverted": True} if _tag(image, _INVERTED) == 0 else {}
            reading |= {"depth": 12} if _tag(image, _BITS) == 12 else {}
        reading |= {"sideways": True} if not getattr(image, "filename", path) else {}
        transparent = image.has_transparency_data
    if transparent:
        with open_image(path) as image:
            if _alpha(image) is not None:
                reading["alpha"] = True
    return reading


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise InputError(f"{path}: picture cannot be decoded ({error}); expected a whole picture file") from error


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in PILLOW_FORMATS if name in Image.OPEN)


def _holds_several(image: Image.Image) -> bool:
    """Pages or an animation. Cameras put previews and depth behind a JPEG (MPO): these are no frames."""
    try:
        return image.format not in ("MPO", "JPEG") and getattr(image, "n_frames", 1) > 1
    except _UNREADABLE:  # what follows the first picture is damaged
        return True


def _profile(image: Image.Image) -> ColourProfile | None:
    content = image.info.get("icc_profile")
    profile = read_profile(bytes(content)) if content else None
    return profile if profile and profile.fits(image.mode) else None


def _alpha(image: Image.Image) -> np.ndarray | None:
    """(H, W) uint8 opacity, or None where every pixel is opaque."""
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I"):  # a gray value that stands for nothing
        return np.where(np.asarray(image) == image.info["transparency"], 0, 255).astype(np.uint8)
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else image.convert("RGBA").getchannel("A")
    return None if alpha.getextrema()[0] == 255 else np.asarray(alpha)


def _eight_bits(image: Image.Image, original: Image.Image, path: Path) -> Image.Image:
    """The picture with 8 bits for each colour; `original` is the file's own, which has its tags."""
    if image.mode == "F":
        raise InputError(f"{path}: holds float values, expected a picture of whole numbers; {_EIGHT_BITS}")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)  # Pillow would clip instead of scaling
    if values.min() < 0 or values.max() > 65_535:
        raise InputError(
            f"{path}: holds values from {values.min()} to {values.max()}, expected 0 to 65535; {_EIGHT_BITS}"
        )
    if _tag(original, _INVERTED) == 0:
        values = (4095 if _tag(original, _BITS) == 12 else 65_535) - values
    return Image.fromarray((values >> (4 if _tag(original, _BITS) == 12 else 8)).astype(np.uint8))


def _in_srgb(image: Image.Image, original: Image.Image) -> tuple[np.ndarray, list[Note]]:
    """(H, W, 3) uint8 of a picture of 8 bits, without its alpha channel."""
    profile = _profile(original)
    notes = [_BAD_PROFILE] if original.info.get("icc_profile") and not profile else []
    if profile and not profile.is_srgb:
        image = profile.to_srgb(image.convert(profile.mode))
    elif image.mode == "CMYK":
        notes.append(_NO_INKS)
    elif image.mode == "P" and image.has_transparency_data:
        image = image.convert("RGBA")  # as Pillow wants it
    return np.array(image.convert("RGB")), notes


def _tag(image: Image.Image, number: int) -> Any:
    """A tag of a TIFF file, the first of several values; None elsewhere."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) and value else value


def _is_mapped_sideways(image: Image.Image) -> bool:
    """Whether Pillow would map a TIFF file into memory in the size that it has only once it is turned upright.

    That shears it. Without a file name it reads the file instead.
    """
    return (
        isinstance(image, ImageFile.ImageFile)
        and image.format == "TIFF"
        and (_tag(image, _ORIENTATION) or 1) > 4
        and len(image.tile) == 1
        and image.tile[0].codec_name == "raw"
        and image.mode != "RGB"
    )


def _is_deep_planar(image: Image.Image) -> bool:
    return image.format == "TIFF" and image.mode == "RGB" and _tag(image, _BITS) == 16 and _tag(image, _PLANES) == 2


def _read_planar(path: Path) -> np.ndarray:
    try:
        import imageio.v3 as imageio

        planes = imageio.imread(path, plugin="tifffile", index=0)
    except (ImportError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: 16 bits in planes cannot be decoded ({error}); save it with interleaved colours"
        ) from error
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1) >> 8).astype(np.uint8)
