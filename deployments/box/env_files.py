"""The two environment files: client.env for workers and people, server.env for the server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from deployments.box.paths import BoxPaths, read_env_file
from deployments.box.settings import BoxSettings
from lib.errors import InputError

AUTH = "PREFECT_API_AUTH_STRING"
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def client_variables(settings: BoxSettings, paths: BoxPaths, auth: str) -> dict[str, str]:
    """What workers, the doctor and people need to reach the server and to find the box's folders."""
    return {
        "PREFECT_API_URL": settings.api_url,
        AUTH: auth,
        "PREFECT_HOME": str(paths.inside(paths.state_dir) / "prefect"),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
        **_QUIET,
        "AUTO_REFINE_CAPTION_POOL": settings.caption_pool,
        "AUTO_REFINE_WEIGHTS": str(settings.weights_dir),
        "AUTO_REFINE_INBOX": str(settings.inbox),
        "AUTO_REFINE_OUTBOX": str(settings.outbox),
        "AUTO_REFINE_RESULTS": str(settings.results),
        "AUTO_REFINE_CRON": settings.cron,
        "AUTO_REFINE_TIMEZONE": settings.timezone,
    }


def server_variables(settings: BoxSettings, paths: BoxPaths, auth: str) -> dict[str, str]:
    """What the server alone needs."""
    home = paths.inside(paths.state_dir) / "prefect"
    return {
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_API_HOST": settings.host,
        "PREFECT_SERVER_API_PORT": str(settings.port),
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": settings.database or f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(paths.inside(paths.state_dir) / "ui"),
        "PREFECT_HOME": str(home),
        **_QUIET,
    }


def auth_string(settings: BoxSettings, paths: BoxPaths) -> str:
    """The one given, else the one in use, else a new one."""
    known = read_env_file(paths.client_env) if paths.client_env.exists() else {}
    kept = "" if settings.new_password else known.get(AUTH, "")
    return settings.auth or kept or f"admin:{secrets.token_urlsafe(24)}"


def env_text(wanted: Mapping[str, str], path: Path) -> str:
    """The file's text with these variables; other lines that a person has added to it are kept."""
    left = dict(wanted)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else [_header(path)]
    for index, line in enumerate(lines):
        name = line.split("=", 1)[0].strip()
        if name in left:
            lines[index] = f"{name}={quoted(name, left.pop(name))}"
    lines += [f"{name}={quoted(name, value)}" for name, value in left.items()]
    return "\n".join(lines) + "\n"


def _header(path: Path) -> str:
    return (
        f"# {path.name} of this auto-refine box. It holds a password: keep its mode 0600. Lines of your own are kept."
    )


def quoted(name: str, value: str) -> str:
    """The value as a word that systemd and a shell read alike.

    Raises:
        InputError: it holds control characters.
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise InputError(f"the value for {name} holds a line break or another control character; give it without")
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
