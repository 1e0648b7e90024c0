import warnings
from collections.abc import Iterator

import pytest
from postgres import binaries, postgres
from server_box import ServerBox


@pytest.fixture(scope="module")
def server_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerBox]:
    """A server on PostgreSQL with a password, its pools, deployments and automations; no workers yet."""
    folder = tmp_path_factory.mktemp("server_box")
    if programs := binaries():
        with postgres(programs) as database:
            yield from _set_up(ServerBox(folder, database))
    else:
        warnings.warn("PostgreSQL is not installed (Debian: postgresql): the server is tested on SQLite", stacklevel=1)
        yield from _set_up(ServerBox(folder))


def _set_up(box: ServerBox) -> Iterator[ServerBox]:
    try:
        box.start_server()
        box.set_up()
        yield box
    finally:
        box.close()
