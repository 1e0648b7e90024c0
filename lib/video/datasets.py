"""Finding videos and their masks in data-set folders.

davis, youtube-vos: `<root>/<name>/` folders of pictures on both sides. custom: also `<name>.mp4` (and other video
files) on both sides, `<name>.png` as a mask for all frames, and masks named `<name>_mask`. inbox: a folder for each
video, `<root>/<name>/` with `video*` and `mask*` (and `gt*`), each a file or a folder of pictures.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from lib.errors import InputError
from lib.video.clip import FRAME_SUFFIXES, VIDEO_SUFFIXES
from lib.video.images import list_folder

DatasetKind = Literal["davis", "youtube-vos", "custom", "inbox"]
_MASK_SUFFIXES = (*VIDEO_SUFFIXES, *FRAME_SUFFIXES)
_MASK_ENDING = "_mask"


class Video(BaseModel):
    """A video and what belongs to it. Its name becomes a folder of the output, so it must be a plain file name."""

    model_config = ConfigDict(frozen=True)

    name: str
    video_path: Path
    mask_path: Path
    gt_path: Path | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if problem := name_problem(name):
            raise ValueError(f"video name {name!r} {problem}; rename the video")
        return name


@dataclass(frozen=True)
class Unmatched:
    """Something in a data set that is no complete video."""

    name: str
    reason: str


@dataclass(frozen=True)
class DatasetScan:
    """What a data set holds, by name in alphabetical order."""

    videos: tuple[Video, ...]
    unmatched: tuple[Unmatched, ...]


def name_problem(name: str) -> str | None:
    """Why a video's name cannot name an output folder, or None."""
    if not name.strip():
        return "is empty"
    if "/" in name or "\\" in name:
        return "contains a path separator"
    if name.startswith("."):
        return "starts with a dot"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        return "contains a control character"
    if any(0xD800 <= ord(char) < 0xE000 for char in name):
        return "is not valid UTF-8"
    return None


def scan_dataset(dataset: DatasetKind, video_root: Path, mask_root: Path, gt_root: Path | None = None) -> DatasetScan:
    """Pair videos with masks (and ground truth, where there is one) by name. Only folders are listed, nothing is read.

    Args:
        mask_root: the same as `video_root` with the data set inbox.

    Raises:
        InputError: a root is missing, is no folder, or holds no video.
    """
    if dataset == "inbox":
        return _scan_inbox(video_root)
    videos = _candidates(_resolve_video_root(dataset, video_root), dataset, VIDEO_SUFFIXES)
    masks = _candidates(_resolve_mask_root(dataset, mask_root, videos), dataset, _MASK_SUFFIXES)
    truths = _candidates(_resolve_video_root(dataset, gt_root), dataset, VIDEO_SUFFIXES) if gt_root else {}
    if dataset == "custom":
        masks = _without_ending(masks, videos)
        if video_root.resolve() == mask_root.resolve():
            videos = {name: paths for name, paths in videos.items() if not _is_mask_of_another(name, videos)}
            masks = {name: paths for name, paths in masks.items() if paths != videos.get(name)}
    found, unmatched = [], []
    for name in sorted({*videos, *masks}):
        result = _pair(name, videos.get(name, []), masks.get(name, []), truths.get(name, []))
        (found if isinstance(result, Video) else unmatched).append(result)
    return DatasetScan(tuple(found), tuple(unmatched))


def inbox_folders(root: Path) -> tuple[Path, ...]:
    """The folders of an inbox, one for each video; hidden ones are left out.

    Raises:
        InputError: the inbox is missing or cannot be read.
    """
    _check_root(root)
    return tuple(item for item in list_folder(root) if item.is_dir())


def inbox_video(folder: Path) -> Video | Unmatched:
    """What one folder of an inbox holds."""
    try:
        items = list_folder(folder)
    except InputError as error:
        return Unmatched(folder.name, str(error))
    videos, masks = _of_kind(items, "video", VIDEO_SUFFIXES), _of_kind(items, "mask", _MASK_SUFFIXES)
    if not videos and not masks:
        return Unmatched(folder.name, "holds neither video* nor mask*")
    return _pair(folder.name, videos, masks, _of_kind(items, "gt", VIDEO_SUFFIXES))


def _scan_inbox(root: Path) -> DatasetScan:
    found = [inbox_video(folder) for folder in inbox_folders(root)]
    if not found:
        raise InputError(f"{root}: found no folders, expected <name>/video* and <name>/mask*")
    return DatasetScan(
        videos=tuple(sorted((item for item in found if isinstance(item, Video)), key=lambda item: item.name)),
        unmatched=tuple(sorted((item for item in found if isinstance(item, Unmatched)), key=lambda item: item.name)),
    )


def _of_kind(items: Iterable[Path], kind: str, suffixes: tuple[str, ...]) -> list[Path]:
    named = [item for item in items if item.name.lower().startswith(kind)]
    return [item for item in named if item.is_dir() or item.suffix.lower() in suffixes]


def _pair(name: str, videos: list[Path], masks: list[Path], truths: list[Path]) -> Video | Unmatched:
    if problem := name_problem(name):
        return Unmatched(name, f"the name {problem}; rename it")
    for kind, paths in (("video", videos), ("mask", masks), ("ground truth", truths)):
        if len(paths) > 1:
            return Unmatched(name, f"more than one {kind}: {', '.join(path.name for path in paths)}; keep one")
    if not masks:
        return Unmatched(name, "has no mask")
    if not videos:
        return Unmatched(name, "has a mask but no video")
    return Video(name=name, video_path=videos[0], mask_path=masks[0], gt_path=truths[0] if truths else None)


def _candidates(root: Path, dataset: DatasetKind, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """Paths by the name of the video that they belong to."""
    _check_root(root)
    found: dict[str, list[Path]] = {}
    for item in list_folder(root):
        if item.is_dir():
            found.setdefault(item.name, []).append(item)
        elif dataset == "custom" and item.suffix.lower() in suffixes:
            found.setdefault(item.stem, []).append(item)
    return found


def _without_ending(masks: dict[str, list[Path]], videos: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Masks named `<name>_mask` under their video's name where that has no mask of its own name."""
    renamed = {}
    for name, paths in masks.items():
        base = name.removesuffix(_MASK_ENDING)
        taken = base in masks and masks[base] != videos.get(base)
        renamed[base if base in videos and not taken else name] = paths
    return renamed


def _is_mask_of_another(name: str, videos: dict[str, list[Path]]) -> bool:
    return name.endswith(_MASK_ENDING) and name.removesuffix(_MASK_ENDING) in videos


def _resolve_video_root(dataset: DatasetKind, root: Path) -> Path:
    """The root, or its one sub-folder that holds the videos (`JPEGImages/480p`)."""
    _check_root(root)
    items = list_folder(root)
    folders = [item for item in items if item.is_dir()]
    videos = [item for item in items if item.suffix.lower() in VIDEO_SUFFIXES and not item.is_dir()]
    if dataset != "custom" and not folders:
        hint = f"; it holds {len(videos)} video files: choose the data set 'custom'" if videos else ""
        raise InputError(f"{root}: found no folders of frames, expected <name>/*.jpg{hint}")
    if not folders and not videos:
        raise InputError(f"{root}: found no videos, expected folders of frames or {', '.join(VIDEO_SUFFIXES)} files")
    if videos or any(_holds_images(folder) for folder in folders):
        return root
    return _only_one(root, [folder for folder in folders if any(map(_holds_images, _sub_folders(folder)))])


def _resolve_mask_root(dataset: DatasetKind, root: Path, videos: dict[str, list[Path]]) -> Path:
    """The root, or its one sub-folder whose entries bear names of videos."""
    masks = _candidates(root, dataset, _MASK_SUFFIXES)
    if {name.removesuffix(_MASK_ENDING) for name in masks} & set(videos) or set(masks) & set(videos):
        return root
    return _only_one(
        root, [item for item in _sub_folders(root) if {sub.name for sub in _sub_folders(item)} & {*videos}]
    )


def _only_one(root: Path, deeper: list[Path]) -> Path:
    if len(deeper) > 1:
        raise InputError(f"{root}: holds several data sets, choose one: {', '.join(map(str, deeper))}")
    return deeper[0] if deeper else root


def _check_root(root: Path) -> None:
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise InputError(f"{root}: found {found}, expected a folder with one entry for each video; check the path")


def _sub_folders(folder: Path) -> list[Path]:
    try:
        return [item for item in list_folder(folder) if item.is_dir()]
    except InputError:  # an unreadable folder is reported when its video is read
        return []


def _holds_images(folder: Path) -> bool:
    try:
        return any(item.suffix.lower() in FRAME_SUFFIXES for item in list_folder(folder))
    except InputError:  # as above
        return True
