"""The embedded server's database: a new one is a copy of one that the same Prefect release made before.

Prefect's migrations take ten seconds of CPU on an empty file; the copy makes them a no-op. No result depends on the
database, so one that cannot be read is set aside and a new one takes its place.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

from lib.runtime.fingerprints import default_cache_dir

_COMPANIONS = ("-wal", "-shm", "-journal")  # sqlite's own, beside the file


class ServerDatabase:
    """A sqlite file that may not exist yet.

    Args:
        path: The file; its folder exists.
        cache_dir: Where templates are kept; by default the user's cache folder.
    """

    def __init__(self, path: Path, cache_dir: Path | None = None) -> None:
        self.path = path
        release = importlib.metadata.version("prefect")
        self._template = (cache_dir or default_cache_dir()) / f"prefect-{release}.db"
        self.is_new = not os.path.lexists(path)

    def open(self) -> str:
        """Make the file ready for a server, its owner's alone; what there is to tell about that, else "".

        Sets a damaged one aside as `<name>.damaged-<time>`.
        """
        told = ""
        if not self.is_new and self.path.is_file() and self.path.stat().st_size == 0:  # begun and given up
            self.path.unlink()
            self.is_new = True
        if not self.is_new and (damage := found_damage(self.path)):
            told = self.set_aside(damage)
        if self.is_new:
            for companion in self._companions():  # of a file that is gone; sqlite would mix them into the new one
                companion.unlink()
        else:
            self.path.chmod(0o600)
        return told

    def set_aside(self, damage: str) -> str:
        """Rename the file and what sqlite keeps beside it; what happened, in one line."""
        aside = f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
        while os.path.lexists(self.path.with_name(aside)):
            aside += "-again"
        for companion in self._companions():
            companion.rename(self.path.with_name(aside + companion.name.removeprefix(self.path.name)))
        self.path.rename(self.path.with_name(aside))
        self.is_new = True
        return (
            f"{self.path} was damaged ({damage}): it is {aside} now and a new one is begun; results do not depend on it"
        )

    def start_from_template(self) -> bool:
        """Fill a new database from the template; False if the database is not new or there is no good template."""
        if not self.is_new or not self._template.exists():
            return False
        if found_damage(self._template):
            with contextlib.suppress(OSError):
                self._template.unlink()
            return False
        temporary = self.path.with_suffix(".copy")
        temporary.unlink(missing_ok=True)
        with self._template.open("rb") as source, os.fdopen(_new_private_file(temporary), "wb") as copy:
            shutil.copyfileobj(source, copy)
        temporary.replace(self.path)
        return True

    def keep_template(self) -> None:
        """Keep a copy of the database, which no run has touched yet, as template; a cache that is read-only is fine."""
        if self._template.exists():
            return
        with contextlib.suppress(OSError):
            self._template.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._template.parent, prefix="prefect-")
            os.close(handle)
            with contextlib.closing(sqlite3.connect(temporary)) as copy, contextlib.closing(self._connect()) as source:
                source.backup(copy)
            Path(temporary).replace(self._template)

    def _companions(self) -> list[Path]:
        found = (self.path.with_name(self.path.name + ending) for ending in _COMPANIONS)
        return [path for path in found if os.path.lexists(path)]

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)


def found_damage(path: Path) -> str:
    """What is wrong with a sqlite file that nobody uses now, such as "file is not a database"; "" if nothing is."""
    if not path.is_file():
        return "not a file"
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            (verdict,) = database.execute("pragma quick_check(1)").fetchone()
            return "" if verdict == "ok" else " ".join(str(verdict).split())
    except sqlite3.Error as error:
        # anything else, as a disk that is full or a reader that blocks, says nothing of the file
        return str(error) if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else ""


def _new_private_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
