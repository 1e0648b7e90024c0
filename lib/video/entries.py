"""One entry of a folder, looked at without opening it: whatever it is, looking at it raises nothing."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib.video.names import is_control
from lib.video.suffixes import FRAME_SUFFIXES, is_unsupported_picture, suffix_of, unsupported_kind

_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Entry:
    """`broken` is neither a file nor a folder that can be used; `problem` says why."""

    path: Path
    kind: Literal["file", "folder", "broken"]
    problem: str = ""
    missing: bool = False  # there is nothing


def look_at(path: Path) -> Entry:
    """What an entry is, links followed."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and not path.is_symlink()
        return Entry(path, "broken", f"{path.name} {_why_not(error, missing)}", missing)
    if stat.S_ISDIR(mode):
        return Entry(path, "folder")
    if stat.S_ISREG(mode):
        return Entry(path, "file")
    special = _SPECIAL.get(stat.S_IFMT(mode), "something special")
    return Entry(path, "broken", f"{path.name} is {special}, expected a file or a folder")


def is_folder(path: Path) -> bool:
    """Whether the path is a folder; False where it cannot be looked at."""
    return look_at(path).kind == "folder"


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path is a link to something that does not lie below a folder, whatever it goes through.

    Args:
        path: where it is no link, nothing is resolved and the answer is False.
        root: absolute and without links.
    """
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)


def folder_problem(folder: Path) -> str | None:
    """Why no frame of a folder can be read, as far as its entries tell, or None.

    It cannot be listed, holds what must not be opened (a pipe), or nothing but pictures that are not supported. Frames
    may also lie in a folder below.
    """
    unsupported: list[str] = []
    readable = False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not (entry.is_symlink() or entry.is_file() or entry.is_dir()):
                    return f"{folder.name} holds a special file: {look_at(Path(entry.path)).problem}"
                readable = readable or entry.is_dir() or suffix_of(Path(entry.name)) in FRAME_SUFFIXES
                if is_unsupported_picture(Path(entry.name)):
                    unsupported.append(entry.name)
    except OSError as error:
        return f"{folder.name} cannot be listed ({error.strerror}); check its rights"
    return f"{folder.name} holds {_unsupported(unsupported)}" if unsupported and not readable else None


def _unsupported(names: list[str]) -> str:
    return f"{len(names)} pictures that cannot be read, {min(names)}: {unsupported_kind(Path(min(names)))}"


def printable(text: str) -> str:
    """Text that can be printed in one line and stored as UTF-8.

    Bytes of file names that are none are shown as `\\xe4`, characters that control a terminal as `\\n`, `\\x1b`.
    """
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(sign.encode("unicode_escape").decode() if is_control(sign) else sign for sign in text)


def _why_not(error: OSError, missing: bool) -> str:
    if error.errno == errno.ELOOP:
        return "is a link that leads back to itself"
    if error.errno == errno.ENOENT:
        return "is no longer there" if missing else "is a link to nothing"
    return f"cannot be looked at ({error.strerror})"
