"""The API server's process: Prefect's application behind our gate. Settings come from the environment.

    python -P -m deployments.api_server --fd N      # a run's: on a socket that the launcher has bound and holds
    python -m deployments.api_server                # a box's: on PREFECT_SERVER_API_HOST and _PORT

Files that it makes are for its owner only.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from functools import partial

from lib.runtime.gate import ALLOWED_HOSTS, Gate
from lib.runtime.login import SERVER_AUTH

_HOST, _PORT = "PREFECT_SERVER_API_HOST", "PREFECT_SERVER_API_PORT"
_NO_ADDRESS = 1
_STARTUP_FAILED = 3
_STOP_SECONDS = 1


def allowed_hosts(env: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the environment by which the server may be called, besides the address that is called."""
    names = [*env.get(ALLOWED_HOSTS, "").split(","), env.get(_HOST, "")]
    return tuple(name.strip() for name in names if name.strip())


def make_app(names: tuple[str, ...], auth: str) -> Gate:
    """Prefect's application behind the gate; arguments as `Gate`."""
    from prefect.server.api.server import create_app

    return Gate(create_app(final=True), names, auth)


def listen(env: Mapping[str, str]) -> socket.socket:
    """A socket at the address in the environment. Raises OSError, as when the port is taken."""
    host, port = env.get(_HOST, "127.0.0.1"), int(env.get(_PORT, "4200"))
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def main() -> int:
    """Exit code: 0 at its end, 1 if the address is not to be had, 3 if the application did not start."""
    parser = argparse.ArgumentParser(prog="api_server", description="Prefect's API server behind a gate.")
    parser.add_argument("--fd", type=int, help="a listening socket")
    fd = parser.parse_args().fd
    os.umask(0o077)
    try:
        listener = listen(os.environ) if fd is None else socket.socket(fileno=fd)
    except OSError as error:
        print(f"the server has no address to listen on: {error}", file=sys.stderr)
        return _NO_ADDRESS
    if fd is None:  # passwords of boxes may be such as can be guessed: nothing is proven with them
        make = partial(make_app, (*allowed_hosts(os.environ), socket.gethostname()), "")
    else:
        make = partial(make_app, allowed_hosts(os.environ), os.environ[SERVER_AUTH])
    return _serve(make, listener)


def _serve(make: partial[Gate], listener: socket.socket) -> int:
    import uvicorn

    config = uvicorn.Config(make, factory=True, log_level="warning", timeout_graceful_shutdown=_STOP_SECONDS)
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else _STARTUP_FAILED


if __name__ == "__main__":
    sys.exit(main())
