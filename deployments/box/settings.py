"""How a box is to be: flags first, then what the last run wrote, then defaults."""

from __future__ import annotations

import argparse
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deployments import CAPTION_POOL
from deployments.box.commands import Account
from deployments.box.manifest import Record
from deployments.box.paths import NAME, BoxPaths, read_env_file
from lib.errors import InputError

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # listens on every address -> one to reach it by
_CRON_WORD = re.compile(r"[0-9A-Za-z*/,#?-]+")
SQLITE = "sqlite"


@dataclass(frozen=True)
class BoxSettings:
    """One box; paths as they are called on it."""

    account: Account
    system_wide: bool
    checkout: Path
    python: Path
    machine: str
    has_server: bool
    api_url: str
    host: str
    port: int
    database: str = field(repr=False)  # PostgreSQL's URL, empty for SQLite
    inbox: Path
    outbox: Path
    results: Path
    weights_dir: Path
    cron: str
    timezone: str
    auth: str = field(default="", repr=False)  # user:password, empty for the one in use or a new one
    new_password: bool = False

    @property
    def caption_pool(self) -> str:
        """Captions are made on the box that asks for them, so each box has a pool of its own."""
        return CAPTION_POOL if self.has_server else f"{CAPTION_POOL}-{self.machine}"

    @property
    def base_url(self) -> str:
        """The UI's address."""
        return self.api_url.removesuffix("/api")


def resolve(said: argparse.Namespace, paths: BoxPaths, account: Account, record: Record, checkout: Path) -> BoxSettings:
    """The box's settings from the flags and from what was written before.

    Raises:
        InputError: a value is unusable; the message names the flag.
    """
    client, server = _written(paths.client_env), _written(paths.server_env)
    has_server = not said.server and record.role == "server"
    host = said.host or server.get("PREFECT_SERVER_API_HOST", "127.0.0.1")
    port = said.port or int(server.get("PREFECT_SERVER_API_PORT", "4200"))
    system_wide = said.scope == "system"
    settings = BoxSettings(
        account=account,
        system_wide=system_wide,
        checkout=paths.inside(checkout),
        python=_path(said.python or record.python) or paths.inside(checkout) / ".venv" / "bin" / "python",
        machine=machine_name(),
        has_server=has_server,
        api_url=_own_url(host, port) if has_server else _joined_url(said.server, client),
        host=host,
        port=port,
        database=_database(said.database, server) if has_server else "",
        **_folders(said, client, system_wide, paths.inside(checkout)),
        cron=_cron(said.cron or client.get("AUTO_REFINE_CRON", "0 2 * * *")),
        timezone=said.timezone or client.get("AUTO_REFINE_TIMEZONE") or _local_timezone(),
        auth=_auth(said.auth_file),
        new_password=said.new_password,
    )
    _check(settings, paths, client)
    return settings


def _written(path: Path) -> dict[str, str]:
    return read_env_file(path) if path.exists() else {}


def machine_name() -> str:
    """This machine's name as a part of other names."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname().split(".")[0]).strip("-") or "box"


def _own_url(host: str, port: int) -> str:
    reached_by = _ANYWHERE.get(host, host)
    return f"http://{f'[{reached_by}]' if ':' in reached_by else reached_by}:{port}/api"


def _joined_url(given: str | None, client: Mapping[str, str]) -> str:
    url = (given or client.get("PREFECT_API_URL", "")).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.password:
        raise InputError("--server: expected an address like http://10.0.0.1:4200, without a password")
    return url if url.endswith("/api") else f"{url}/api"


def _folders(said: argparse.Namespace, client: Mapping[str, str], system_wide: bool, checkout: Path) -> dict[str, Path]:
    data = Path("/srv") / NAME if system_wide else Path.home() / f"{NAME}-data"
    given = {
        "inbox": (said.inbox, "AUTO_REFINE_INBOX", data / "inbox"),
        "outbox": (said.outbox, "AUTO_REFINE_OUTBOX", data / "outbox"),
        "results": (said.results, "AUTO_REFINE_RESULTS", data / "results"),
        "weights_dir": (said.weights_dir, "AUTO_REFINE_WEIGHTS", checkout / "weights"),
    }
    return {name: _path(flag) or _path(client.get(key)) or default for name, (flag, key, default) in given.items()}


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _database(given: str | None, server: Mapping[str, str]) -> str:
    """PostgreSQL's URL in the form that the server wants, empty for SQLite."""
    if given is None:
        url = server.get("PREFECT_SERVER_DATABASE_CONNECTION_URL", "")
        return "" if url.startswith("sqlite") else url
    if given == SQLITE:
        return ""
    url = given if "://" in given else _secret(given, "--database")
    parts = urlsplit(url)
    if url == given and (parts.password is not None or "password=" in parts.query):
        raise InputError(
            "--database: an argument can be seen by everybody on this machine; put the URL with its password into a "
            "file with mode 0600 and give the file's path, or '-' to have it read from stdin"
        )
    if parts.scheme not in ("postgresql", "postgresql+asyncpg"):
        raise InputError(f"--database: found a URL of kind {parts.scheme!r}; expected postgresql://user@host/name")
    return parts._replace(scheme="postgresql+asyncpg").geturl()


def _auth(source: str | None) -> str:
    if source is None:
        return ""
    secret = _secret(source, "--auth_file")
    if ":" not in secret:
        raise InputError("--auth_file: expected one line user:password, as behind PREFECT_API_AUTH_STRING=")
    return secret.removeprefix("PREFECT_API_AUTH_STRING=").strip("'\"")


def _secret(source: str, flag: str) -> str:
    """One line from stdin ('-') or from a file that nobody else can read."""
    path = Path(source).expanduser()
    if source != "-" and not path.is_file():
        raise InputError(f"{flag} {source}: no such file")
    if source != "-" and path.stat().st_mode & 0o077:
        raise InputError(f"{flag} {source}: others can read this file; chmod 600 it")
    lines = (sys.stdin.readline() if source == "-" else path.read_text(encoding="utf-8")).split()
    if len(lines) != 1:
        raise InputError(f"{flag} {source}: expected one line without spaces, found {len(lines)} words")
    return lines[0]


def _cron(text: str) -> str:
    words = text.split()
    if len(words) != 5 or not all(_CRON_WORD.fullmatch(word) for word in words):
        raise InputError(f"--cron {text!r}: expected five fields, such as '0 2 * * *' for every night at two")
    return " ".join(words)


def _local_timezone() -> str:
    target = str(Path("/etc/localtime").resolve())
    return target.partition("/zoneinfo/")[2] or "UTC"


def _check(settings: BoxSettings, paths: BoxPaths, client: Mapping[str, str]) -> None:
    if not 0 < settings.port < 65536:
        raise InputError(f"--port {settings.port}: expected a number from 1 to 65535")
    if not settings.has_server and not (settings.auth or client.get("PREFECT_API_AUTH_STRING")):
        raise InputError("--server needs --auth_file: a file with mode 0600, or '-', that holds its user:password")
    if not settings.has_server and settings.new_password:
        raise InputError("--new_password: the password is the server's; change it there, then give it by --auth_file")
    removed = (paths.inside(paths.state_dir), settings.checkout / ".venv", settings.checkout / ".venv-caption")
    folders = {"inbox": settings.inbox, "outbox": settings.outbox, "results": settings.results}
    for name, folder in {**folders, "weights_dir": settings.weights_dir}.items():
        if inside := next((place for place in removed if folder.is_relative_to(place)), None):
            raise InputError(f"--{name} {folder}: lies in {inside}, which --uninstall removes; give another folder")
    for name in ("outbox", "results"):
        if folders[name].is_relative_to(settings.inbox):
            raise InputError(f"--{name} {folders[name]}: lies in the inbox {settings.inbox}; give a folder beside it")
