"""Everything that the lock records, read and compared; nothing is fetched or changed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from deployments.weight_store.lock import LOCK_FILE, read_lock
from deployments.weight_store.source import Offer
from lib.errors import InputError
from lib.runtime.fingerprints import sha256_file


def verify(folder: Path, folders: Collection[str] = (), say: Callable[[str], None] = print) -> int:
    """Read every recorded file whole. Says what is wrong; returns how many files are.

    Args:
        folder: of all weights.
        folders: some of its sets; empty for all that are recorded.

    Raises:
        InputError: there is no lock, it is damaged, or it does not know one of these sets.
    """
    lock = read_lock(folder)
    if not lock:
        raise InputError(f"{folder / LOCK_FILE}: nothing is recorded there; `make weights` records what it fetches")
    if unknown := [name for name in folders if name not in lock]:
        raise InputError(f"{folder / LOCK_FILE}: does not know {', '.join(unknown)}; `make weights` fetches them")
    wrong = count = 0
    for name in sorted(folders or lock):
        for file, recorded in sorted(lock[name].files.items()):
            problem = _problem(folder / name / file, recorded)
            count, wrong = count + 1, wrong + bool(problem)
            if problem:
                say(f"WRONG {folder / name / file}: {problem}; `make weights` fetches it again")
    say(f"{count - wrong} of {count} files are as {LOCK_FILE} says")
    return wrong


def _problem(path: Path, recorded: Offer) -> str:
    if not path.is_file():
        return "missing"
    if (size := path.stat().st_size) != recorded.size:
        return f"found {size:,} bytes, expected {recorded.size:,}"
    found = sha256_file(path)
    return "" if found == recorded.sha256 else f"found sha256 {found}, expected {recorded.sha256}"
