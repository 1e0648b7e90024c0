"""Which videos, masks and sources of three folders belong together, by name (without pydantic, unlike `lib.video`).

A video is `<name>/` with frames, `<name>.mp4` (and other video files), a picture `<name>.png`, or `<name>/` with this
project's own result, or a video and no more, in it. Masks are `<name>/`, a video or a picture, also as `<name>_mask`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.errors import InputError
from lib.video.entries import folder_problem, is_folder, look_at
from lib.video.images import holds_pictures, list_folder
from lib.video.names import length_problem
from lib.video.nested import MASK_ENDING, holds_nested_videos, picture_folders, sub_folders
from lib.video.suffixes import FRAME_SUFFIXES, VIDEO_SUFFIXES, some_suffixes, suffix_of, unsupported_kind

RESULT_FILES = ("diffueraser.mp4", "propainter.mp4", "propagation.mp4")  # the first is taken: later ones are its prior
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
    video_folder, videos = _videos(video_root, mask_root)
    mask_folder, masks = _masks(mask_root, videos)
    if video_root.resolve() == mask_root.resolve():
        videos = {name: paths for name, paths in videos.items() if not _is_mask_of_another(name, videos)}
        masks = {name: [path for path in paths if path not in videos.get(name, ())] for name, paths in masks.items()}
    masks = _by_video(masks, videos)
    if not any(masks.get(name) for name in videos):
        raise InputError(
            f"{mask_root}: found {_some(masks)}; expected masks named like the videos of {video_root}: {_some(videos)}"
        )
    sources = None if source_root is None else _videos(source_root, mask_root)[1]
    useless = {"video": _useless(video_folder), "mask": _useless(mask_folder)}
    pairs = [
        _pair(name, videos, masks, sources, {kind: found.get(name, "") for kind, found in useless.items()})
        for name in sorted({*videos, *(n for n in masks if masks[n]), *useless["video"]})
    ]
    return [p for p in pairs if isinstance(p, FolderVideo)], [p for p in pairs if isinstance(p, LeftOut)]


def _pair(
    name: str, videos: _Found, masks: _Found, sources: _Found | None, useless: Mapping[str, str]
) -> FolderVideo | LeftOut:
    found = {"video": videos.get(name, []), "mask": masks.get(name, [])}
    if sources is not None:
        found["source"] = sources.get(name, [])
    if problem := length_problem(name):
        return LeftOut(name, f"the name {problem}; rename it")
    for kind, paths in found.items():
        if not paths and kind == "video":
            return LeftOut(name, useless["video"] or "has a mask but no video")
        if not paths:
            return LeftOut(name, f"has no {kind}{': ' * bool(useless.get(kind))}{useless.get(kind, '')}")
        if len(paths) > 1:
            return LeftOut(name, f"more than one {kind}: {', '.join(path.name for path in paths)}; keep one")
        if is_folder(paths[0]) and (problem := folder_problem(paths[0])):
            return LeftOut(name, f"the {kind} cannot be read: {problem}")
    return FolderVideo(name, found["video"][0], found["mask"][0], found["source"][0] if sources is not None else None)


def _videos(root: Path, mask_root: Path) -> tuple[Path, _Found]:
    """The root, or its one sub-folder that holds any videos; name -> their paths."""
    folder, found = _or_one_folder_below(root, lambda root: _videos_in(root, mask_root))
    if not found:
        raise InputError(
            f"{root}: found no videos; expected folders of frames, {some_suffixes((*VIDEO_SUFFIXES, *FRAME_SUFFIXES))} "
            f"files, or folders with one of {', '.join(RESULT_FILES)}{_hint(_useless(folder))}"
        )
    return folder, found


def _masks(root: Path, videos: Mapping[str, object]) -> tuple[Path, _Found]:
    """The root, or its one sub-folder that has a video's name in it; name -> paths of what may be masks."""

    def fitting(folder: Path) -> _Found:
        found = _masks_in(folder)
        return found if any(name in videos or name.removesuffix(MASK_ENDING) in videos for name in found) else {}

    folder, found = _or_one_folder_below(root, fitting)
    return folder, found or _masks_in(root)


def _or_one_folder_below(root: Path, look: Callable[[Path], _Found]) -> tuple[Path, _Found]:
    if not is_folder(root):
        found = "a file" if look_at(root).kind == "file" else "nothing"
        raise InputError(f"{root}: found {found}, expected a folder with one entry for each video; check the path")
    here = look(root)
    if here:
        return root, here
    below = {folder: look(folder) for folder in sub_folders(root) if not folder_problem(folder)}
    fitting = [folder for folder, found in below.items() if found]
    if len(fitting) > 1:
        raise InputError(f"{root}: several of its folders would do, choose one: {', '.join(map(str, fitting))}")
    return (fitting[0], below[fitting[0]]) if fitting else (root, {})


def _videos_in(root: Path, mask_root: Path) -> _Found:
    """Folders whose frames are one folder deeper count where nothing speaks for data sets in them."""
    found = _entries(root, _video_of_folder)
    if found or holds_nested_videos(root, mask_root):
        return _entries(root, lambda folder: _video_of_folder(folder) or (folder if picture_folders(folder) else None))
    return {}


def _masks_in(root: Path) -> _Found:
    return _entries(root, lambda folder: folder)


def _entries(root: Path, of_folder: Callable[[Path], Path | None]) -> _Found:
    found: _Found = {}
    for look in map(look_at, list_folder(root)):
        path = look.path
        if look.kind == "folder":
            if chosen := of_folder(path):
                found.setdefault(path.name, []).append(chosen)
        elif look.kind == "file" and suffix_of(path) in (*VIDEO_SUFFIXES, *FRAME_SUFFIXES):
            found.setdefault(path.stem, []).append(path)
    return found


def _useless(root: Path) -> dict[str, str]:
    """Name -> why an entry cannot be read: an unsupported kind, no file at all."""
    reasons: dict[str, str] = {}
    for look in map(look_at, list_folder(root)):
        unsupported = unsupported_kind(look.path) if look.kind == "file" else None
        known = suffix_of(look.path) in (*VIDEO_SUFFIXES, *FRAME_SUFFIXES, "")
        if unsupported or (look.problem and known):
            reasons.setdefault(look.path.stem, look.problem or f"{look.path.name}: {unsupported}")
    return reasons


def _video_of_folder(folder: Path) -> Path | None:
    """The result in a folder of this project's, else the folder itself if it holds frames, else its only video."""
    try:
        items = list_folder(folder)
    except InputError:  # said again, as this video's, when it is paired
        return folder
    results = [folder / name for name in RESULT_FILES if look_at(folder / name).kind == "file"]
    if results:
        return results[0]
    if holds_pictures(folder):
        return folder
    videos = [item for item in items if suffix_of(item) in VIDEO_SUFFIXES and look_at(item).kind == "file"]
    if len(videos) == 1:
        return videos[0]
    return folder if folder_problem(folder) else None


def _hint(useless: Mapping[str, str]) -> str:
    return f"; {next(iter(useless.values()))}" if useless else ""


def _by_video(masks: _Found, videos: _Found) -> _Found:
    """Masks named `<name>_mask` under their video's name where that has no mask of its own name."""
    renamed: _Found = {}
    for name, paths in masks.items():
        base = name.removesuffix(MASK_ENDING)
        renamed[base if base in videos and not masks.get(base) else name] = paths
    return renamed


def _is_mask_of_another(name: str, videos: Mapping[str, Sequence[Path]]) -> bool:
    return name.endswith(MASK_ENDING) and name.removesuffix(MASK_ENDING) in videos


def _some(found: Mapping[str, object]) -> str:
    names = sorted(name for name, paths in found.items() if paths)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"
