"""Folders of this user's own: the home folder, which not every user has, and private ones in shared places."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from lib.errors import InputError


def home_folder(needed_for: str) -> Path:
    """The user's home folder.

    Args:
        needed_for: what is looked for there, and how to do without: `the cache; or set XDG_CACHE_HOME`.

    Raises:
        InputError: nobody knows it: HOME is not set, and the user is not in the password database.
    """
    try:
        return Path.home()
    except (RuntimeError, KeyError):  # pathlib raises the first, what lies below it the second
        raise InputError(
            f"user {os.getuid()} has no home folder: HOME is not set, and the password database does not have this "
            f"user; set HOME, for {needed_for}"
        ) from None


def expanded(path: Path) -> Path:
    """The path with a leading `~` or `~name` replaced by the home folder that it stands for.

    Raises:
        InputError: there is no such user, or that user's home folder is not known.
    """
    try:
        return path.expanduser()
    except (RuntimeError, KeyError):
        raise InputError(f"{path}: found no home folder for {path.parts[0]}; write the path in full") from None


def make_private(folder: Path) -> None:
    """See that a folder, in a place where everybody can make one, is this user's alone; make it if need be.

    Raises:
        InputError: something else lies there: a link, a file, another user's folder, one that others can write to.
    """
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{folder}: {_what_lies_at(folder)} ({error.strerror}); {_ADVICE}") from None
    try:
        found = os.fstat(handle)
        if found.st_uid != os.geteuid():
            raise InputError(f"{folder}: found a folder of user {found.st_uid}; {_ADVICE}")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise InputError(f"{folder}: found a folder that others can write to; {_ADVICE}")
        if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:  # of an earlier version, which left it to the umask
            os.fchmod(handle, stat.S_IRWXU)
    finally:
        os.close(handle)


_ADVICE = "expected a folder of this user's own or nothing; remove it"


def _what_lies_at(folder: Path) -> str:
    try:
        found = folder.lstat()
    except OSError:
        return "cannot be made a folder"
    kind = "a link" if stat.S_ISLNK(found.st_mode) else "a folder" if stat.S_ISDIR(found.st_mode) else "a file"
    return f"found {kind} of user {found.st_uid}"
