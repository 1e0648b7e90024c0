"""Content fingerprints for cache keys: SHA-256 over bytes and names; modification times play no part."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from lib.runtime.user_folders import home_folder

_MEMO_NAME = "weights.json"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_path(path: Path) -> str:
    """SHA-256 that stands for a file's bytes, or for the names and bytes of all files below a folder.

    Names are relative to the folder; hidden files and folders do not count; a file's own name does not either.
    Raises FileNotFoundError when nothing is there.
    """
    if not path.is_dir():
        return sha256_file(files_of(path)[""])
    return _combine({name: sha256_file(file) for name, file in files_of(path).items()})


def files_of(path: Path) -> dict[str, Path]:
    """The files that a fingerprint is made of, by their names: all below a folder, or the file itself, named "".

    Raises:
        FileNotFoundError: nothing is there.
    """
    if path.is_dir():
        return _files_below(path)
    _require(path)
    return {"": path}


def fingerprint_weights(path: Path, cache_dir: Path | None = None) -> str:
    """Like `fingerprint_path`, but a file is read again only if its path, device, inode, size, mtime or ctime has
    changed.

    Args:
        path: Weights file or folder.
        cache_dir: Folder of the memo; by default `auto-refine` below XDG_CACHE_HOME (~/.cache).

    Raises FileNotFoundError when nothing is there.
    """
    _require(path)
    memo_path = (cache_dir or default_cache_dir()) / _MEMO_NAME
    if not path.is_dir():
        return _memoised_sha256(path, memo_path)
    return _combine({name: _memoised_sha256(file, memo_path) for name, file in _files_below(path).items()})


def default_cache_dir() -> Path:
    """The user's cache folder of this program; not created.

    Raises:
        InputError: the user has no home folder, and XDG_CACHE_HOME is not set.
    """
    root = os.environ.get("XDG_CACHE_HOME") or home_folder("the cache, or XDG_CACHE_HOME") / ".cache"
    return Path(root) / "auto-refine"


def _require(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder, so it has no fingerprint; check the path")


def _files_below(folder: Path) -> dict[str, Path]:
    found = {}
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                file = Path(parent, name)
                if file.exists() and not file.is_file():  # a pipe would be waited for
                    raise OSError(errno.EINVAL, "is no regular file", str(file))
                found[file.relative_to(folder).as_posix()] = file
    return found


def _combine(digests: dict[str, str]) -> str:
    whole = hashlib.sha256()
    for name in sorted(digests):
        whole.update(os.fsencode(name) + b"\0" + digests[name].encode())
    return whole.hexdigest()


def _memoised_sha256(path: Path, memo_path: Path) -> str:
    info = path.stat()
    identity = [info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
    key = str(path.absolute())
    entry = _read_memo(memo_path).get(key)
    if isinstance(entry, dict) and entry.get("identity") == identity and isinstance(entry.get("sha256"), str):
        return entry["sha256"]
    digest = sha256_file(path)
    with contextlib.suppress(OSError):  # a cache folder that cannot be written costs time, nothing else
        # read again: another process may have written meanwhile
        _write_memo(memo_path, {**_read_memo(memo_path), key: {"identity": identity, "sha256": digest}})
    return digest


def _read_memo(memo_path: Path) -> dict[str, Any]:
    try:
        memo = json.loads(memo_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent or corrupt: it is only a memo
        return {}
    return memo if isinstance(memo, dict) else {}


def _write_memo(memo_path: Path, memo: dict[str, Any]) -> None:
    memo_path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=memo_path.parent, prefix=_MEMO_NAME)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(memo, file, indent=1)
        Path(temporary).replace(memo_path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
