"""What a mask picture's header says about how it is to be read, without its pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from lib.errors import InputError
from lib.video.images import open_image

_LOSSLESS_FORMATS = frozenset({"PNG", "BMP", "DIB", "TIFF", "GIF", "PPM", "TGA", "QOI", "SGI", "PCX"})
_LOSSY_TIFF = frozenset({"jpeg", "tiff_jpeg", "webp"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_PNG_TEXT = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})  # where an orientation may be written
_ORIENTATIONS = range(2, 9)  # those that change the picture
_TURNS = range(5, 9)  # those that swap height and width
# What Pillow raises on headers that are damaged.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, struct.error)


@dataclass(frozen=True)
class MaskHeader:
    """How a mask picture is stored."""

    size: tuple[int, int]  # (H, W) upright
    turned: bool  # stored turned or mirrored
    lossless: bool
    alpha: bool
    bright_first: bool  # a palette whose index 0 is not black, as far as is known


def read_header(path: Path) -> MaskHeader:
    """The header of a picture file.

    Raises:
        InputError: the file is missing or no picture.
    """
    with open_image(path, pixels=False) as image, readable(path):
        check_depth(image, path)
        orientation = _orientation(image, path)
        turns = orientation in _TURNS and image.format != "TIFF"  # there Pillow tells the upright size
        return MaskHeader(
            size=(image.width, image.height) if turns else (image.height, image.width),
            turned=orientation in _ORIENTATIONS,
            lossless=is_lossless(image, path),
            alpha=has_alpha(image),
            bright_first=image.mode in ("P", "PA") and not _black_first(image),
        )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what a damaged header raises into an InputError."""
    try:
        yield
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path}: picture cannot be decoded ({error}); expected a whole picture file") from error


def is_animation(path: Path) -> bool:
    """Whether a file holds more than one picture.

    Raises:
        InputError: the file is missing or no picture.
    """
    with open_image(path, pixels=False) as image, readable(path):
        return holds_several(image)


def holds_several(image: Image.Image) -> bool:
    """Whether there are pages or an animation; cameras put previews behind a JPEG, which do not count."""
    return image.format not in ("MPO", "JPEG") and getattr(image, "n_frames", 1) > 1


def check_depth(image: Image.Image, path: Path) -> None:
    """Refuse what Pillow misreads: a BMP of a byte a pixel, black and white, is taken for one of a bit a pixel.

    Raises:
        InputError: the picture that was opened from `path` is such a file.
    """
    if image.format != "BMP" or image.mode != "1":
        return
    with path.open("rb") as file:
        head = file.read(30)
    bits = int.from_bytes(head[28:30], "little")
    if int.from_bytes(head[14:18], "little") >= 40 and bits != 1:
        raise InputError(
            f"{path}: a BMP file of {bits} bits a pixel with a palette of 2 colours cannot be read; save it as PNG"
        )


def has_alpha(image: Image.Image) -> bool:
    """Whether a picture has an alpha channel or a palette with transparent entries."""
    return image.mode in _ALPHA_MODES or (image.mode == "P" and "transparency" in image.info)


def is_lossless(image: Image.Image, path: Path) -> bool:
    """Whether the picture that was opened from `path` has the values that were written."""
    if image.format == "WEBP":
        return b"VP8L" in set(_webp_chunks(path))
    if image.format == "TIFF":
        return image.info.get("compression") not in _LOSSY_TIFF
    return image.format in _LOSSLESS_FORMATS


def _webp_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(12)  # RIFF, size, WEBP
        while len(head := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", head)
            yield kind
            file.seek(16 if kind == b"ANMF" else size + size % 2, 1)  # an animation's frame holds chunks itself


def _orientation(image: Image.Image, path: Path) -> int:
    if image.format == "PNG" and _PNG_TEXT.isdisjoint(_png_chunks(path)):
        return 1  # asking Pillow would decode all pixels: the chunk may come after them
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _png_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(8)  # signature
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            yield kind
            file.seek(size + 4, 1)  # data, checksum


def _black_first(image: Image.Image) -> bool:
    """Whether index 0 is black; False also where the palette's layout is not known before decoding."""
    if image.palette is None:
        return False
    layout, data = image.palette.rawmode or image.palette.mode, bytes(image.palette.palette)
    if layout == "RGB;L":  # a plane for each colour
        return not any(data[:: max(len(data) // 3, 1)][:3])
    return layout in ("RGB", "BGR", "BGRX", "RGBX") and not any(data[:3])
