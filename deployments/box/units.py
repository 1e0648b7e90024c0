"""The systemd units of a box: a server and three workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployments import GPU_POOL, SHARD_POOL
from deployments.box.settings import BoxSettings
from lib.errors import InputError

SERVER_UNIT = "auto-refine-server.service"
_SERVER_PURPOSE = "Prefect server and UI"

# A worker that ends takes its runs with it: the server then misses their signs of life and has them run again.
# What one run does to the machine's memory must end neither the others nor the worker.
_UNIT = """[Unit]
Description=auto-refine: {purpose}
{after}StartLimitIntervalSec=0

[Service]
{account}WorkingDirectory={checkout}
EnvironmentFile={env_file}
ExecStart={command}
Restart=always
RestartSec=5
TimeoutStopSec=20
KillMode=control-group
OOMPolicy=continue
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy={target}
"""


@dataclass(frozen=True)
class Worker:
    """A worker: its unit's name, what it does, whose runs it takes, and how many at a time (None: any number)."""

    unit: str
    purpose: str
    pool: str
    limit: int | None = None

    def name(self, machine: str) -> str:
        return f"{machine}-{self.unit.removeprefix('auto-refine-').removesuffix('-worker.service')}"


def workers(settings: BoxSettings) -> tuple[Worker, ...]:
    return (
        Worker("auto-refine-gpu-worker.service", "worker for runs that people and schedules start", GPU_POOL),
        Worker("auto-refine-shard-worker.service", "worker for parts of a batch", SHARD_POOL, limit=1),
        Worker("auto-refine-caption-worker.service", "worker for captions", settings.caption_pool),
    )


def commands(settings: BoxSettings) -> dict[str, list[str]]:
    """What each unit runs, by the unit's name; the server's first."""
    prefect = [str(settings.python), "-m", "prefect", "--no-prompt"]
    server = [str(settings.python), "-m", "deployments.api_server"]
    found = {SERVER_UNIT: server} if settings.has_server else {}
    for worker in workers(settings):
        words = ["worker", "start", "--pool", worker.pool, "--type", "process", "--name", worker.name(settings.machine)]
        found[worker.unit] = [*prefect, *words, *(["--limit", str(worker.limit)] if worker.limit else [])]
    return found


def unit_texts(settings: BoxSettings, client_env: Path, server_env: Path) -> dict[str, str]:
    """The text of each unit by its name, the server's first.

    Args:
        client_env, server_env: The environment files, as they are called on the box.

    Raises:
        InputError: a path cannot be written into a unit.
    """
    purposes = {worker.unit: worker.purpose for worker in workers(settings)}
    return {
        unit: _UNIT.format(
            purpose=purposes.get(unit, _SERVER_PURPOSE),
            after=_after(settings, unit),
            account=f"User={settings.account.name}\n" if settings.system_wide else "",
            checkout=unit_path(settings.checkout),
            env_file=unit_path(server_env if unit == SERVER_UNIT else client_env),
            command=" ".join(unit_word(word) for word in command),
            target="multi-user.target" if settings.system_wide else "default.target",
        )
        for unit, command in commands(settings).items()
    }


def _after(settings: BoxSettings, unit: str) -> str:
    """What is to be up first; a user's manager knows nothing of the network."""
    needed = ["network-online.target"] if settings.system_wide else []
    needed += [SERVER_UNIT] if settings.has_server and unit != SERVER_UNIT else []
    return f"Wants={' '.join(needed)}\nAfter={' '.join(needed)}\n" if needed else ""


def unit_path(path: Path) -> str:
    """A path as the whole value of a unit's line.

    Raises:
        InputError: it holds a letter that systemd does not take in the path of a program.
    """
    if bad := {letter for letter in str(path) if letter in "$\\\"'" or ord(letter) < 32 or ord(letter) == 127}:
        raise InputError(f"{path}: systemd cannot take a path with {' '.join(map(repr, sorted(bad)))}; move it")
    return str(path).replace("%", "%%")


def unit_word(word: str) -> str:
    """One word of a unit's command line. Raises InputError as `unit_path` does."""
    escaped = unit_path(Path(word)) if word.startswith("/") else word.replace("%", "%%")
    return escaped if all(letter.isalnum() or letter in "%+,-./:=@_" for letter in word) else f'"{escaped}"'
