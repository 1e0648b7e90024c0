"""A Prefect server with a password and workers, as on an installed box, in processes of a test's own."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from embedded_support import ROOT
from patient_http import patient_client

from lib.runtime.children import free_port
from lib.runtime.guard import descendants

T = TypeVar("T")
MARK = "AUTO_REFINE_TEST_BOX"


class ServerBox:
    """Server and workers; every process carries a mark in its environment, so that none can hide."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder, self.password = folder, secrets.token_urlsafe()
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}/api"
        self.mark = secrets.token_hex(8)
        self._database = database or f"sqlite+aiosqlite:///{folder / 'prefect.db'}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self.api = patient_client(base_url=self.url, auth=("admin", self.password))

    @property
    def client_env(self) -> dict[str, str]:
        """What client.env of an installed box says."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AUTO_REFINE_"))}
        folders = ("WEIGHTS", "INBOX", "OUTBOX", "RESULTS")
        return {
            **plain,
            **{f"AUTO_REFINE_{name}": str(self.folder / name.lower()) for name in folders},
            MARK: self.mark,
            "PREFECT_HOME": str(self.folder / "home"),
            "PREFECT_API_URL": self.url,
            "PREFECT_API_AUTH_STRING": f"admin:{self.password}",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
        }

    def start_server(self) -> None:
        host, port = self.url.removeprefix("http://").removesuffix("/api").split(":")
        env = {
            **{name: value for name, value in self.client_env.items() if name != "PREFECT_API_URL"},
            "PREFECT_SERVER_API_HOST": host,
            "PREFECT_SERVER_API_PORT": port,
            "PREFECT_SERVER_API_AUTH_STRING": f"admin:{self.password}",
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self._database,
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(self.folder / "ui"),
            "PREFECT_SERVER_UI_API_URL": "/api",
        }
        self._start(["--no-prompt", "server", "start"], env, "server")
        self.wait_for("server", lambda: self._is_healthy(), 180)

    def _is_healthy(self) -> bool:
        try:
            return self.api.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def start_worker(self, pool: str, name: str, *options: str, **env: str) -> subprocess.Popen[bytes]:
        words = ["worker", "start", "--pool", pool, "--type", "process", "--name", name, *options]
        self._workers[name] = self._start(words, {**self.client_env, **env}, name)
        return self._workers[name]

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        """The one that was started last under this name."""
        return self._workers[name]

    def _start(self, words: list[str], env: dict[str, str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{log}.log").open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *words],
                env=env,
                cwd=self.folder,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def run_tool(self, *words: str, code: int = 0, **env: str) -> str:
        """`python …` in the checkout, as a client of this server, which ends with the code; what it said."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env={**self.client_env, **env},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def set_up(self, code: int = 0, **env: str) -> str:
        """Pools, deployments and automations, as install.py has it done."""
        return self.run_tool("-m", "deployments.server_setup", code=code, **env)

    # -- what Prefect's UI does ---------------------------------------------------------------------------------

    def headers(self) -> dict[str, str]:
        answer = self.api.get("/csrf-token", params={"client": "test"})
        return {"Prefect-Csrf-Client": "test", "Prefect-Csrf-Token": answer.json()["token"]}

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.api.post(path, json={} if body is None else body, headers=self.headers())
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def trigger(self, deployment: str, parameters: dict[str, Any], name: str) -> str:
        """Start a run as the form in the UI does; its id."""
        found = self.api.get(f"/deployments/name/{deployment}").json()
        run = self.post(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters, "name": name})
        return str(run["id"])

    def set_state(self, run_id: str, kind: str, name: str) -> None:
        self.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": kind, "name": name}})

    def flow_run(self, run_id: str) -> dict[str, Any]:
        return self.api.get(f"/flow_runs/{run_id}").json()

    def state(self, run_id: str) -> str:
        return str((self.flow_run(run_id)["state"] or {}).get("name"))

    def wait_for_state(self, run_id: str, *names: str, timeout: float = 240) -> str:
        return self.wait_for(f"state {names}", lambda: (n := self.state(run_id)) in names and n, timeout)

    def history(self, run_id: str) -> list[str]:
        """The names of all states that the run was in."""
        states = self.api.get("/flow_run_states/", params={"flow_run_id": run_id}).json()
        return [state["name"] for state in sorted(states, key=lambda state: state["timestamp"])]

    def task_runs(self, *root_runs: str) -> list[dict[str, Any]]:
        """All task runs of flow runs and of their subflows."""
        flows = set(root_runs)
        while True:
            below = {"flow_runs": {"parent_flow_run_id": {"any_": sorted(flows)}}}
            found = {run["id"] for run in self.post("/flow_runs/filter", below)} - flows
            if not found:
                break
            flows |= found
        query = {"flow_runs": {"id": {"any_": sorted(flows)}}, "limit": 200}
        return self.post("/task_runs/filter", query)

    # -- processes ----------------------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """Every living process of this box."""
        wanted, found = f"{MARK}={self.mark}".encode(), []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def wait_for(self, what: str, look: Callable[[], T | bool], timeout: float) -> T:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if found := look():
                return found  # type: ignore[return-value]
            time.sleep(0.2)
        logs = "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-3000:]}" for p in self.folder.glob("*.log"))
        raise AssertionError(f"no {what} within {timeout} s\n{logs}")

    def close(self) -> None:
        """Kill everything that is left."""
        self.api.close()
        for process in self._processes:
            kill_tree(process.pid)
        for pid in self.processes():
            _kill(pid)
        for process in self._processes:
            process.wait()


def kill_tree(pid: int) -> None:
    """SIGKILL for a process and all below it, as when a box loses its power."""
    for victim in [pid, *descendants(pid)]:
        _kill(victim)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
