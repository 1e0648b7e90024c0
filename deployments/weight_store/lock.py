"""weights.lock.json: what was downloaded, so that it is the same ever after and on every box.

{"sets": {<folder>: {"source": …, "revision": …, "files": {<path in it>: {"size": bytes, "sha256": 64 hex digits}}}}}
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deployments.weight_store.source import Offer
from lib.errors import InputError

LOCK_FILE = "weights.lock.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LockedSet:
    """What is recorded of one set."""

    source: str
    revision: str | None
    files: Mapping[str, Offer]  # each with size and sha256


def read_lock(folder: Path) -> dict[str, LockedSet]:
    """The lock of a folder of weights, by set's folder; empty if there is none.

    Raises:
        InputError: it is damaged, or names files outside its sets.
    """
    path = folder / LOCK_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: _read_set(name, entry) for name, entry in content["sets"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: no lock of weights ({error}); restore it, or move it away to have it written anew"
        ) from error


def write_lock(folder: Path, sets: Mapping[str, LockedSet]) -> None:
    """Replace the lock; it is there whole or not at all."""
    content = {
        "sets": {
            name: {
                "source": entry.source,
                "revision": entry.revision,
                "files": {
                    file: {"size": offer.size, "sha256": offer.sha256} for file, offer in sorted(entry.files.items())
                },
            }
            for name, entry in sorted(sets.items())
        }
    }
    temporary = folder / f".{LOCK_FILE}.{os.getpid()}"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / LOCK_FILE)
    finally:
        temporary.unlink(missing_ok=True)


def _read_set(folder: str, entry: Mapping) -> LockedSet:
    files = {name: _read_file(name, content) for name, content in entry["files"].items()}
    _inside(folder)
    revision = entry.get("revision")
    return LockedSet(str(entry.get("source", "")), None if revision is None else str(revision), files)


def _read_file(name: str, content: Mapping) -> Offer:
    _inside(name)
    size, digest = content["size"], content["sha256"]
    if not isinstance(size, int) or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError(f"{name}: size {size!r}, sha256 {digest!r}")
    return Offer(name, size, sha256=digest)


def _inside(name: str) -> None:
    """A lock comes from other people too: its names must stay below the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} lies outside")
