"""The embedded server's database: a new one is a copy of one that the same Prefect release made before.

Prefect's migrations take ten seconds of CPU on an empty file; the copy makes them a no-op.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from lib.runtime.fingerprints import default_cache_dir


class ServerDatabase:
    """A sqlite file that may not exist yet.

    Args:
        path: The file; its folder exists.
        cache_dir: Where templates are kept; by default the user's cache folder.
    """

    def __init__(self, path: Path, cache_dir: Path | None = None) -> None:
        self.path = path
        self.is_new = not path.exists()
        release = importlib.metadata.version("prefect")
        self._template = (cache_dir or default_cache_dir()) / f"prefect-{release}.db"

    def start_from_template(self) -> bool:
        """Fill a new database from the template; False if the database is not new or there is no template."""
        if not self.is_new or not self._template.exists():
            return False
        temporary = self.path.with_suffix(".copy")
        shutil.copyfile(self._template, temporary)
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

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)
