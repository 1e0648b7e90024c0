"""One embedded run per output folder."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from lib.runtime.file_lock import LockedFile, try_lock

_LOCK_NAME = "launcher.lock"


class OutputDirBusyError(RuntimeError):
    """Another process works on the output folder; the message names both."""


class OutputDirLock:
    """Context manager; holds the folder for this process until the end, however that comes.

    Args:
        state_dir: Folder of the embedded state, `<output folder>/.prefect` or alike.

    Entering raises OutputDirBusyError when another process holds the folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _LOCK_NAME
        self._lock: LockedFile | None = None

    def __enter__(self) -> OutputDirLock:
        self._lock = try_lock(self._path)
        if self._lock is None:
            holder = self._path.read_text(errors="replace").strip() or "unknown"
            raise OutputDirBusyError(
                f"{self._path.parent.parent} is in use by another run (process {holder}). "
                "Wait until it has ended, stop it, or choose another output folder."
            )
        self._lock.write(f"{os.getpid()}\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.write("")
            self._lock.release()
