"""flock(2) on a file: the kernel frees the lock however the holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType


class LockedFile:
    """A lock that is held until `release` or the end of the process.

    The file stays on disk after release: removing it would let two processes hold "the same" lock.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def write(self, text: str) -> None:
        """Replace the file's content, for whoever asks who holds the lock."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def release(self) -> None:
        """Free the lock; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> LockedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def try_lock(path: Path) -> LockedFile | None:
    """Take the exclusive lock on `path` without waiting; None when someone else holds it.

    Creates the file and its folder. Processes started later do not inherit the lock.
    Raises OSError when the file cannot be opened or is a link (its holder would overwrite what the link leads to), and
    when the file system has no flock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            hint = "its file system has no flock; use a local folder"
            raise OSError(error.errno, f"cannot lock {path}: {hint}") from error
        raise
    return LockedFile(path, fd)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, "is a link, expected a lock file or nothing; remove it", str(path)) from None
        raise
