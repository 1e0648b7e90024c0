"""Who can use the server of a run, and where its secret is: a real stack, with a script in place of the flow."""

import json
import os
import pty
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from probes import ROOT, assert_all_gone, environment, marked_processes, python, wait_for
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

SCRIPT = """
import os, sys, time
from pathlib import Path
from lib.runtime.launcher import is_flow_process, run_embedded

folder = Path(sys.argv[1])
if not is_flow_process():
    sys.exit(run_embedded(folder / ".prefect", sys.argv, pools=("test-pool",), keep_ui=sys.argv[2] == "ui",
                          allowed_hosts=("refine.lan",)))
(folder / "flow").write_text(f'{os.getpid()} {os.environ["PREFECT_API_URL"]} {os.environ["PREFECT_API_AUTH_STRING"]}')
while not (folder / "go").exists():
    time.sleep(0.1)
"""
# somebody else on this machine, as in the drill: a deployment in the pool whose runs start a program of theirs
INTRUDER = """
import encodings.idna, json, os, socket, sys, urllib.error, urllib.request
from pathlib import Path
api, state, pid, port = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(api + "/health", timeout=30).close()  # loads what Python loads late, which the other user may not read
os.setgroups([]); os.setgid(54321); os.setuid(54321)

def attempt(what):
    try:
        return what()
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)

def call(path, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(api + path, data, {"Content-Type": "application/json", **headers})
    with opener.open(request, timeout=30) as answer:
        return answer.status

def take_port(option):
    with socket.socket() as taker:
        if option is not None:
            taker.setsockopt(socket.SOL_SOCKET, option, 1)
        taker.bind(("127.0.0.1", port))
        taker.listen()

said = {
    "health": attempt(lambda: call("/health")),
    "token": attempt(lambda: call("/csrf-token?client=x")),
    "flow": attempt(lambda: call("/flows/", {"name": "mine"})),
    "guess": attempt(lambda: call("/csrf-token?client=x", Authorization="Basic YXV0by1yZWZpbmU6Z3Vlc3M=")),
    "list": attempt(lambda: call("/flows/filter", {})),
    "state folder": attempt(lambda: os.listdir(state)),
    "client file": attempt(lambda: (state / "client.env").read_text()),
    "database": attempt(lambda: (state / "prefect.db").read_bytes()),
    "environment": attempt(lambda: Path("/proc", pid, "environ").read_bytes()),
    "port": [attempt(lambda: take_port(o)) for o in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT)],
}
print(json.dumps(said))
"""


class Run:
    """A launcher under test on a pseudo-terminal."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder, self.state, self.mark = folder, folder / ".prefect", f"access-{mode}"
        script = folder.with_name("script.py")
        script.write_text(SCRIPT)
        self.shown = b""
        terminal, end = pty.openpty()
        env = {name: value for name, value in environment(self.mark).items() if not name.startswith("PREFECT_")}
        self.process = subprocess.Popen(
            python(script, str(folder), mode), env=env, stdin=subprocess.DEVNULL, stdout=end, stderr=end, cwd=folder
        )
        os.close(end)
        threading.Thread(target=self._listen, args=(terminal,), daemon=True).start()
        flow = folder / "flow"
        wait_for("flow", lambda: (flow.exists() and flow.read_text()) or self.process.poll() is not None, 120)
        assert flow.exists(), self.shown
        self.pid, self.api, self.auth = flow.read_text().split(" ")
        self.port = int(self.api.split(":")[2].removesuffix("/api"))
        self.secret = self.auth.partition(":")[2]

    def _listen(self, terminal: int) -> None:
        while True:
            try:
                self.shown += os.read(terminal, 4096)
            except OSError:  # the last who could write has ended
                return

    def client(self) -> httpx.Client:
        """A client that knows the password and has a token."""
        auth = httpx.BasicAuth("auto-refine", self.secret)
        page = f"{self.api}/csrf-token?client=test"
        token = httpx.get(page, auth=auth, trust_env=False, timeout=60).json()["token"]
        headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "test"}
        return httpx.Client(base_url=self.api, auth=auth, headers=headers, trust_env=False, timeout=60)

    def end(self) -> int:
        (self.folder / "go").touch()
        self.process.wait(60)
        assert_all_gone(self.mark)
        return self.process.returncode


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Run]:
    """A run whose folder anybody may enter, and whose database was damaged before."""
    folder = tmp_path_factory.mktemp("access") / "out ?#%41"
    for place in (folder.parents[1], folder.parent):
        place.chmod(0o755)
    (folder / ".prefect").mkdir(parents=True)
    (folder / ".prefect").chmod(0o755)  # as another umask or an older release may have left it
    (folder / ".prefect" / "prefect.db").write_bytes(b"no database at all" * 1000)
    one = Run(folder, "plain")
    yield one
    one.process.kill()
    one.process.wait()
    assert_all_gone(one.mark)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_another_user_gets_nowhere(run):
    words = [sys.executable, "-c", INTRUDER, run.api, str(run.state), run.pid, str(run.port)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "health": 200,
        "token": 401,
        "flow": 403,  # for it lacks a token, which only the password gets
        "guess": 401,
        "list": 403,
        **dict.fromkeys(("state folder", "client file", "database", "environment"), "Permission denied"),
        "port": ["Address already in use"] * 3,
    }


def test_the_owner_is_let_in_with_password_and_token_only(run):
    with run.client() as client:
        assert client.post("/flows/filter", json={}).status_code == 200
        assert client.post("/flows/filter", json={}, auth=("auto-refine", "guess")).status_code == 401
        assert client.post("/flows/filter", json={}, headers={"Prefect-Csrf-Token": "guess"}).status_code == 403
        assert client.get("/admin/version", auth=("auto-refine", "")).status_code == 401


def test_other_names_and_other_sites_are_refused(run):
    with run.client() as client:
        assert client.post("/flows/filter", json={}, headers={"Host": "evil.example"}).status_code == 400
        assert client.post("/flows/filter", json={}, headers={"Host": "refine.lan"}).status_code == 200
        assert client.post("/flows/filter", json={}, headers={"Origin": "http://evil.example"}).status_code == 403
        plain = {"Content-Type": "text/plain"}
        assert client.post("/flows/filter", content="{}", headers=plain).status_code == 415
        own = client.post("/flows/filter", json={}, headers={"Origin": run.api.removesuffix("/api")})
        assert (own.status_code, own.headers["access-control-allow-origin"]) == (200, run.api.removesuffix("/api"))
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        assert client.options("/flows/filter", headers=asked).status_code == 403


def test_web_sockets_of_other_sites_are_refused(run):
    url, prefect = run.api.replace("http", "ws") + "/events/in", [Subprotocol("prefect")]
    with connect(url, subprotocols=prefect, proxy=None) as ours:
        ours.send(json.dumps({"type": "auth", "token": run.auth}))
        assert json.loads(ours.recv(30)) == {"type": "auth_success"}
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, subprotocols=prefect, proxy=None, origin=Origin("http://evil.example"))


def test_what_is_kept_is_for_its_owner_alone(run):
    modes = {name: stat.S_IMODE((run.state / name).stat().st_mode) for name in (".", "client.env", "prefect.db")}
    assert modes == {".": 0o700, "client.env": 0o600, "prefect.db": 0o600}
    assert sqlite3.connect(run.state / "prefect.db").execute("select count(*) from work_pool").fetchone()
    assert sorted(path.name for path in run.folder.parent.iterdir()) == [run.folder.name, "script.py"]


def test_a_damaged_database_is_set_aside_and_the_run_goes_on(run):
    (aside,) = run.state.glob("prefect.db.damaged-*")
    assert aside.read_bytes().startswith(b"no database at all")
    assert run.shown.count(aside.name.encode()) == 1
    assert b"Traceback" not in run.shown


def test_the_secret_is_in_one_file_and_in_our_environment_only(run):
    wait_for("worker", lambda: b"online" in json.dumps(workers(run)).lower().encode(), 60)
    processes = marked_processes(run.mark)
    assert len(processes) >= 7  # launcher; server, worker and flow with a guard each
    assert not any(run.secret in line for line in processes.values())
    files = [path for path in run.folder.rglob("*") if path.is_file() and path.name != "flow"]
    assert {path.name for path in files} >= {"server.log", "worker.log", "prefect.db", "client.env"}
    assert [path.name for path in files if run.secret.encode() in path.read_bytes()] == ["client.env"]
    assert run.secret.encode() not in run.shown


def workers(run: Run) -> list[dict]:
    with run.client() as client:
        answer = client.post("/work_pools/test-pool/workers/filter", json={})
        return answer.json() if answer.is_success else []


def test_the_client_file_lets_prefects_own_command_in(run):
    code = "from prefect.client.orchestration import get_client\n"
    code += "with get_client(sync_client=True) as c: print(len(c.read_flow_runs()))"
    shell = 'set -a; . "$1/client.env"; exec "$2" -c "$3"'
    words = ["sh", "-c", shell, "sh", str(run.state), sys.executable, code]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(run.folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_at_the_end_the_secret_is_gone(run):  # the last test with this run
    assert run.end() == 0
    assert not (run.state / "client.env").exists()
    with socket.socket() as free, pytest.raises(ConnectionRefusedError):
        free.connect(("127.0.0.1", run.port))


def test_a_terminal_is_told_the_login_and_a_database_that_no_server_takes_is_set_aside(tmp_path):
    folder = tmp_path / "out"
    (folder / ".prefect").mkdir(parents=True)
    with sqlite3.connect(folder / ".prefect" / "prefect.db") as database:  # sound, but of another release
        database.execute("create table alembic_version (version_num varchar(32) not null)")
        database.execute("insert into alembic_version values ('of the future')")
    database.close()
    run = Run(folder, "ui")
    try:
        wait_for("login", lambda: re.search(rb"UI: http://\S+ \(login: \S+\)", run.shown), 60)
        assert f"(login: {run.auth})" in run.shown.decode()
        assert len(list((folder / ".prefect").glob("prefect.db.damaged-*"))) == 1
        assert run.shown.count(b"was damaged") == 1
        assert b"Traceback" not in run.shown
        logs = [path.read_text() for path in (folder / ".prefect" / "logs").iterdir()]
        assert not any(run.secret in text for text in logs)
    finally:
        run.process.kill()
        run.process.wait()
        assert_all_gone(run.mark)
        shutil.rmtree(folder)
