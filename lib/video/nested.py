"""Roots whose videos keep their frames one folder deeper: `<root>/<name>/frames/*.jpg`.

From names alone this looks like data sets in a root, `<root>/480p/<name>/*.jpg`: the masks' names tell them apart.
"""

from __future__ import annotations

from pathlib import Path

from lib.errors import InputError
from lib.video.entries import is_folder
from lib.video.images import holds_pictures, list_folder

MASK_ENDING = "_mask"  # `<name>_mask` is a mask of `<name>`
# What people call a folder of frames; it counts only where the masks' names do not tell.
_FRAME_FOLDERS = ("frames", "frame", "images", "image", "imgs", "img", "rgb", "color", "colour", "pictures")
_FRAME_FOLDERS += ("jpg", "jpeg", "png", "tif", "tiff", "input", "source", "src", "video")


def holds_nested_videos(root: Path, partner_root: Path | None) -> bool:
    """Whether the folders of a root are videos with their frames one folder deeper, rather than data sets.

    Args:
        partner_root: where entries of the same names lie, the masks' root; None if there is none.
    """
    single = {folder: found[0] for folder in sub_folders(root) if len(found := picture_folders(folder)) == 1}
    if any(below.name.lower() in _FRAME_FOLDERS for below in single.values()):
        return True
    partners = _names(partner_root) if partner_root else set()
    if any(below.name in partners for below in single.values()):
        return False
    return any(
        folder.name in partners and partner_root and not is_folder(partner_root / folder.name / below.name)
        for folder, below in single.items()
    )


def picture_folders(folder: Path) -> list[Path]:
    """Sub-folders that hold pictures."""
    return [item for item in sub_folders(folder) if holds_pictures(item, unsupported=True)]


def sub_folders(folder: Path) -> list[Path]:
    """Folders in a folder; none where it cannot be listed, which is said when its video is read."""
    try:
        return [item for item in list_folder(folder) if is_folder(item)]
    except InputError:
        return []


def _names(root: Path) -> set[str]:
    try:
        items = list_folder(root)
    except InputError:
        return set()
    stems = {item.name if is_folder(item) else item.stem for item in items}
    return {stem.removesuffix(MASK_ENDING) for stem in stems}
