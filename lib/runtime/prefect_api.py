"""Where Prefect finds its API, the environment of an embedded one, and the few calls the launcher makes to it."""

from __future__ import annotations

import contextlib
import os
import time
import urllib.error
from collections.abc import Mapping
from pathlib import Path

import tomllib

from lib.runtime.api_client import ApiClient
from lib.runtime.login import Login
from lib.runtime.user_folders import expanded

FLOW_PROCESS_MARKER = "AUTO_REFINE_FLOW_PROCESS"
DATABASE_NAME = "prefect.db"
_UNFINISHED = ["RUNNING", "PENDING", "SCHEDULED", "CANCELLING", "PAUSED"]
_PAGE = 200
_KEPT_PREFIX = "PREFECT_LOGGING_"  # the only settings of the user's own that an embedded stack obeys


def api_configured() -> bool:
    """Whether PREFECT_API_URL or the active profile names an API; nothing is embedded then."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect")
    path = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    try:
        path = expanded(path)
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no home folder, or Prefect itself falls back to its defaults too
        return False
    profile = os.environ.get("PREFECT_PROFILE") or document.get("active", "")
    return bool(document.get("profiles", {}).get(profile, {}).get("PREFECT_API_URL"))


def is_flow_process() -> bool:
    """Whether a launcher started this process, or an ancestor of it, to run the flow."""
    return bool(os.environ.get(FLOW_PROCESS_MARKER))


def embedded_environment(state_dir: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Environment that keeps a whole Prefect stack below `state_dir`, untouched by the user's own settings."""
    env = {
        name: value
        for name, value in inherited.items()
        if not name.startswith("PREFECT_") or name.startswith(_KEPT_PREFIX)
    }
    for name in (FLOW_PROCESS_MARKER, "AUTO_REFINE_CAPTION_POOL"):  # a box's own pool is on the box's server
        env.pop(name, None)
    direct = ",".join(filter(None, ["127.0.0.1,localhost", env.get("NO_PROXY") or env.get("no_proxy", "")]))
    return env | {
        "PREFECT_HOME": str(state_dir),
        "PREFECT_PROFILES_PATH": str(state_dir / "profiles.toml"),
        "PREFECT_LOCAL_STORAGE_PATH": str(state_dir / "storage"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "TMPDIR": str(state_dir / "tmp"),
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def server_environment(
    state_dir: Path, base: Mapping[str, str], login: Login, server_url: str, *, with_ui: bool
) -> dict[str, str]:
    """`base` plus what only the API server needs, which must run in `state_dir`."""
    env = {
        **base,
        **login.server_environment(),
        # relative: no release of SQLAlchemy takes a path with ?, # and % as it is, and they differ in how to quote it
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{DATABASE_NAME}",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": server_url,
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(state_dir / "ui"),
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_ENABLED": str(with_ui).lower(),
        "PREFECT__SERVER_FINAL": "1",
    }
    return env if with_ui else {**env, "PREFECT__SERVER_EPHEMERAL": "1"}


def mark_stale_runs_crashed(api: ApiClient) -> int:
    """Mark every unfinished flow and task run Crashed; returns how many there were.

    Only right for whoever owns the whole database and has started nothing yet.
    """
    message = "The command that started this run was killed; a later one found it unfinished."
    request = {"state": {"type": "CRASHED", "name": "Crashed", "message": message}, "force": True}
    marked: set[str] = set()
    for kind in ("flow_runs", "task_runs"):
        query = {kind: {"state": {"type": {"any_": _UNFINISHED}}}, "limit": _PAGE}
        while fresh := {run["id"] for run in api.post(f"{kind}/filter", query)} - marked:
            for run_id in fresh:
                with contextlib.suppress(urllib.error.HTTPError):  # one refused run must not block the output folder
                    api.post(f"{kind}/{run_id}/set_state", request)
            marked |= fresh
    return len(marked)


def wait_until_recorded(api: ApiClient, timeout: float = 5.0) -> None:
    """Wait until the server has written the task runs that it was told about.

    Clients report them as events, which it takes in at leisure; what is in its queue at its end is lost.
    Returns early once nothing changes any more: task runs of killed processes stay unfinished for good.
    """
    deadline = time.monotonic() + timeout
    unfinished = {"task_runs": {"state": {"type": {"any_": _UNFINISHED}}}}
    last, repeats = (-1, -1), 0
    while time.monotonic() < deadline:
        now = (api.post("task_runs/count", {}), api.post("task_runs/count", unfinished))
        last, repeats = now, repeats + 1 if now == last else 0
        if repeats >= (1 if now[1] == 0 else 6):
            return
        time.sleep(0.15)
