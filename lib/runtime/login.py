"""What one embedded server and its clients know and nobody else does.

The secret is in a file that only its owner reads and in the environment of our own processes; never in arguments,
job variables, the database or logs.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CLIENT_AUTH = "PREFECT_API_AUTH_STRING"
SERVER_AUTH = "PREFECT_SERVER_API_AUTH_STRING"
_USER = "auto-refine"


@dataclass(frozen=True)
class Login:
    """Name and password of a run: `auto-refine:<43 random letters>`."""

    auth: str = field(repr=False)

    @classmethod
    def new(cls) -> Login:
        return cls(f"{_USER}:{secrets.token_urlsafe(32)}")

    def client_environment(self) -> dict[str, str]:
        """What a client of Prefect's needs to be let in."""
        return {CLIENT_AUTH: self.auth}

    def server_environment(self) -> dict[str, str]:
        """What the server needs to let nobody else in."""
        return {SERVER_AUTH: self.auth, "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true"}


def proof(auth: str, nonce: str, port: int) -> str:
    """What only a server that knows `auth` and listens on `port` can answer to `nonce`; 64 hex digits.

    The port is in it so that somebody who listens elsewhere cannot pass the question on.
    """
    return hmac.new(auth.encode(), f"{nonce}:{port}".encode(), hashlib.sha256).hexdigest()


def write_client_file(path: Path, settings: Mapping[str, str]) -> None:
    """Write `NAME=value` lines, for `set -a; . FILE`, into a new file that only its owner can read."""
    path.unlink(missing_ok=True)  # opened with O_EXCL: nobody has prepared it, and no link is followed
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def make_private(folder: Path) -> None:
    """Make a folder, or one that is there, the owner's alone.

    Raises PermissionError when it is somebody else's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user; choose another output folder")
    with contextlib.suppress(NotImplementedError):
        folder.chmod(0o700)
