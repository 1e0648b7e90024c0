"""Initializer of process pools: one GPU slot per process, and a prompt end when it is no longer wanted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from lib.runtime.file_lock import LockedFile, try_lock
from lib.runtime.running import remove_own_marks

_POLL = 0.2


@dataclass(frozen=True)
class PoolSlot:
    """A leased slot: GPU `index` belongs to this process while it holds the lock."""

    index: int
    lock: LockedFile


_slot: PoolSlot | None = None


def init_worker(n_slots: int, lock_dir: Path) -> None:
    """Prepare a pool process: lease a slot, end with the parent, end at once on SIGTERM and SIGINT.

    Args:
        n_slots: Number of GPUs; 0 leases nothing.
        lock_dir: Folder of the lock files, shared by all processes that use these GPUs.

    Waits while every slot is taken. Runs once per process, in its main thread.
    """
    global _slot
    threading.Thread(target=_end_when_unwanted, args=(_signal_pipe(),), daemon=True).start()
    if n_slots > 0:
        _slot = lease_slot(n_slots, lock_dir)


def current_slot() -> int | None:
    """Index of the GPU that this process leased, None if it leased none."""
    return None if _slot is None else _slot.index


def notice_dead_processes(pool: ProcessPoolExecutor) -> None:
    """Make a pool look at all its processes, so that a dead one breaks it (BrokenProcessPool) now.

    CPython's pool watches only the processes that existed when its thread last woke up: the death of the one started
    last stays unnoticed, and its future pending, until another task is submitted or done.
    """
    with contextlib.suppress(RuntimeError):  # broken or shut down already
        pool.submit(int)


def lease_slot(n_slots: int, lock_dir: Path) -> PoolSlot:
    """Wait for the first free slot of `gpu0.lock` … `gpu<n-1>.lock`; the kernel frees it however the process ends."""
    announced = False
    while True:
        for index in range(n_slots):
            lock = try_lock(lock_dir / f"gpu{index}.lock")
            if lock is not None:
                lock.write(f"{os.getpid()}\n")
                return PoolSlot(index, lock)
        if not announced:
            print(f"All {n_slots} GPU slots are taken (locks in {lock_dir}); waiting for one.", file=sys.stderr)
            announced = True
        time.sleep(_POLL)


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
            remove_own_marks()
            os._exit(128 + min(unwanted, default=signal.SIGHUP))
