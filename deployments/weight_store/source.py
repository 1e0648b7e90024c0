"""What every source of weights can say and do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lib.runtime.fingerprints import fingerprint_weights


@dataclass(frozen=True)
class Offer:
    """A file as its source, or the lock, describes it; what is not known is None."""

    name: str  # below the set's folder
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None  # git's id of the content, which the hub gives of small files
    tag: str = ""  # whatever else tells two versions apart

    @property
    def identity(self) -> str:
        """Short text that another version does not have: parts of different versions must never be joined."""
        said = self.sha256 or self.git_sha1 or f"{self.tag} {self.size}"
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def mismatch(self, path: Path, digest: Callable[[Path], str] = fingerprint_weights) -> str:
        """What is wrong with the file at `path`; "" if it is the one.

        digest: gives the sha256; by default a file that was read before is not read again.
        """
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"found {size:,} bytes, expected {self.size:,}"
        if self.sha256 is not None:
            found, expected, kind = digest(path), self.sha256, "sha256"
        elif self.git_sha1 is not None:
            found, expected, kind = git_sha1(path), self.git_sha1, "git id"
        else:
            return ""
        return "" if found == expected else f"found {kind} {found}, expected {expected}"


@dataclass(frozen=True)
class Listing:
    """All files of a source at one revision (None where it has none)."""

    revision: str | None
    offers: Mapping[str, Offer]


class Source(Protocol):
    """Where a set comes from."""

    label: str  # for messages and the lock
    remote: bool  # whether it takes a network
    links: bool  # whether files stay where they are, and only links to them are made

    def listing(self, revision: str | None) -> Listing:
        """All files, at this revision or the newest. Raises InputError."""
        ...

    def fetch(self, offer: Offer, revision: str | None, part: Path) -> None:
        """Bring the file's bytes to `part`, going on where that ends. Raises InputError."""
        ...


def git_sha1(path: Path) -> str:
    """The name that git gives a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
