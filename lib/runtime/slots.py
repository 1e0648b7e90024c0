"""Which GPU a process works on, the lease that keeps others off it, and a prompt end when it is no longer wanted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from lib.errors import InputError
from lib.runtime.file_lock import LockedFile, try_lock
from lib.runtime.fingerprints import default_cache_dir
from lib.runtime.user_folders import make_private

_TEMPORARY = Path("/tmp")  # noqa: S108 - never TMPDIR, which differs between runs
_gpu: int | None = None
_told: set[str] = set()


@dataclass(frozen=True)
class Slot:
    """A place for one process: a GPU, or one of several processes that share it; without a GPU a share of the CPU."""

    gpu: int | None
    copy: int = 0  # of the processes on this GPU

    def __str__(self) -> str:
        if self.gpu is None:
            return f"CPU process {self.copy}"
        return f"GPU {self.gpu}" + (f" (process {self.copy + 1} on it)" if self.copy else "")

    def lease(self, folder: Path) -> LockedFile | None:
        """Take the GPU for this process, without waiting; None while another process, of whatever run, has it.

        The kernel ends the lease however its holder dies. Where no lease can be had at all, that is said once, and what
        is returned keeps nobody off. Nobody leases the CPU: only ask where there is a GPU.
        """
        path = folder / f"gpu{self.gpu}.{self.copy}.lock"
        try:
            if folder == _temporary_leases():
                make_private(folder.parent)
                make_private(folder)
            lock = try_lock(path)
        except (InputError, OSError) as error:
            _tell_once(f"other runs may use the same GPU at the same time, no lease can be taken: {error}")
            return LockedFile(path, -1)
        if lock is not None:
            with suppress(OSError):  # a full disk: only whoever looks for the holder misses its number
                lock.write(f"{os.getpid()}\n")
        return lock


def lease_dir() -> Path:
    """Folder of the leases that all runs of this user on this machine share.

    It lies in the cache folder, by machine since a home folder may serve several; in /tmp if that takes no locks.
    """
    try:
        usual = default_cache_dir() / "gpus" / socket.gethostname()
    except (InputError, RuntimeError):  # no home folder
        return _temporary_leases()
    return usual if _takes_locks(usual) else _temporary_leases()


def _temporary_leases() -> Path:
    return _TEMPORARY / f"auto-refine-{os.getuid()}" / "gpus"


def _takes_locks(folder: Path) -> bool:
    try:
        if lock := try_lock(folder / "probe.lock"):
            lock.release()
    except OSError:
        return False
    return True


def _tell_once(line: str) -> None:
    if line not in _told:
        _told.add(line)
        print(line, file=sys.stderr, flush=True)


def init_worker(gpu: int | None) -> None:
    """Prepare a pool process for its GPU: it ends with the parent, and at once on SIGTERM and SIGINT.

    Runs once per process, in its main thread.
    """
    global _gpu
    threading.Thread(target=_end_when_unwanted, args=(_signal_pipe(),), daemon=True).start()
    _gpu = gpu


def current_gpu() -> int | None:
    """Number of the GPU that this process is to work on, None if nobody said."""
    return _gpu


def _signal_pipe() -> int:
    """A pipe that gets a byte for each SIGTERM or SIGINT, even while the main thread is busy in C code."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: None)
    return read_end


def _end_when_unwanted(signals: int) -> None:
    parent = multiprocessing.parent_process()
    sources = [signals] if parent is None else [signals, parent.sentinel]
    while True:
        ready = wait(sources)
        arrived = os.read(signals, 64) if signals in ready else b""
        unwanted = {signal.SIGTERM, signal.SIGINT}.intersection(arrived)
        if unwanted or signals not in ready:
            os._exit(128 + min(unwanted, default=signal.SIGHUP))
