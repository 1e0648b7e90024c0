"""An installed box's own files and units."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deployments.checks.finding import Finding, fail, ok, skip, warn
from deployments.checks.job import Job
from deployments.checks.server import systemctl

_UNITS = "auto-refine-*.service"
_SECONDS = 30.0
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
_FOLDERS = {"inbox": "AUTO_REFINE_INBOX", "outbox": "AUTO_REFINE_OUTBOX", "results": "AUTO_REFINE_RESULTS"}


def check_box(job: Job) -> Iterator[Finding]:
    """Modes of the files with secrets, the record of the installation, the units."""
    if job.box is None:
        yield skip("box", "nothing is installed here (make gpu-box)")
        return
    try:
        record = read_record(job.box.manifest)
    except ValueError as error:
        record = {}
        yield fail("installation", str(error), "run `make gpu-box` again")
    else:
        yield ok("installation", f"recorded in {job.box.manifest}")
    yield check_mode("environment of clients", job.box.client_env, _FILE_MODE)
    if job.box.server_env.exists():  # a box that joined another's server has none
        yield check_mode("environment of the server", job.box.server_env, _FILE_MODE)
    yield check_mode("state folder", job.box.state_dir, _FOLDER_MODE)
    for what, name in _FOLDERS.items():
        if job.env.get(name) and Path(job.env[name]).is_dir():
            yield check_mode(what, Path(job.env[name]), _FOLDER_MODE, wider=warn)  # a team may share them
    there = {path.name for path in job.box.units_dir.glob(_UNITS)}
    yield from check_units(sorted(there | set(record.get("units", ()))), job)


def read_record(path: Path) -> dict[str, Any]:
    """What the installation consists of.

    Raises:
        ValueError: the file is no such record.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {type(content).__name__}")
    return content


def check_mode(what: str, path: Path, mode: int, wider: Callable[[str, str, str], Finding] = fail) -> Finding:
    """Whether a file or folder is there and nobody else's to read; wider: what it is if others may."""
    try:
        found = path.stat()
    except OSError as error:
        return fail(
            what, f"{path}: {error.strerror}", "run `make gpu-box` again, or this doctor as the installing user"
        )
    allowed = stat.S_IMODE(found.st_mode)
    if allowed & ~mode:
        return wider(what, f"{path} has mode {allowed:04o}, expected {mode:04o}", f"chmod {mode:o} {path}")
    if found.st_uid != os.getuid() and os.getuid() != 0:
        return warn(what, f"{path} belongs to user {found.st_uid}, not to {os.getuid()}", "run the doctor as that user")
    return ok(what, f"{path}, mode {allowed:04o}")


def check_units(units: list[str], job: Job) -> Iterator[Finding]:
    """Each unit that was installed is active."""
    if not units:
        yield fail("units", "none is installed", "run `make gpu-box` again")
    elif shutil.which("systemctl") is None:
        yield skip("units", "systemctl is not here")
    else:
        for unit in units:
            yield judge_unit(unit, unit_state(unit, systemctl(job)), job)


def unit_state(unit: str, command: str) -> str:
    """What systemd calls it: active, inactive, failed, unknown …; its complaint if it does not answer."""
    words = [*command.split(), "is-active", unit]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no answer ({type(error).__name__})"
    return (done.stdout or done.stderr).strip().splitlines()[0] if (done.stdout or done.stderr).strip() else "unknown"


def judge_unit(unit: str, state: str, job: Job) -> Finding:
    if state == "active":
        return ok(unit, state)
    command, journal = systemctl(job), "journalctl --user" if "--user" in systemctl(job) else "journalctl"
    if "bus" in state.lower() or "not been booted" in state.lower():
        return warn(unit, f"systemd does not answer ({state})", "run the doctor in a session of the installing user")
    return fail(unit, state, f"`{command} start {unit}`, and see `{journal} -u {unit} -n 50`")
