"""Finding videos and their masks in data-set folders.

davis, youtube-vos: `<root>/<name>/` folders of pictures on both sides. custom: also `<name>.mp4` (and other video
files) on both sides, `<name>.png` as a mask for all frames, and masks named `<name>_mask`. inbox: a folder for each
video, `<root>/<name>/` with `video*` and `mask*` (and `gt*`), each a file or a folder of pictures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from lib.errors import InputError
from lib.video.entries import Entry, folder_problem, is_folder, look_at, printable
from lib.video.images import holds_pictures, list_folder
from lib.video.names import name_problem, same_to_the_eye
from lib.video.nested import MASK_ENDING, holds_nested_videos, picture_folders, sub_folders
from lib.video.suffixes import FRAME_SUFFIXES, VIDEO_SUFFIXES, some_suffixes, suffix_of, unsupported_kind

__all__ = [
    "DatasetKind",
    "DatasetScan",
    "Unmatched",
    "Video",
    "inbox_folders",
    "inbox_video",
    "name_problem",
    "scan_dataset",
]

DatasetKind = Literal["davis", "youtube-vos", "custom", "inbox"]
_MASK_SUFFIXES = (*VIDEO_SUFFIXES, *FRAME_SUFFIXES)


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
    """Something in a data set that is no complete video; both texts can be printed, whatever a file is called."""

    name: str
    reason: str

    def __post_init__(self) -> None:
        for text in ("name", "reason"):
            object.__setattr__(self, text, printable(getattr(self, text)))


@dataclass(frozen=True)
class DatasetScan:
    """What a data set holds, by name in alphabetical order."""

    videos: tuple[Video, ...]
    unmatched: tuple[Unmatched, ...]


@dataclass(frozen=True)
class _Stray:
    """An entry of a root that has a video's name and cannot be one, nor a mask."""

    path: Path
    reason: str
    lone: bool  # to be reported even where nothing else has its name


@dataclass
class _Side:
    """What lies in one root, by the name of the video that it belongs to."""

    paths: dict[str, list[Path]] = field(default_factory=dict)
    strays: dict[str, _Stray] = field(default_factory=dict)


def scan_dataset(dataset: DatasetKind, video_root: Path, mask_root: Path, gt_root: Path | None = None) -> DatasetScan:
    """Pair videos with masks (and ground truth, where there is one) by name. Only folders are listed, nothing is read.

    Args:
        mask_root: the same as `video_root` with the data set inbox.

    Raises:
        InputError: a root is missing, is no folder, or holds no video.
    """
    if dataset == "inbox":
        return _scan_inbox(video_root)
    video_side = _side(_resolve_video_root(dataset, video_root, mask_root), dataset, VIDEO_SUFFIXES)
    videos = video_side.paths
    mask_side = _side(_resolve_mask_root(dataset, mask_root, videos), dataset, _MASK_SUFFIXES)
    masks = mask_side.paths
    truths = _side(_resolve_video_root(dataset, gt_root, video_root), dataset, VIDEO_SUFFIXES).paths if gt_root else {}
    if dataset == "custom":
        masks = _without_ending(masks, videos)
        if video_root.resolve() == mask_root.resolve():
            videos = {name: paths for name, paths in videos.items() if not _is_mask_of_another(name, videos)}
            masks = {name: paths for name, paths in masks.items() if paths != videos.get(name)}
    lone = {name for name, stray in video_side.strays.items() if stray.lone}
    found, unmatched = [], []
    for name in sorted({*videos, *masks, *lone}):
        result = _pair(name, videos.get(name, []), masks.get(name, []), truths.get(name, []))
        if isinstance(result, Unmatched):
            result = _explained(name, result, videos, masks, video_side, mask_side)
        (found if isinstance(result, Video) else unmatched).append(result)
    return DatasetScan(tuple(found), tuple(unmatched))


def inbox_folders(root: Path) -> tuple[Path, ...]:
    """The folders of an inbox, one for each video; hidden ones are left out.

    Raises:
        InputError: the inbox is missing or cannot be read.
    """
    _check_root(root)
    return tuple(item for item in list_folder(root) if is_folder(item))


def inbox_video(folder: Path) -> Video | Unmatched:
    """What one folder of an inbox holds."""
    try:
        items = list_folder(folder)
    except InputError as error:
        return Unmatched(folder.name, str(error))
    videos, stray = _of_kind(items, "video", VIDEO_SUFFIXES)
    masks, stray_mask = _of_kind(items, "mask", _MASK_SUFFIXES)
    name = folder.name
    if name_problem(name) is None:
        if not videos and stray and (stray.lone or masks):
            return Unmatched(name, stray.reason)
        if not masks and stray_mask and videos:
            return Unmatched(name, f"has no mask: {stray_mask.reason}")
    if not videos and not masks:
        return Unmatched(name, "holds neither video* nor mask*")
    return _pair(name, videos, masks, _of_kind(items, "gt", VIDEO_SUFFIXES)[0])


def _scan_inbox(root: Path) -> DatasetScan:
    found = [inbox_video(folder) for folder in inbox_folders(root)]
    if not found:
        raise InputError(f"{root}: found no folders, expected <name>/video* and <name>/mask*")
    return DatasetScan(
        videos=tuple(sorted((item for item in found if isinstance(item, Video)), key=lambda item: item.name)),
        unmatched=tuple(sorted((item for item in found if isinstance(item, Unmatched)), key=lambda item: item.name)),
    )


def _of_kind(items: Iterable[Path], kind: str, suffixes: tuple[str, ...]) -> tuple[list[Path], _Stray | None]:
    """What may be the video (mask, …) by its name, and the first of what has such a name and cannot be it."""
    found: list[Path] = []
    stray: _Stray | None = None
    for item in items:
        if item.name.lower().startswith(kind):
            problem = _stray(look_at(item), "custom", suffixes)
            if problem is None:
                found.append(item)
            stray = stray or problem
    return found, stray


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
    for kind, path in (("video", videos[0]), ("mask", masks[0])):
        if is_folder(path) and (problem := folder_problem(path)):
            return Unmatched(name, f"the {kind} cannot be read: {problem}")
    return Video(name=name, video_path=videos[0], mask_path=masks[0], gt_path=truths[0] if truths else None)


def _explained(
    name: str,
    result: Unmatched,
    videos: dict[str, list[Path]],
    masks: dict[str, list[Path]],
    video_side: _Side,
    mask_side: _Side,
) -> Unmatched:
    """The same with the entry that was meant to be what is missing, if there is one."""
    if name_problem(name):
        return result
    stray = video_side.strays.get(name)
    if not videos.get(name) and stray and stray.path not in masks.get(name, []):
        return Unmatched(name, stray.reason if stray.lone else f"has a mask but no video: {stray.reason}")
    stray = mask_side.strays.get(name) or mask_side.strays.get(name + MASK_ENDING)
    if videos.get(name) and not masks.get(name) and stray:
        return Unmatched(name, f"has no mask: {stray.reason}")
    if bool(videos.get(name)) == bool(masks.get(name)):
        return result
    kind, others = ("video", videos) if masks.get(name) else ("mask", masks)
    if twin := next((path for other in others if same_to_the_eye(other, name) for path in others[other]), None):
        differ = "differ in case or in how accents are stored"
        return Unmatched(name, f"{result.reason}; the names of it and of the {kind} {twin.name} {differ}: rename one")
    return result


def _side(root: Path, dataset: DatasetKind, suffixes: tuple[str, ...]) -> _Side:
    """What a root holds, by the name of the video that it belongs to."""
    _check_root(root)
    side = _Side()
    for item in list_folder(root):
        entry = look_at(item)
        name = item.name if entry.kind == "folder" else item.stem
        if stray := _stray(entry, dataset, suffixes):
            side.strays.setdefault(name, stray)
        else:
            side.paths.setdefault(name, []).append(item)
    return side


def _stray(entry: Entry, dataset: DatasetKind, suffixes: tuple[str, ...]) -> _Stray | None:
    """Why an entry is neither a video nor a mask, None if it is one."""
    path, suffix = entry.path, suffix_of(entry.path)
    if entry.kind == "folder":
        return None
    if reason := unsupported_kind(path):
        return _Stray(path, f"{path.name}: {reason}", lone=True)
    if entry.problem:
        return _Stray(path, entry.problem, lone=suffix in suffixes or not suffix)
    if suffix not in suffixes:
        expected = f"expected a folder or a file ending in {some_suffixes(suffixes)}"
        return _Stray(path, f"{path.name} is of an unknown kind {suffix!r}, {expected}", lone=False)
    if dataset != "custom":
        return _Stray(path, f"{path.name} is a file, which only the data set 'custom' takes", lone=False)
    return None


def _without_ending(masks: dict[str, list[Path]], videos: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Masks named `<name>_mask` under their video's name where that has no mask of its own name."""
    renamed = {}
    for name, paths in masks.items():
        base = name.removesuffix(MASK_ENDING)
        taken = base in masks and masks[base] != videos.get(base)
        renamed[base if base in videos and not taken else name] = paths
    return renamed


def _is_mask_of_another(name: str, videos: dict[str, list[Path]]) -> bool:
    return name.endswith(MASK_ENDING) and name.removesuffix(MASK_ENDING) in videos


def _resolve_video_root(dataset: DatasetKind, root: Path, partner_root: Path) -> Path:
    """The root, or its one sub-folder that holds the videos (`JPEGImages/480p`)."""
    _check_root(root)
    looks = [look_at(item) for item in list_folder(root)]
    folders = [look.path for look in looks if look.kind == "folder"]
    files = [look.path for look in looks if look.kind != "folder"]
    videos = [item for item in files if suffix_of(item) in VIDEO_SUFFIXES]
    unread = [item for item in files if unsupported_kind(item)]
    if dataset != "custom" and not folders:
        hint = f"; it holds {len(videos)} video files: choose the data set 'custom'" if videos else _hint(unread)
        raise InputError(f"{root}: found no folders of frames, expected <name>/*.jpg{hint}")
    if not folders and not videos:
        expected = f"folders of frames or {some_suffixes(VIDEO_SUFFIXES)} files"
        raise InputError(f"{root}: found no videos, expected {expected}{_hint(unread)}")
    if videos or any(_may_be_frames(folder) for folder in folders) or holds_nested_videos(root, partner_root):
        return root
    return _only_one(root, [folder for folder in folders if picture_folders(folder)])


def _hint(unread: list[Path]) -> str:
    return f"; it holds {len(unread)} files like {unread[0].name}: {unsupported_kind(unread[0])}" if unread else ""


def _resolve_mask_root(dataset: DatasetKind, root: Path, videos: dict[str, list[Path]]) -> Path:
    """The root, or its one sub-folder whose entries bear names of videos."""
    masks = _side(root, dataset, _MASK_SUFFIXES).paths
    if {name.removesuffix(MASK_ENDING) for name in masks} & set(videos) or set(masks) & set(videos):
        return root
    return _only_one(root, [item for item in sub_folders(root) if {sub.name for sub in sub_folders(item)} & {*videos}])


def _only_one(root: Path, deeper: list[Path]) -> Path:
    if len(deeper) > 1:
        raise InputError(f"{root}: holds several data sets, choose one: {', '.join(map(str, deeper))}")
    return deeper[0] if deeper else root


def _check_root(root: Path) -> None:
    look = look_at(root)
    if look.kind != "folder":
        found = "a file" if look.kind == "file" else "nothing" if look.missing else look.problem
        raise InputError(f"{root}: found {found}, expected a folder with one entry for each video; check the path")


def _may_be_frames(folder: Path) -> bool:
    """Whether a folder holds frames; one that cannot be listed is reported as the video that it may be."""
    return folder_problem(folder) is not None or holds_pictures(folder)
