"""Which videos, masks and sources of three folders belong together, by name (without pydantic, unlike `lib.video`).

A video is `<name>/` with frames, `<name>.mp4` (and other video files), a picture `<name>.png`, or `<name>/` with this
project's own result, or a video and no more, in it. Masks are `<name>/`, a video or a picture, also as `<name>_mask`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.errors import InputError
from lib.video.clip import VIDEO_SUFFIXES
from lib.video.images import FRAME_SUFFIXES, list_folder

RESULT_FILES = ("diffueraser.mp4", "propainter.mp4", "propagation.mp4")  # the first is taken: later ones are its prior
_MASK_ENDING = "_mask"
_Found = dict[str, list[Path]]


@dataclass(frozen=True)
class FolderVideo:
    """One video of a folder, and what goes with it."""

    name: str
    video_path: Path
    mask_path: Path
    source_path: Path | None  # the video in which the object still is, where such a folder was given


@dataclass(frozen=True)
class LeftOut:
    """An entry that cannot be captioned."""

    name: str
    reason: str


def find_videos(
    video_root: Path, mask_root: Path, source_root: Path | None = None
) -> tuple[list[FolderVideo], list[LeftOut]]:
    """Pair videos with masks (and sources) by name, in alphabetical order. Only folders are listed, nothing is read.

    Each root may also be the folder above, if only one of its sub-folders fits (`JPEGImages/480p`).

    Raises:
        InputError: a root is missing or no folder, holds no video, or no video has masks.
    """
    videos = _videos(video_root)
    masks = _masks(mask_root, videos)
    if video_root.resolve() == mask_root.resolve():
        videos = {name: paths for name, paths in videos.items() if not _is_mask_of_another(name, videos)}
        masks = {name: [path for path in paths if path not in videos.get(name, ())] for name, paths in masks.items()}
    masks = _by_video(masks, videos)
    if not any(masks.get(name) for name in videos):
        raise InputError(
            f"{mask_root}: found {_some(masks)}; expected masks named like the videos of {video_root}: {_some(videos)}"
        )
    sources = None if source_root is None else _videos(source_root)
    pairs = [_pair(name, videos, masks, sources) for name in sorted({*videos, *(n for n in masks if masks[n])})]
    return [p for p in pairs if isinstance(p, FolderVideo)], [p for p in pairs if isinstance(p, LeftOut)]


def _pair(name: str, videos: _Found, masks: _Found, sources: _Found | None) -> FolderVideo | LeftOut:
    found = {"video": videos.get(name, []), "mask": masks.get(name, [])}
    if sources is not None:
        found["source"] = sources.get(name, [])
    for kind, paths in found.items():
        if not paths:
            return LeftOut(name, f"has no {kind}" if kind != "video" else "has a mask but no video")
        if len(paths) > 1:
            return LeftOut(name, f"more than one {kind}: {', '.join(path.name for path in paths)}; keep one")
    return FolderVideo(name, found["video"][0], found["mask"][0], found["source"][0] if sources is not None else None)


def _videos(root: Path) -> _Found:
    """Name -> paths of the videos in the root, or in its one sub-folder that holds any."""
    found = _or_one_folder_below(root, _videos_in)
    if not found:
        raise InputError(
            f"{root}: found no videos; expected folders of frames, {', '.join((*VIDEO_SUFFIXES, *FRAME_SUFFIXES))} "
            f"files, or folders with one of {', '.join(RESULT_FILES)}"
        )
    return found


def _masks(root: Path, videos: Mapping[str, object]) -> _Found:
    """Name -> paths of what may be masks in the root, or in its one sub-folder that has a video's name in it."""

    def fitting(folder: Path) -> _Found:
        found = _masks_in(folder)
        return found if any(name in videos or name.removesuffix(_MASK_ENDING) in videos for name in found) else {}

    return _or_one_folder_below(root, fitting) or _masks_in(root)


def _or_one_folder_below(root: Path, look: Callable[[Path], _Found]) -> _Found:
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise InputError(f"{root}: found {found}, expected a folder with one entry for each video; check the path")
    here = look(root)
    if here:
        return here
    below = {folder: look(folder) for folder in list_folder(root) if folder.is_dir()}
    fitting = [folder for folder, found in below.items() if found]
    if len(fitting) > 1:
        raise InputError(f"{root}: several of its folders would do, choose one: {', '.join(map(str, fitting))}")
    return below[fitting[0]] if fitting else {}


def _videos_in(root: Path) -> _Found:
    return _entries(root, _video_of_folder)


def _masks_in(root: Path) -> _Found:
    return _entries(root, lambda folder: folder)


def _entries(root: Path, of_folder: Callable[[Path], Path | None]) -> _Found:
    found: _Found = {}
    for item in list_folder(root):
        if item.is_dir():
            path = of_folder(item)
            if path:
                found.setdefault(item.name, []).append(path)
        elif item.suffix.lower() in (*VIDEO_SUFFIXES, *FRAME_SUFFIXES):
            found.setdefault(item.stem, []).append(item)
    return found


def _video_of_folder(folder: Path) -> Path | None:
    """The result in a folder of this project's, else the folder itself if it holds frames, else its only video."""
    try:
        items = list_folder(folder)
    except InputError:  # said again, as this video's failure, when its frames are read
        return folder
    results = [folder / name for name in RESULT_FILES if (folder / name).is_file()]
    if results:
        return results[0]
    if any(item.suffix.lower() in FRAME_SUFFIXES for item in items):
        return folder
    videos = [item for item in items if item.suffix.lower() in VIDEO_SUFFIXES]
    return videos[0] if len(videos) == 1 else None


def _by_video(masks: _Found, videos: _Found) -> _Found:
    """Masks named `<name>_mask` under their video's name where that has no mask of its own name."""
    renamed: _Found = {}
    for name, paths in masks.items():
        base = name.removesuffix(_MASK_ENDING)
        renamed[base if base in videos and not masks.get(base) else name] = paths
    return renamed


def _is_mask_of_another(name: str, videos: Mapping[str, Sequence[Path]]) -> bool:
    return name.endswith(_MASK_ENDING) and name.removesuffix(_MASK_ENDING) in videos


def _some(found: Mapping[str, object]) -> str:
    names = sorted(name for name, paths in found.items() if paths)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"
