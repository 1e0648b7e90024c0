"""Still pictures in folders: which files count and in which order. How one is read is in `pictures`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lib.errors import InputError
from lib.video.entries import is_folder, look_at
from lib.video.pictures import open_image, picture_reading, read_frame_picture, upright
from lib.video.suffixes import (
    FRAME_SUFFIXES,
    VIDEO_SUFFIXES,
    is_unsupported_picture,
    picture_kind,
    some_suffixes,
    suffix_of,
    unsupported_kind,
)

__all__ = [
    "FRAME_SUFFIXES",
    "counts_more",
    "folder_reading",
    "frame_folder",
    "held_instead",
    "holds_pictures",
    "list_folder",
    "list_frames",
    "list_images",
    "natural_key",
    "open_image",
    "picture_reading",
    "read_frame_picture",
    "upright",
]

_MOST_NAMES = 5
_FIRST_SUFFIXES = (".jpg", ".jpeg", ".png")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `frame2` before `frame10`."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((1, int(part), part) if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def list_images(folder: Path) -> tuple[Path, ...]:
    """Picture files of a folder in natural order; hidden files and what is no picture are left out.

    Raises:
        InputError: the folder or a picture in it cannot be looked at, two pictures share a stem, so that their order
            is unclear, or they are of different kinds, so that some may not belong there.
    """
    looks = [look_at(item) for item in list_folder(folder) if picture_kind(item)]
    pictures = [look.path for look in looks if look.kind != "folder"]
    images = [item for item in pictures if suffix_of(item) in FRAME_SUFFIXES]
    if problems := [look.problem for look in looks if look.problem]:
        raise InputError(f"{folder}: {problems[0]}; copy the picture again or remove the entry")
    stems: dict[str, Path] = {}
    for image in images:
        other = stems.setdefault(image.stem, image)
        if other != image:
            raise InputError(
                f"{folder}: holds both {other.name} and {image.name}; expected one picture a frame, remove one kind"
            )
    # A raw file beside each picture, as cameras write them, is no frame that is missing.
    lone = [item for item in pictures if is_unsupported_picture(item) and item.stem not in stems]
    if images:
        _check_one_kind(folder, [*images, *lone])
    return tuple(images)


def list_frames(folder: Path) -> tuple[Path, ...]:
    """Frames of a video that is a folder, in playing order; see `frame_folder`.

    Raises:
        InputError: see `list_images` and `frame_folder`; or there are none.
    """
    inner = frame_folder(folder)
    images = list_images(inner)
    if not images:
        raise InputError(
            f"{folder}: found no frames, expected files ending in {some_suffixes(FRAME_SUFFIXES)}{held_instead(inner)}"
        )
    return images


def frame_folder(path: Path) -> Path:
    """The folder itself, or, where it holds no pictures, its only sub-folder that does (`<name>/frames/`).

    Raises:
        InputError: it cannot be read, several sub-folders hold pictures, or it holds one itself and one holds several.
    """
    items = list_folder(path)
    folders = [item for item in items if is_folder(item)]
    if own := _pictures_of(items):
        _check_alone(path, own, folders)
        return path
    inner = [folder for folder in folders if holds_pictures(folder)]
    if not inner and not any(picture_kind(item) for item in items):
        inner = [folder for folder in folders if holds_pictures(folder, unsupported=True)]
    if len(inner) > 1:
        raise InputError(
            f"{path}: holds no pictures itself, but {len(inner)} folders of pictures: {_some(inner)}; "
            "expected the frames of one video, leave one"
        )
    return inner[0] if inner else path


def _check_alone(folder: Path, own: list[Path], folders: list[Path]) -> None:
    """Refuse one picture beside a folder of pictures: it may be a preview, which would pass for the whole video."""
    if len(own) > 1:
        return
    for inner in folders:
        try:
            count = len(_pictures_of(list_folder(inner)))
        except InputError:
            continue
        if count > 1:
            raise InputError(
                f"{folder}: holds the picture {own[0].name} and, in {inner.name}, {count} pictures; "
                "expected the frames of one video, move what is none of them elsewhere"
            )


def _pictures_of(items: Iterable[Path]) -> list[Path]:
    return [item for item in items if suffix_of(item) in FRAME_SUFFIXES and not is_folder(item)]


def holds_pictures(folder: Path, *, unsupported: bool = False) -> bool:
    """Whether a folder holds pictures that can be read, or others too; False where it cannot be listed."""
    try:
        items = list_folder(folder)
    except InputError:
        return False
    wanted = [item for item in items if suffix_of(item) in FRAME_SUFFIXES or (unsupported and picture_kind(item))]
    return any(not is_folder(item) for item in wanted)


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


def folder_reading(folder: Path) -> dict[str, Any]:
    """`picture_reading` of all frames together: a value where they agree, a sorted list of values where they do not.

    `more_kinds`: see `counts_more`.

    Raises:
        InputError: see `list_frames`, or a picture cannot be opened.
    """
    images = list_frames(folder)
    found: dict[str, set[Any]] = {"more_kinds": {True}} if counts_more(images) else {}
    for image in images:
        for key, value in picture_reading(image).items():
            found.setdefault(key, set()).add(value)
    return {key: sorted(values) if len(values) > 1 else min(values) for key, values in sorted(found.items())}


def counts_more(images: Iterable[Path]) -> bool:
    """Whether some pictures of a folder count that did not once, when only JPG, JPEG and PNG files did."""
    counted = {suffix_of(image) in _FIRST_SUFFIXES for image in images}
    return len(counted) == 2


def _check_one_kind(folder: Path, pictures: list[Path]) -> None:
    """Refuse a folder of several kinds of pictures; the kind that is seen most is taken for the right one."""
    kinds = Counter(picture_kind(item) for item in pictures)
    if len(kinds) < 2:
        return
    usual, count = kinds.most_common(1)[0]
    others = [item for item in pictures if picture_kind(item) != usual]
    advice = dict.fromkeys(reason for item in others if (reason := unsupported_kind(item)))
    raise InputError(
        f"{folder}: holds {count} {usual} pictures, and of other kinds {_some(others)}; expected pictures of one kind, "
        "in order, as each stands for a frame; move the others elsewhere" + "".join(f" ({reason})" for reason in advice)
    )


def held_instead(folder: Path) -> str:
    """What a folder without pictures holds that could be meant, as the end of a message."""
    items = [item for item in list_folder(folder) if not is_folder(item)]
    for item in items:
        if reason := unsupported_kind(item):
            count = sum(suffix_of(other) == suffix_of(item) for other in items)
            return f"; it holds {count} files like {item.name}: {reason}"
    videos = [item for item in items if suffix_of(item) in VIDEO_SUFFIXES]
    if len(videos) == 1:
        return f"; it holds the video {videos[0].name}: give that file itself"
    return f"; it holds {len(videos)} files like {videos[0].name}: convert them to PNG" if videos else ""


def _some(paths: Iterable[Path]) -> str:
    names = [path.name for path in paths]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
