"""Runs deployments/install.py on folders of a test's own."""

import stat
from pathlib import Path

import pytest

from deployments.box.paths import BoxPaths, read_env_file
from deployments.install import main


class Box:
    """A box below a folder that stands for a machine's root, or for a user's home if `scope` is "user"."""

    def __init__(self, folder: Path, scope: str = "system", words: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.paths = BoxPaths.for_root(folder) if scope == "system" else BoxPaths.for_user()
        self._words = (*words, "--scope", scope)

    def install(self, *words: str) -> int:
        return main([*self._words, *words])

    def client(self) -> dict[str, str]:
        return read_env_file(self.paths.client_env)

    def server(self) -> dict[str, str]:
        return read_env_file(self.paths.server_env)

    def tree(self) -> dict[str, tuple[str, bytes]]:
        """Mode and content of everything below the folder."""
        return {
            str(path.relative_to(self.folder)): (
                stat.filemode(path.stat().st_mode),
                path.read_bytes() if path.is_file() else b"",
            )
            for path in self.folder.rglob("*")
        }

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)


def root_box(folder: Path) -> Box:
    """A box as in an image: files only."""
    folder.mkdir(exist_ok=True)
    return Box(folder, words=("--root", str(folder)))


def user_box(home: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Box:
    """A box of a user whose home is `home`."""
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return Box(home, "user", words)
