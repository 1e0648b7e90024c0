"""The doctor's view of a Prefect server: a real one with a password, and what its answers mean."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from patient_http import patient_client

from deployments import AUTOMATIONS
from deployments.box.paths import BoxPaths
from deployments.checks import prefect_server
from deployments.checks import server as checks
from deployments.checks.finding import Finding
from deployments.checks.job import Job
from deployments.checks.prefect_server import PrefectServer, ServerError
from lib.runtime.children import free_port

AUTH = "admin:a-long-password"
BOX = BoxPaths.for_root(Path("/nowhere"))
POOLS = ("gpu-pool", "shard-pool", "caption-pool-here")
YAML = """
deployments:
- name: manual
- name: nightly
  schedules: [{cron: "0 2 * * *"}]
"""


class Server:
    """A running server, and a client that writes what a test wants to be there."""

    def __init__(self, url: str) -> None:
        self.url, self.env = url, {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": AUTH}
        self._http = patient_client(base_url=url, auth=httpx.BasicAuth(*AUTH.split(":")))
        token = self._http.get("/csrf-token", params={"client": "test"}).json()["token"]
        self._http.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "test"})

    def write(self, path: str, method: str = "POST", **body) -> dict:
        answer = self._http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}

    def job(self, **changes) -> Job:
        env = {**self.env, "AUTO_REFINE_CAPTION_POOL": POOLS[-1]}
        return Job(**{"env": env, "box": BOX, **changes})


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    home, port = tmp_path_factory.mktemp("server"), free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_API_AUTH_STRING": AUTH,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT__SERVER_EPHEMERAL": "1",
    }
    app = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", *app], env=env, stdout=log, stderr=log)
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/api/health", home / "log")
            yield Server(f"http://127.0.0.1:{port}/api")
        finally:
            process.kill()
            process.wait()


def _wait_until_healthy(url: str, log: Path) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=1, trust_env=False).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    found = list(findings)
    assert AUTH not in str(found) and AUTH.split(":")[1] not in str(found)
    return {finding.what: finding for finding in found}


def levels(findings: dict[str, Finding], *names: str) -> list[str]:
    return [findings[name].level for name in names]


def test_a_server_that_was_only_started_is_reachable_guarded_and_bare(server, tmp_path):
    (tmp_path / "prefect.yaml").write_text(YAML)
    found = by_name(checks.check_server(server.job(project=tmp_path)))
    assert levels(found, "server", "server version", "server's guard", "CSRF protection", "runs") == ["ok"] * 5
    assert [found[f"pool {name}"].found for name in POOLS] == ["not on the server"] * 3
    assert levels(found, "pool gpu-pool", "deployment nightly", f"automation {AUTOMATIONS[0]!r}") == ["FAIL"] * 3
    assert "deployments.server_setup" in found["deployment nightly"].advice


def test_somebodys_own_server_needs_no_deployments(server, tmp_path):
    (tmp_path / "prefect.yaml").write_text(YAML)
    found = by_name(checks.check_server(server.job(project=tmp_path, box=None)))
    assert levels(found, "pool gpu-pool", "deployment nightly") == ["warn", "warn"]


def test_pools_need_workers(server):
    job, client = server.job(), PrefectServer(server.url, AUTH)
    for name in POOLS:
        server.write("/work_pools/", name=name, type="process")
    found = by_name(checks.check_pools(client, job))
    assert {finding.found for finding in found.values()} == {"no worker is online"}
    assert "systemctl start auto-refine-shard-worker" in found["pool shard-pool"].advice
    for name in POOLS:
        server.write(f"/work_pools/{name}/workers/heartbeat", name="box-1", heartbeat_interval_seconds=600)
    assert {str(finding) for finding in checks.check_pools(client, job)} == {
        f"ok    pool {name}: 1 online: box-1" for name in POOLS
    }
    server.write("/work_pools/gpu-pool", "PATCH", is_paused=True)
    assert by_name(checks.check_pools(client, job))["pool gpu-pool"].found == "paused"


def test_deployments_and_their_schedules(server, tmp_path):
    (tmp_path / "prefect.yaml").write_text(YAML)
    job, client = server.job(project=tmp_path), PrefectServer(server.url, AUTH)
    flow = server.write("/flows/", name="auto-refine")["id"]
    schedule = {"schedule": {"cron": "0 2 * * *", "timezone": "UTC"}, "active": True}
    manual = {"name": "manual", "flow_id": flow}
    server.write("/deployments/", **manual)
    assert by_name(checks.check_deployments(client, job))["deployment in caption-pool-here"].level == "FAIL"
    server.write("/deployments/", **manual, work_pool_name=POOLS[-1])
    nightly = server.write("/deployments/", name="nightly", flow_id=flow, schedules=[schedule])
    found = by_name(checks.check_deployments(client, job))
    assert [str(finding) for finding in found.values()] == [
        "ok    deployment manual: there",
        "ok    deployment nightly: there, 0 2 * * * UTC",
    ]
    path = f"/deployments/{nightly['id']}/schedules/{nightly['schedules'][0]['id']}"
    server.write(path, "PATCH", active=False)
    assert "no active schedule" in by_name(checks.check_deployments(client, job))["deployment nightly"].found
    server.write(f"/deployments/{nightly['id']}/pause_deployment")
    assert "paused" in by_name(checks.check_deployments(client, job))["deployment nightly"].found


def test_automations_are_there_and_enabled(server):
    job, client = server.job(), PrefectServer(server.url, AUTH)
    trigger = {"type": "event", "posture": "Reactive", "expect": ["x"], "threshold": 1, "within": 0}
    made = [
        server.write("/automations/", name=name, trigger=trigger, actions=[{"type": "cancel-flow-run"}])
        for name in AUTOMATIONS[1:]
    ]
    server.write(f"/automations/{made[0]['id']}", "PATCH", enabled=False)
    found = by_name(checks.check_automations(client, job))
    assert [finding.level for finding in found.values()] == ["FAIL", "warn", *["ok"] * (len(AUTOMATIONS) - 2)]


def test_runs_that_have_been_at_it_for_long_are_named(server, monkeypatch):
    job, client = server.job(), PrefectServer(server.url, AUTH)
    flow = server.write("/flows/", name="auto-refine")["id"]
    run = server.write("/flow_runs/", flow_id=flow, name="bears", state={"type": "RUNNING"})
    done = server.write("/flow_runs/", flow_id=flow, name="done", state={"type": "COMPLETED"})
    (finding,) = checks.check_stuck_runs(client, job)
    assert (finding.level, finding.what) == ("ok", "runs") and finding.found.startswith("1 at work")
    monkeypatch.setattr(checks, "STUCK_AFTER", timedelta(0))
    (finding,) = checks.check_stuck_runs(client, job)
    assert (finding.level, finding.what) == ("warn", "run bears")
    assert run["id"] in finding.advice and done["id"] not in finding.advice


def test_all_pages_are_read(server, monkeypatch):
    client = PrefectServer(server.url, AUTH)
    names = {server.write("/flows/", name=f"flow-{number}")["name"] for number in range(5)}
    monkeypatch.setattr("deployments.checks.prefect_server._PAGE", 2)
    assert names <= {flow["name"] for flow in client.filter("flows/filter")}


@pytest.mark.parametrize(("auth", "said"), [("admin:wrong", "PREFECT_API_AUTH_STRING"), ("", "no PREFECT_API")])
def test_a_wrong_password_is_told_and_not_shown(server, auth, said):
    job = Job(env={**server.env, "PREFECT_API_AUTH_STRING": auth}, box=BOX)
    found = by_name(checks.check_server(job))
    assert list(found) == ["server", "server sign-in", "server's guard"]
    assert found["server sign-in"].level == "FAIL" and said in found["server sign-in"].found
    assert "wrong" not in str(found)


def test_a_closed_port(tmp_path):
    env = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    (finding,) = checks.check_server(Job(env=env, box=BOX))
    assert finding.level == "FAIL" and "Connection refused" in finding.found
    assert "systemctl start auto-refine-server" in finding.advice
    (finding,) = checks.check_server(Job(env=env))
    assert "ssh tunnel" in finding.advice


def test_something_else_behind_the_address():
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(60)
        url = f"http://127.0.0.1:{other.getsockname()[1]}/api"
        with _answering(other, b"HTTP/1.0 200 OK\r\n\r\n<html>"):
            (finding,) = checks.check_server(Job(env={"PREFECT_API_URL": url}))
    assert finding.level == "FAIL" and "does not answer" in finding.found


@contextlib.contextmanager
def _answering(listener: socket.socket, answer: bytes) -> Iterator[None]:
    """Somebody who says the same to one caller."""
    import threading

    def serve() -> None:
        caller, _ = listener.accept()
        with caller:
            caller.recv(65536)
            caller.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()


def test_without_a_configured_server_nothing_is_looked_at():
    (finding,) = checks.check_server(Job(env={}))
    assert finding.level == "skip"


class Answers(PrefectServer):
    """A server that says what a test gives it."""

    def __init__(self, answer: Callable[[], object], url: str = "http://127.0.0.1:4200/api") -> None:
        super().__init__(url)
        self._answer = answer

    def get(self, path, *, signed_in=True):
        return self._answer()


def refuse(status: int) -> Callable[[], object]:
    def answer() -> object:
        raise ServerError("admin/version: HTTP error", status)

    return answer


@pytest.mark.parametrize(
    ("answer", "url", "installed", "level"),
    [
        (refuse(401), "http://127.0.0.1/api", True, "ok"),
        (refuse(500), "http://127.0.0.1/api", True, "FAIL"),
        (lambda: "3.8.8", "http://127.0.0.1/api", True, "FAIL"),
        (lambda: "3.8.8", "http://127.0.0.1/api", False, "warn"),
        (lambda: "3.8.8", "http://server.lan/api", False, "FAIL"),
    ],
)
def test_whoever_reaches_an_open_server_can_run_code(answer, url, installed, level):
    assert checks.check_guard(Answers(answer, url), installed=installed).level == level


@pytest.mark.parametrize(
    ("theirs", "ours", "level"),
    [("3.8.8", "3.8.8", "ok"), ("3.8.9", "3.8.8", "warn"), ("3.9.1", "3.8.8", "FAIL"), ("3.8.8", "", "FAIL")],
)
def test_versions_of_server_and_client(theirs, ours, level):
    assert checks.judge_version(theirs, ours).level == level


def test_csrf_protection_that_is_off_is_told_on_a_box():
    client = Answers(refuse(422))
    assert [finding.level for finding in checks.check_csrf(client, Job(box=BOX))] == ["warn"]
    assert [finding.level for finding in checks.check_csrf(client, Job())] == ["skip"]


def test_who_sets_up_what_is_missing(tmp_path):
    box = BoxPaths.for_user(tmp_path)
    joined = checks.missing("pool p", Job(box=box))
    assert "on the server's box" in joined.advice and "--joining" in joined.advice
    box.config_dir.mkdir(parents=True)
    box.server_env.write_text("")
    assert checks.missing("pool p", Job(box=box)).advice == "run `python -m deployments.server_setup`"


def test_workers_that_have_gone_do_not_count():
    pool, workers = {"name": "p", "type": "process"}, [{"name": "a", "status": "OFFLINE"}]
    assert checks.judge_pool("pool p", pool, workers, Job()).level == "FAIL"
    assert (
        checks.judge_pool("pool p", pool, [*workers, {"name": "b", "status": "ONLINE"}], Job()).found == "1 online: b"
    )


def test_a_pool_of_another_type_fails():
    assert checks.judge_pool("pool p", {"name": "p", "type": "docker"}, [], Job()).level == "FAIL"


@contextlib.contextmanager
def answering(statuses: list[int]) -> Iterator[str]:
    """A server that gives these statuses, one a call; its API's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0))
            self.end_headers()
            self.wfile.write(json.dumps("3.8.8").encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()


def test_a_busy_server_is_asked_again(monkeypatch):
    monkeypatch.setattr(prefect_server, "_PAUSES", (0.0, 0.0))
    with answering([503, 503, 200]) as url:
        assert PrefectServer(url).get("admin/version") == "3.8.8"
    with answering([503] * 4) as url, pytest.raises(ServerError, match="admin/version: HTTP 503"):
        PrefectServer(url).get("admin/version")


def test_a_server_that_refuses_is_asked_once():
    with answering([500]) as url, pytest.raises(ServerError, match="HTTP 500"):
        PrefectServer(url).get("admin/version")


@pytest.mark.parametrize("text", ["", "[]", "deployments: 3", "deployments: [{}]", "a: ["])
def test_a_file_without_deployments_is_told(text, tmp_path):
    (tmp_path / "prefect.yaml").write_text(text)
    (finding,) = checks.check_deployments(Answers(lambda: None), Job(project=tmp_path))
    assert finding.level == "FAIL" and "prefect.yaml" in finding.found
