"""The steps of an installation, each of which changes nothing where nothing need be changed."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

from deployments.box.commands import StepError, run
from deployments.box.env_files import AUTH, auth_string, client_variables, env_text, server_variables
from deployments.box.environments import ensure, environments
from deployments.box.manifest import Manifest, write_file
from deployments.box.paths import BoxPaths, read_env_file
from deployments.box.server import check_access, wait_until_healthy
from deployments.box.settings import BoxSettings
from deployments.box.systemd import Systemd
from deployments.box.units import SERVER_UNIT, commands, unit_texts


class Installer:
    """Brings a box into the state that its settings describe.

    Args:
        checkout: This project's folder on this file system.

    Raises:
        InputError: a setting cannot be written into an environment file or a unit.
    """

    def __init__(self, settings: BoxSettings, paths: BoxPaths, manifest: Manifest, checkout: Path) -> None:
        self.settings = settings
        self.paths = paths
        self.manifest = manifest
        self.checkout = checkout
        # worded before anything is written, so that an unusable value leaves nothing half done
        self._env_texts = self._word_env_files()
        self._unit_texts = unit_texts(settings, paths.inside(paths.client_env), paths.inside(paths.server_env))

    def _word_env_files(self) -> dict[Path, str]:
        auth = auth_string(self.settings, self.paths)
        wanted = {self.paths.client_env: client_variables(self.settings, self.paths, auth)}
        if self.settings.has_server:
            wanted[self.paths.server_env] = server_variables(self.settings, self.paths, auth)
        return {path: env_text(variables, path) for path, variables in wanted.items()}

    def make_environments(self) -> None:
        """Raises StepError."""
        for environment in environments(self.checkout):
            made = ensure(environment, self.manifest, self.settings.account)
            print(f"{'made' if made else 'unchanged'}: {environment.folder}")

    def make_folders(self) -> None:
        """The box's own folders and those for videos, where they are missing."""
        self.manifest.record.role = "server" if self.settings.has_server else "joined"
        self.manifest.save()
        self.manifest.add_tree(self.paths.state_dir)
        self.manifest.make_folder(self.paths.state_dir, 0o700)
        self.manifest.make_folder(self.paths.state_dir / "prefect", 0o700)
        self.manifest.make_folder(self.paths.units_dir, 0o755, owned=False)
        for folder in (self.settings.inbox, self.settings.outbox, self.settings.results):
            place = self.paths.outside(folder)
            print(f"{'made' if self.manifest.make_folder(place, 0o700) else 'unchanged'}: {place}")

    def write_env_files(self) -> None:
        for path, text in self._env_texts.items():
            self.manifest.add_file(path)
            self._write(path, text, 0o600)

    def write_units(self) -> bool:
        """Write the units; whether any has changed."""
        changed = False
        for name, text in self._unit_texts.items():
            self.manifest.add_unit(name)
            changed |= self._write(self.paths.units_dir / name, text, 0o644)
        return changed

    def _write(self, path: Path, text: str, mode: int) -> bool:
        changed = write_file(path, text, mode, None if mode & 0o077 else self.settings.account)
        print(f"{'written' if changed else 'unchanged'}: {path}")
        return changed

    def drop_server(self, systemd: Systemd | None) -> bool:
        """On a box that has become another's, take its own server away; whether there was one."""
        record = self.manifest.record
        if self.settings.has_server or SERVER_UNIT not in record.units:
            return False
        if systemd is not None:
            systemd.take_down([SERVER_UNIT])
        (self.paths.units_dir / SERVER_UNIT).unlink(missing_ok=True)
        self.paths.server_env.unlink(missing_ok=True)
        record.units.remove(SERVER_UNIT)
        record.started.pop(SERVER_UNIT, None)
        self.manifest.save()
        print(f"removed {self.paths.units_dir / SERVER_UNIT} and {self.paths.server_env}; its history is kept")
        return True

    def start(self, systemd: Systemd, *, reload: bool) -> None:
        """Have the server run and know the deployments, then the workers.

        Raises:
            StepError: one of them does not come up.
        """
        if reload:
            systemd.reload()
        if self.settings.has_server:
            self._bring_up(systemd, SERVER_UNIT)
        log = f"look at: {self.log_command(SERVER_UNIT)}" if self.settings.has_server else "look at that box"
        wait_until_healthy(self.settings.api_url, log)
        variables = read_env_file(self.paths.client_env)
        check_access(self.settings.api_url, variables[AUTH])
        self._set_up_server(variables)
        for unit in commands(self.settings):
            if unit != SERVER_UNIT:
                self._bring_up(systemd, unit)

    def _set_up_server(self, variables: dict[str, str]) -> None:
        near = {name: ",".join(filter(None, ["127.0.0.1,localhost", os.environ.get(name)])) for name in _NO_PROXY}
        words = [self.settings.python, "-m", "deployments.server_setup"]
        words += [] if self.settings.has_server else ["--joining"]
        run(words, self.settings.account, cwd=self.checkout, env={**variables, **near})

    def _bring_up(self, systemd: Systemd, unit: str) -> None:
        record, now = self.manifest.record, self._fingerprint(unit)
        print(f"{unit}: {systemd.bring_up(unit, changed=record.started.get(unit) != now)}")
        if record.started.get(unit) != now:
            record.started[unit] = now
            self.manifest.save()

    def _fingerprint(self, unit: str) -> str:
        """Of everything that a running unit has read at its start."""
        env_file = self.paths.server_env if unit == SERVER_UNIT else self.paths.client_env
        read = (self.paths.units_dir / unit, env_file, self.checkout / "pyproject.toml")
        return hashlib.sha256(b"\0".join(path.read_bytes() for path in read)).hexdigest()

    def log_command(self, unit: str) -> str:
        return f"journalctl {'' if self.settings.system_wide else '--user '}-u {unit}"

    def by_hand(self) -> list[str]:
        """The commands, in order, that do what systemd would."""
        client, server = (str(self.paths.inside(path)) for path in (self.paths.client_env, self.paths.server_env))
        lines = [f"cd {shlex.quote(str(self.settings.checkout))}"]
        started = commands(self.settings)
        if self.settings.has_server:
            lines.append(_with_environment(server, started[SERVER_UNIT], background=True))
            lines.append(f"until curl --silent --fail {self.settings.api_url}/health; do sleep 1; done")
        setup = [str(self.settings.python), "-m", "deployments.server_setup"]
        lines.append(_with_environment(client, setup if self.settings.has_server else [*setup, "--joining"]))
        workers = [words for unit, words in started.items() if unit != SERVER_UNIT]
        return lines + [_with_environment(client, words, background=True) for words in workers]


_NO_PROXY = ("NO_PROXY", "no_proxy")


def _with_environment(env_file: str, words: list[str], *, background: bool = False) -> str:
    """The command in a subshell that has read the environment file."""
    return f"(set -a; . {shlex.quote(env_file)}; exec {shlex.join(words)}){' &' if background else ''}"


def require_access(settings: BoxSettings, paths: BoxPaths) -> None:
    """See that the server that a box is to join lets it in, before anything is written. Raises StepError."""
    auth = settings.auth or read_env_file(paths.client_env)[AUTH]
    check_access(settings.api_url, auth)


def require_python(settings: BoxSettings, paths: BoxPaths) -> None:
    """Raises StepError if the interpreter that the units are to run is not there."""
    if not paths.outside(settings.python).exists() and not settings.python.exists():
        raise StepError(
            f"{settings.python}: no such interpreter; run without --no_environments, or name one by --python"
        )
