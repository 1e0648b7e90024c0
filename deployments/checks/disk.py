"""Folders: room, permissions, locks; and how many files a process may open."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from deployments.checks.finding import GIB, Finding, fail, gib, ok, warn
from deployments.checks.job import Job
from lib.runtime.file_lock import try_lock
from lib.runtime.fingerprints import default_cache_dir

_LEAST, _COMFORTABLE = 1 * GIB, 10 * GIB
_ALL_WEIGHTS = 32 * GIB  # of README's table, as published
_FEW_FILES, _ENOUGH_FILES = 256, 1024
_PROBE = ".doctor.lock"
_MOUNTS = Path("/proc/self/mounts")


def check_disk(job: Job) -> Iterator[Finding]:
    """Every folder that runs write to, and the limit of open files."""
    results = {"results folder": job.output_dir}
    for what, name in (("inbox", "AUTO_REFINE_INBOX"), ("outbox", "AUTO_REFINE_OUTBOX")):
        results |= {f"{what} folder": Path(job.env[name])} if job.env.get(name) else {}
    for what, folder in results.items():
        yield check_room(what, folder, _COMFORTABLE)
        yield check_locks(what, folder)
    state = {"cache folder": default_cache_dir()} | ({"state folder": job.box.state_dir} if job.box else {})
    for what, folder in state.items():
        yield check_room(what, folder, _LEAST)
    if job.uses_networks:
        yield check_weights_room(job.weights_dir)
    yield judge_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def check_room(what: str, folder: Path, comfortable: int) -> Finding:
    """Whether it can be written, and how much is free there."""
    there = existing(folder)
    if not there.is_dir():
        return fail(what, f"{there} is a file", "choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        return fail(what, f"{there} cannot be written by user {os.getuid()}", "change its owner or choose another")
    return judge_room(what, there, shutil.disk_usage(there).free, comfortable)


def judge_room(what: str, folder: Path, free: int, comfortable: int) -> Finding:
    """Free bytes against what runs soon fill."""
    found = f"{folder}, {gib(free)} free"
    if free < _LEAST:
        return fail(what, found, "make room, or choose another folder")
    return ok(what, found) if free >= comfortable else warn(what, found, f"make room: {gib(comfortable)} last a while")


def check_weights_room(folder: Path) -> Finding:
    """Room for what is not downloaded yet."""
    from deployments.checks.estimates import folder_bytes

    there = existing(folder)
    held, free = folder_bytes(folder) if folder.is_dir() else 0, shutil.disk_usage(there).free
    found = f"{folder}, {gib(held)} in it, {gib(free)} free"
    if held + free < _ALL_WEIGHTS:
        return warn("weights folder", found, f"all sets take about {gib(_ALL_WEIGHTS)}: make room if some are missing")
    return ok("weights folder", found)


def check_locks(what: str, folder: Path) -> Finding:
    """Whether flock works there: it keeps two runs, perhaps of two boxes, off one video."""
    there, what = existing(folder), f"locks in the {what}"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return fail(what, f"{there} cannot be written", "change its owner or choose another folder")
    try:
        exclusive = locks_once(there / f"{_PROBE}.{os.getpid()}")
    except OSError as error:
        return fail(what, str(error), "take a file system with flock (local, or NFS 4)")
    return judge_locks(what, there, exclusive=exclusive, mount=mount_of(there, read_mounts()))


def locks_once(probe: Path) -> bool:
    """Whether a file that is locked cannot be locked again; it is gone afterwards."""
    try:
        with contextlib.ExitStack() as held:
            locks = [lock for lock in (try_lock(probe), try_lock(probe)) if lock]
            for lock in locks:
                held.enter_context(lock)
            return len(locks) == 1
    finally:
        probe.unlink(missing_ok=True)


def judge_locks(what: str, folder: Path, *, exclusive: bool, mount: tuple[str, str] | None) -> Finding:
    """mount: the file system's kind and options."""
    kind, options = mount or ("unknown", "")
    if not exclusive:
        return fail(what, f"{folder} ({kind}): two locks at a time", "take a file system with flock (local, or NFS 4)")
    given = options.split(",")
    local = kind.startswith("nfs") and any(name in given for name in ("nolock", "local_lock=all", "local_lock=flock"))
    if local:
        found = f"{folder} ({kind}) locks on this box alone"
        return warn(what, found, "mount it without nolock and local_lock, if several boxes share it")
    return ok(what, f"flock works in {folder} ({kind})")


def mount_of(folder: Path, mounts: list[tuple[str, str, str]]) -> tuple[str, str] | None:
    """Kind and options of the file system that holds a folder. mounts: where, kind, options; later ones cover."""
    inside = [mount for mount in mounts if folder.resolve().is_relative_to(mount[0])]
    if not inside:
        return None
    deepest = max(len(Path(mount[0]).parts) for mount in inside)
    return [mount[1:] for mount in inside if len(Path(mount[0]).parts) == deepest][-1]


def read_mounts(path: Path = _MOUNTS) -> list[tuple[str, str, str]]:
    """Where, kind and options of each mounted file system."""
    try:
        rows = [line.split() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []
    return [(row[1].replace("\\040", " "), row[2], row[3]) for row in rows if len(row) > 3]


def judge_open_files(soft: int, hard: int) -> Finding:
    """Servers and pools hold many files open. Limits may be RLIM_INFINITY."""
    what, unlimited = "open files", resource.RLIM_INFINITY
    found = f"at most {'unlimited' if soft == unlimited else soft}"
    advice = f"ulimit -n {min(hard, 4096) if hard != unlimited else 4096} (systemd: LimitNOFILE=)"
    if soft == unlimited or soft >= _ENOUGH_FILES:
        return ok(what, found)
    return (fail if soft < _FEW_FILES else warn)(what, f"{found}, {_ENOUGH_FILES} are wanted", advice)


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there; for a file that file."""
    return next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
