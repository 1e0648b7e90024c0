"""Code that runs as another user: an unused number, so no account is made."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_BECOME = "import os, sys; os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"


def need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


def unused_uid(number: int = 0) -> int:
    """A user number that nobody has; another one for each `number`, and for each test process."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    candidates = (uid for uid in range(50_000 + 4 * (os.getpid() % 2_000), 60_000) if uid not in taken)
    for _ in range(number):
        next(candidates)
    return next(candidates)


def run_as(uid: int, imports: str, code: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run code in a fresh interpreter that becomes another user once it has imported what the code needs.

    Python itself may lie where the other user cannot read.

    Args:
        imports: run before, with this user's rights.
        env: beside PATH and PYTHONPATH; HOME is set only if it is in here.
    """
    script = f"{imports}\n{_BECOME.format(uid=uid)}{code}"
    whole = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.run(
        [sys.executable, "-c", script], env=whole, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="auto-refine-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give(path: Path, uid: int, mode: int) -> Path:
    """Make another user the owner of a file or a folder."""
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path
