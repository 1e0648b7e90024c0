"""Commands that an installation runs, and on whose account."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import InputError


class StepError(RuntimeError):
    """A step of the installation failed; the message says which, how, and what to do."""


@dataclass(frozen=True)
class Account:
    """Who owns the box's files and runs its services."""

    name: str
    uid: int
    gid: int
    home: str

    @classmethod
    def named(cls, name: str) -> Account:
        """Raises InputError if this machine knows no such account."""
        try:
            return cls._of(pwd.getpwnam(name))
        except KeyError:
            raise InputError(f"--user {name}: no such account here; create it (useradd) or name another") from None

    @classmethod
    def owner_of(cls, path: Path) -> Account:
        """Raises InputError if the owner has no name here."""
        return cls.numbered(path.stat().st_uid, f"{path} belongs to")

    @classmethod
    def numbered(cls, uid: int, whose: str = "this process runs as") -> Account:
        """Raises InputError if the number has no name here."""
        try:
            return cls._of(pwd.getpwuid(uid))
        except KeyError:
            raise InputError(f"{whose} number {uid}, which has no account here; create it or give --user") from None

    @classmethod
    def _of(cls, entry: pwd.struct_passwd) -> Account:
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()

    def own(self, path: Path) -> None:
        """Give it the file or folder, if this process may; links are not followed."""
        if not self.is_us and os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def run(command: Sequence[str | Path], account: Account, *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a command as `account`, its output on this terminal.

    Its environment is this one, less the settings of any other Prefect, plus `env`.

    Raises:
        StepError: it cannot be started or fails.
    """
    switched: dict[str, Any] = {}
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    variables = {**own, **(env or {})}
    if not account.is_us:
        groups = os.getgrouplist(account.name, account.gid)
        switched = {"user": account.uid, "group": account.gid, "extra_groups": groups}
        variables |= {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}
    try:
        code = subprocess.run(list(command), cwd=cwd, env=variables, check=False, **switched).returncode
    except OSError as error:
        raise StepError(f"{command[0]}: cannot be started ({error})") from None
    if code != 0:
        raise StepError(f"'{' '.join(map(str, command))}' ended with code {code}; mend what it says above, run again")
