"""The API server's process: Prefect's application behind our gate.

    python -P -m lib.runtime.api_server --fd N

The embedded one serves on a socket that the launcher has bound and holds, so that nobody else can ever answer there.
Settings come from the environment. Files that it makes are for its owner only.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from functools import partial

from lib.runtime.gate import Gate
from lib.runtime.login import SERVER_AUTH

ALLOWED_HOSTS = "AUTO_REFINE_ALLOWED_HOSTS"  # comma-separated
_STARTUP_FAILED = 3
_STOP_SECONDS = 1


def allowed_hosts(env: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the environment by which the server may be called."""
    return tuple(name.strip() for name in env.get(ALLOWED_HOSTS, "").split(",") if name.strip())


def make_app(env: Mapping[str, str]) -> Gate:
    """Prefect's application behind the gate."""
    from prefect.server.api.server import create_app

    return Gate(create_app(), allowed_hosts(env), env.get(SERVER_AUTH, ""))


def main() -> int:
    """Exit code: 0 after SIGTERM, 3 if the application did not start."""
    parser = argparse.ArgumentParser(prog="api_server", description="Prefect's API server on a socket that is there.")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    options = parser.parse_args()
    os.umask(0o077)
    import uvicorn

    listener = socket.socket(fileno=options.fd)
    make = partial(make_app, os.environ)
    config = uvicorn.Config(make, factory=True, log_level="warning", timeout_graceful_shutdown=_STOP_SECONDS)
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else _STARTUP_FAILED


if __name__ == "__main__":
    sys.exit(main())
