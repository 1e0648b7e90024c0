"""Weights that are here already: folders to link to, and offline mirrors to copy from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deployments.weight_store.lock import LockedSet
from deployments.weight_store.source import Listing, Offer
from lib.errors import InputError


class FolderSource:
    """One set's folder on this machine.

    Args:
        folder: laid out as published.
        links: link to its files instead of copying them.
        recorded: what the lock beside it says, if there is one.
        label: where its files came from, for the new lock.
    """

    remote = False

    def __init__(
        self, folder: Path, *, links: bool, recorded: LockedSet | None = None, label: str = "a folder"
    ) -> None:
        self.folder = folder.expanduser().absolute()
        self.links = links
        self.label = recorded.source if recorded else label
        self._recorded = recorded

    def listing(self, revision: str | None) -> Listing:
        """All files that are there. revision: not used, a folder has the one that it has.

        Raises:
            InputError: there is no such folder.
        """
        del revision
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; it should hold weights as they are published")
        recorded = self._recorded.files if self._recorded else {}
        offers = {
            name: recorded.get(name) or Offer(name, self.path(name).stat().st_size) for name in sorted(self._names())
        }
        return Listing(self._recorded.revision if self._recorded else None, offers)

    def fetch(self, offer: Offer, revision: str | None, part: Path) -> None:
        """A copy."""
        del revision
        path = self.path(offer.name)
        if not path.is_file():
            raise InputError(f"{path}: no such file, and it is needed")
        shutil.copyfile(path, part)

    def path(self, name: str) -> Path:
        """Where a file lies; PCM_Weights may be given as its inner folder."""
        return self.folder / (name.removeprefix("sd15/") if self.folder.name == "sd15" else name)

    def _names(self) -> list[str]:
        prefix = "sd15/" if self.folder.name == "sd15" else ""
        return [
            prefix + Path(parent, name).relative_to(self.folder).as_posix()
            for parent, _folders, names in os.walk(self.folder, followlinks=True)
            for name in names
            if not name.startswith(".") and Path(parent, name).is_file()
        ]
