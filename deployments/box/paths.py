"""Where an installed box keeps its files, and how its environment files are read. Stdlib only."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lib.errors import InputError

NAME = "auto-refine"
_LINE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r'\\(["\\$`])')


@dataclass(frozen=True)
class BoxPaths:
    """Where a box's own files lie on this file system, below `root` (normally /, else a folder such as an image's)."""

    config_dir: Path
    units_dir: Path
    state_dir: Path
    root: Path = Path("/")

    @classmethod
    def for_user(cls, root: Path = Path("/")) -> BoxPaths:
        """Places of an installation for the calling user alone."""
        home = Path.home()
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        state = Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")
        return cls._below(root, config / NAME, config / "systemd" / "user", state / NAME)

    @classmethod
    def for_root(cls, root: Path = Path("/")) -> BoxPaths:
        """Places of an installation for the whole machine."""
        return cls._below(root, Path("/etc") / NAME, Path("/etc/systemd/system"), Path("/var/lib") / NAME)

    @classmethod
    def _below(cls, root: Path, config: Path, units: Path, state: Path) -> BoxPaths:
        config, units, state = (root / path.relative_to("/") for path in (config, units, state))
        return cls(config, units, state, root)

    @property
    def client_env(self) -> Path:
        """Environment of workers, of the doctor and of people; holds the password."""
        return self.config_dir / "client.env"

    @property
    def server_env(self) -> Path:
        """Environment of the server alone; holds the password and the database's URL."""
        return self.config_dir / "server.env"

    @property
    def manifest(self) -> Path:
        """What was installed, for the next run and for --uninstall."""
        return self.config_dir / "installed.json"

    def inside(self, path: Path) -> Path:
        """How a path below `root` is called once `root` is /; others stay as they are."""
        return Path("/") / path.relative_to(self.root) if path.is_relative_to(self.root) else path

    def outside(self, path: Path) -> Path:
        """Where on this file system lies what is called `path` once `root` is /."""
        return self.root / path.relative_to("/")


def installed_paths() -> BoxPaths | None:
    """The places of this machine's installation: the calling user's, else the whole machine's; None without any."""
    for paths in (BoxPaths.for_user(), BoxPaths.for_root()):
        if paths.client_env.exists():
            return paths
    return None


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an environment file, as both systemd and a shell understand it.

    Raises:
        InputError: the file cannot be read, or a line is no NAME=value; values are not repeated in the message.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as an environment file ({error})") from None
    variables = {}
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line[0] in "#;":
            continue
        found = _LINE.fullmatch(line)
        value = _unquoted(found["value"]) if found else None
        if found is None or value is None:
            raise InputError(f"{path}, line {number}: expected NAME=value, with the value whole or in quotes; mend it")
        variables[found["name"]] = value
    return variables


def _unquoted(text: str) -> str | None:
    """The value behind an equals sign; None when its quotes do not match."""
    if text.startswith("'"):
        return text[1:-1] if len(text) > 1 and text.endswith("'") and "'" not in text[1:-1] else None
    if text.startswith('"'):
        found = _DOUBLE_QUOTED.fullmatch(text)
        return _ESCAPED.sub(r"\1", found[1]) if found else None
    return text
