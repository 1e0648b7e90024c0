"""What lies in one folder of the inbox, told without reading a file."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib.records import canonical_hash
from lib.video.entries import leads_out
from lib.video.suffixes import is_media

_PARTIAL_SUFFIXES = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp")
_RSYNC_NAME = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}")  # what rsync calls a file until it is whole


@dataclass(frozen=True)
class FileLook:
    """One file. Times are nanoseconds since the epoch."""

    name: str  # relative to the video's folder
    size: int  # bytes
    mtime: int
    ctime: int


@dataclass(frozen=True)
class Listing:
    """A look at all files of a folder; two looks are equal only if nothing was written in between."""

    files: tuple[FileLook, ...]
    newest: int  # of all changes to files and folders, nanoseconds since the epoch
    partial: str = ""  # a file or folder that some program is still writing, by its name
    empty: str = ""  # a file of no bytes
    broken: str = ""  # a link to nothing, or what cannot be looked at
    outside: str = ""  # a link that leads where nothing may be read; what is there was not looked at

    def identity(self, *inputs: str) -> str:
        """Stands for names, sizes and modification times of these files and of what is in these folders."""
        chosen = [file for file in self.files if file.name.split(os.sep, 1)[0] in inputs]
        return canonical_hash([[file.name, file.size, file.mtime] for file in chosen])


def list_files(folder: Path, within: Path | None = None) -> Listing:
    """Look at everything in a folder, links followed; hidden files count only if they are somebody's half copies.

    Args:
        within: links that lead out of this folder (absolute, without links) are not followed; None: all are.
    """
    files: list[FileLook] = []
    newest, partial, empty = 0, "", ""
    unseen = {"broken": "", "outside": ""}
    for path, found in _walk(folder, within, frozenset()):
        name = str(path.relative_to(folder)) if path != folder else folder.name
        if isinstance(found, str):
            unseen[found] = unseen[found] or name
            continue
        newest = max(newest, found.st_mtime_ns, found.st_ctime_ns)
        if is_partial(path.name):
            partial = partial or name
        elif not stat.S_ISDIR(found.st_mode):
            files.append(FileLook(name, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
            empty = empty or (name if not found.st_size and is_media(path.name) else "")
    return Listing(tuple(sorted(files, key=lambda file: file.name)), newest, partial, empty, **unseen)


def is_partial(name: str) -> bool:
    """Whether copying or downloading programs give such names to what is not whole yet."""
    if name.lower().endswith(_PARTIAL_SUFFIXES) or name.startswith(".~"):
        return True
    hidden = _RSYNC_NAME.fullmatch(name)
    return hidden is not None and is_media(hidden[1])


def _walk(
    path: Path, within: Path | None, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[Path, os.stat_result | Literal["broken", "outside"]]]:
    """The path and everything below it, with what it is or why it was not looked at.

    Hidden files and folders are left out, and a link back to a folder above is not followed.
    """
    try:
        if within and leads_out(path, within):
            yield path, "outside"
            return
        found = path.stat()
        yield path, found
        key = (found.st_dev, found.st_ino)
        if not stat.S_ISDIR(found.st_mode) or is_partial(path.name) or key in above:
            return
        items = sorted(path.iterdir())
    except OSError:  # gone since it was listed, a link to nothing, or not for us
        yield path, "broken"
        return
    for item in items:
        if is_partial(item.name) or not item.name.startswith("."):
            yield from _walk(item, within, above | {key})
