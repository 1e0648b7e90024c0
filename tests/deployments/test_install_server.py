"""A server started just as its unit says, from the files of an installation, lets in whoever has the password."""

import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from install_support import Box, user_box
from patient_http import patient_client
from websockets import ConnectionClosed, Subprotocol
from websockets.sync.client import connect

from deployments.box.server import check_access
from deployments.box.units import SERVER_UNIT
from lib.runtime.children import free_port
from lib.runtime.gate import PROOF_PATH

PATIENCE = 180


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    home = tmp_path_factory.mktemp("install") / "a home"
    with pytest.MonkeyPatch.context() as patch:
        box = user_box(home, patch, "--no_start", "--python", sys.executable, "--port", str(free_port()))
        assert box.install() == 0
        yield box


@pytest.fixture(scope="module")
def api(box: Box) -> Iterator[str]:
    """The API of the running server; its process has the unit's command line, folder and environment, no more."""
    unit = (box.paths.units_dir / SERVER_UNIT).read_text().splitlines()
    said = dict(line.split("=", 1) for line in unit if "=" in line)
    assert said["EnvironmentFile"] == str(box.paths.server_env)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(box.folder), **box.server()}
    log = box.folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            shlex.split(said["ExecStart"]),
            cwd=said["WorkingDirectory"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        url = box.client()["PREFECT_API_URL"]
        _wait_until_healthy(server, url, log)
        yield url
    finally:
        server.terminate()
        server.wait(60)


def _wait_until_healthy(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def call(url: str, auth: str | None = None, body: dict[str, object] | None = None) -> int:
    user, _, password = (auth or "").partition(":")
    credentials = httpx.BasicAuth(user, password) if auth else None
    with patient_client(auth=credentials) as client:
        return (client.get(url) if body is None else client.post(url, json=body)).status_code


def test_calls_without_the_password_are_refused(api):
    for address in (f"{api}/admin/version", f"{api}/flows/filter", f"{api}/variables/name/health"):
        assert call(address) == 401
        assert call(address, "admin:wrong") == 401
    assert call(f"{api}/flow_runs/filter", body={}) == 403  # for it lacks a token, and that is not given away:
    assert call(f"{api}/csrf-token?client=somebody") == 401
    assert call(f"{api}/health") == 200


@pytest.mark.parametrize("token", ["admin:wrong", None])
@pytest.mark.parametrize("address", ["events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled"])
def test_sockets_are_refused_too(api, address, token):
    with connect(f"{api.replace('http', 'ws')}/{address}", subprotocols=[Subprotocol("prefect")], proxy=None) as socket:
        socket.send(json.dumps({"type": "auth", "token": token}))
        with pytest.raises(ConnectionClosed) as raised:
            socket.recv(30)
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1008  # policy violation


def test_calls_with_the_password_are_answered(api, box):
    auth = box.client()["PREFECT_API_AUTH_STRING"]
    assert call(f"{api}/admin/version", auth) == 200
    check_access(api, auth)


def test_a_page_of_somebody_elses_cannot_call_in_a_users_name(api, box):
    """What a browser would send by itself, password included, lacks the token that only the UI's own page gets."""
    assert call(f"{api}/flow_runs/filter", box.client()["PREFECT_API_AUTH_STRING"], {}) == 403


def test_other_names_and_other_sites_are_refused(api, box):
    credentials = httpx.BasicAuth(*box.client()["PREFECT_API_AUTH_STRING"].split(":", 1))
    with patient_client(auth=credentials) as client:
        asked = {"evil.example": 400, "127.0.0.1": 200, socket.gethostname(): 200}
        assert {name: client.get(f"{api}/admin/version", headers={"Host": name}).status_code for name in asked} == asked
        assert client.get(f"{api}/admin/version", headers={"Origin": "http://evil.example"}).status_code == 403
        plain = {"Content-Type": "text/plain"}
        assert client.post(f"{api}/flow_runs/filter", content="{}", headers=plain).status_code == 415
        assert client.get(api.removesuffix("/api") + PROOF_PATH).status_code == 404


def test_the_client_that_workers_use_gets_in(api, box):
    code = "from prefect.client.orchestration import get_client\n"
    code += "with get_client(sync_client=True) as c: print(len(c.read_flow_runs()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin", "HOME": str(box.folder), **box.client()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_the_ui_is_there_and_calls_its_own_address(api):
    page = httpx.get(api.removesuffix("/api"), trust_env=False, follow_redirects=True)
    assert "<html" in page.text
    settings = httpx.get(api.removesuffix("/api") + "/ui-settings", trust_env=False).json()
    assert settings["api_url"] == "/api"


def test_the_password_is_nowhere_but_in_the_two_files(api, box):
    secret = box.client()["PREFECT_API_AUTH_STRING"].partition(":")[2].encode()
    holders = [path for path in box.folder.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert sorted(holders) == [box.paths.client_env, box.paths.server_env]
    words = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(secret in line for line in words)


def test_the_database_is_where_only_the_owner_comes(api, box):
    database = box.paths.state_dir / "prefect" / "prefect.db"
    assert database.exists()
    assert box.mode(box.paths.state_dir) == 0o700
