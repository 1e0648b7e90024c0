"""Whether files are still those that were hashed: by what the file system knows of them, without reading them again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lib.errors import InputError
from lib.runtime.fingerprints import files_of, fingerprint_path


@dataclass(frozen=True)
class FileState:
    """A file, or all files below a folder, at the moment when they were hashed."""

    path: Path
    state: str  # stands for device, inode, size and times of change of each file
    fingerprint: str  # of the content, as `lib.runtime.fingerprints.fingerprint_path`

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Hash the path's content.

        Raises:
            InputError: it changes meanwhile.
            OSError: it cannot be read.
        """
        before = _state_of(path)
        fingerprint = fingerprint_path(path)
        if _state_of(path) != before:
            raise InputError(f"{path}: changed while it was read; expected a file at rest, wait for whoever writes it")
        return cls(path, before, fingerprint)

    def check(self) -> None:
        """See that the content is still what was hashed; it is read again only if the file system says otherwise.

        Raises:
            InputError: it has changed, or is gone.
        """
        try:
            same = _state_of(self.path) == self.state or fingerprint_path(self.path) == self.fingerprint
        except OSError as error:
            raise InputError(f"{self.path}: is gone since it was read ({error.strerror or error}); {_ADVICE}") from None
        if not same:
            raise InputError(f"{self.path}: was changed while it was worked on, so that nothing is kept; {_ADVICE}")


_ADVICE = "leave inputs alone during a run, and run again"


def _state_of(path: Path) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(files_of(path).items()):
        info = file.stat()
        seen = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        digest.update(f"{name}\0{seen}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
