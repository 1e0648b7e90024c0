"""Still pictures in folders: which files count, in which order, and how one is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from lib.errors import InputError

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `frame2` before `frame10`."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((1, int(part), part) if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def list_images(folder: Path) -> tuple[Path, ...]:
    """Picture files of a folder in natural order; hidden files are left out.

    Raises:
        InputError: the folder cannot be read, or two pictures share a stem, so that their order is unclear.
    """
    images = [item for item in list_folder(folder) if item.suffix.lower() in FRAME_SUFFIXES and item.is_file()]
    stems: dict[str, Path] = {}
    for image in images:
        other = stems.setdefault(image.stem, image)
        if other != image:
            raise InputError(
                f"{folder}: holds both {other.name} and {image.name}; expected one picture a frame, remove one kind"
            )
    return tuple(images)


def list_folder(folder: Path) -> tuple[Path, ...]:
    """Everything in a folder except hidden files, in natural order.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        items = [item for item in folder.iterdir() if not item.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read as a folder ({error.strerror}); check path and rights") from error
    return tuple(sorted(items, key=lambda item: natural_key(item.name)))


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A decoded picture in the mode of its file.

    Raises:
        InputError: the file is missing, truncated or no picture.
    """
    try:
        image = Image.open(path)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: picture cannot be decoded ({error}); expected a whole JPEG or PNG file") from error
    with image:
        yield image
