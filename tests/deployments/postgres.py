"""A PostgreSQL of a test's own, from the operating system's package."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.runtime.children import free_port

_OWNER = "postgres"  # the server refuses to run as root


def binaries() -> Path | None:
    """The folder of the newest installed PostgreSQL server, None where there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Runs while the block does; the address for Prefect, password included."""
    programs, port, password = folder, free_port(), secrets.token_urlsafe()
    home = Path(tempfile.mkdtemp(prefix="auto-refine-postgres-"))
    user = {"user": _OWNER} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(home, _OWNER)
    try:
        (home / "password").write_text(password)
        if user:
            shutil.chown(home / "password", _OWNER)
        options = ["-U", "prefect", "-A", "scram-sha-256", "--pwfile", str(home / "password"), "-E", "UTF8"]
        _run([str(programs / "initdb"), "-D", str(home / "data"), *options], home, user)
        server = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
        control = [str(programs / "pg_ctl"), "-D", str(home / "data"), "-w", "-t", "120"]
        _run([*control, "-l", str(home / "log"), "-o", server, "start"], home, user)
        try:
            yield f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"], home, user)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(command: list[str], home: Path, user: dict[str, str]) -> None:
    with (home.parent / f"{home.name}.out").open("w+") as said:  # the server keeps it open: no pipe
        done = subprocess.run(command, cwd=home, stdout=said, stderr=said, check=False, **user)  # type: ignore[call-overload]
        said.seek(0)
        assert done.returncode == 0, said.read()
    Path(said.name).unlink()
