"""The record of what was installed: each thing is written down before it is made, so that none is ever left behind."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deployments.box.commands import Account
from deployments.box.paths import BoxPaths
from lib.errors import InputError


@dataclass
class Record:
    """What one installation consists of; paths as they are called once the root folder is /."""

    role: str = "server"  # "joined": a box that works for another's server
    python: str = ""  # a person's own interpreter, empty for the checkout's environment
    units: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    trees: list[str] = field(default_factory=list)  # removed with all that is in them
    folders: list[str] = field(default_factory=list)  # removed if they are empty
    started: dict[str, str] = field(default_factory=dict)  # unit -> hash of what it was last started with


class Manifest:
    """The record and the file that keeps it."""

    def __init__(self, paths: BoxPaths, account: Account) -> None:
        self.paths = paths
        self._account = account
        self.record = _read(paths.manifest)

    def save(self) -> None:
        self._make(self.paths.config_dir, 0o755, owned=False)
        write_file(self.paths.manifest, json.dumps(asdict(self.record), indent=1) + "\n", 0o644)

    def add_unit(self, name: str) -> None:
        if name not in self.record.units:
            self.record.units.append(name)
            self.save()

    def add_file(self, path: Path) -> None:
        self._add(self.record.files, path)

    def add_tree(self, path: Path) -> None:
        self._add(self.record.trees, path)

    def _add(self, places: list[str], path: Path) -> None:
        place = str(self.paths.inside(path))
        if place not in places:
            places.append(place)
            self.save()

    def make_folder(self, path: Path, mode: int, *, owned: bool = True) -> bool:
        """Create a folder, and those above it that are missing; whether there was anything to do.

        Args:
            owned: it is to be the account's; those above it never are, lest the account could exchange others in them.
        """
        if path.exists():
            return False
        self._note_missing(path)
        self.save()
        self._make(path, mode, owned=owned)
        return True

    def _note_missing(self, path: Path) -> list[Path]:
        missing = [folder for folder in (*reversed(path.parents), path) if not folder.exists()]
        places = [str(self.paths.inside(folder)) for folder in missing]
        self.record.folders += [place for place in places if place not in self.record.folders]
        return missing

    def _make(self, path: Path, mode: int, *, owned: bool) -> None:
        for folder in self._note_missing(path):
            folder.mkdir(mode=0o700)
            if owned and folder == path:
                self._account.own(folder)
            folder.chmod(mode if folder == path else 0o755)  # whatever the umask is


def _read(path: Path) -> Record:
    if not path.exists():
        return Record()
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read as the record of an installation ({error}); with it moved away, "
            "install again: what is there is taken over"
        ) from None


def write_file(path: Path, text: str, mode: int, account: Account | None = None) -> bool:
    """Give a file this text, mode and owner, whole or not at all; whether there was anything to do.

    Nobody else can read it at any moment, if `mode` says so.
    """
    if path.exists() and path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == mode:
        return False
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    if account is not None:
        account.own(draft)
    draft.replace(path)
    return True
