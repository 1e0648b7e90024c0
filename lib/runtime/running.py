"""Marks on disk that tell which item a killed process was working on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_own_marks: set[Path] = set()


@contextlib.contextmanager
def mark_running(folder: Path, name: str) -> Iterator[None]:
    """Keep a mark for `name` in `folder` while the block runs.

    The mark outlives this process only if the process is killed (SIGKILL, segmentation fault, out of memory).
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _mark_path(folder, name)
    pid = os.getpid()
    temporary = path.with_suffix(f".{pid}.tmp")
    temporary.write_text(json.dumps({"name": name, "pid": pid, "start": _start_ticks(pid)}), encoding="utf-8")
    _own_marks.add(path)
    temporary.replace(path)
    try:
        yield
    finally:
        _remove(path)


def running_names(folder: Path) -> list[str]:
    """Names, sorted, whose marks in `folder` were left behind by processes that are dead."""
    names = []
    for path in folder.glob("*.json"):
        mark = _read(path)
        if mark is not None and _start_ticks(mark["pid"]) != mark["start"]:
            names.append(str(mark["name"]))
    return sorted(names)


def forget_running(folder: Path, name: str) -> None:
    """Remove the mark of `name`, if there is one: its owner's death has been dealt with."""
    _mark_path(folder, name).unlink(missing_ok=True)


def remove_own_marks() -> None:
    """Remove all marks of this process, for one that is told to end and will not leave its blocks."""
    for path in list(_own_marks):
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _own_marks.discard(path)


def _mark_path(folder: Path, name: str) -> Path:
    # a hash: names may hold any character and be long
    return folder / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # its owner has just finished
        return None
    return mark


def _start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None if it is dead. Tells a reused id from the old one."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text(errors="replace")
    except OSError:
        return None
    values = stat.rpartition(")")[2].split()
    return None if values[0] == "Z" else int(values[19])
