"""Server and workers of one embedded run, and the environment that a client of them needs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from lib.runtime.api_client import ApiClient
from lib.runtime.children import ChildError, GuardedProcess, listen_locally, log_tail, wait_for_answer
from lib.runtime.database import ServerDatabase
from lib.runtime.gate import ALLOWED_HOSTS
from lib.runtime.login import Login, write_client_file
from lib.runtime.prefect_api import (
    DATABASE_NAME,
    FLOW_PROCESS_MARKER,
    embedded_environment,
    mark_stale_runs_crashed,
    server_environment,
)

READY_FILE = "AUTO_REFINE_READY_FILE"
CLIENT_FILE = "client.env"
_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = (sys.executable, "-P")  # nothing is imported from the folder that the command is called in
_SERVER = "deployments.api_server"  # imports prefect, as nothing in lib does
_WORKER_STARTS = 3
_ASKING = 2.0  # seconds; the socket takes the question before the server is up
_DATABASE_ERROR = re.compile(r"sqlalchemy\.exc|sqlite3\.\w*Error|alembic")


class Stack:
    """Starts the server at once, the workers with the first `watch`.

    Args:
        state_dir: Folder of the embedded state, the owner's alone, held by this process.
        pools: Work pools, each served by one worker.
        keep_ui: Serve Prefect's UI.
        allowed_hosts: Names by which the server may be called, besides 127.0.0.1 and localhost.
    """

    def __init__(self, state_dir: Path, pools: tuple[str, ...], keep_ui: bool, allowed_hosts: tuple[str, ...]) -> None:
        self.keep_ui = keep_ui
        self._state_dir, self._logs, self._ready = state_dir, state_dir / "logs", state_dir / "ready"
        self._listener = listen_locally()  # open as long as this process lives: the address is nobody else's
        self._login = Login.new()
        self.api = ApiClient(self._listener.getsockname()[1], self._login)
        base = embedded_environment(state_dir, os.environ)
        client = {"PREFECT_API_URL": self.api.api_url, **self._login.client_environment()}
        self.env = {**base, **client}
        write_client_file(state_dir / CLIENT_FILE, client)
        self._database = ServerDatabase(state_dir / DATABASE_NAME)
        _tell(self._database.open())
        self._server_base = {**base, ALLOWED_HOSTS: ",".join(allowed_hosts)}
        self._server = self._start_server()
        self._workers: dict[str, GuardedProcess] = {}
        self._starts_left = dict.fromkeys(pools, _WORKER_STARTS)

    def _start_server(self) -> GuardedProcess:
        base = self._server_base
        env = server_environment(self._state_dir, base, self._login, self.api.server_url, with_ui=self.keep_ui)
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PROJECT_ROOT), base.get("PYTHONPATH")]))
        if self._database.start_from_template():
            env["PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START"] = "false"
        fd = self._listener.fileno()
        command = [*_PYTHON, "-m", _SERVER, "--fd", str(fd)]
        return GuardedProcess(command, env, self._logs / "server.log", cwd=self._state_dir, pass_fds=(fd,))

    def wait_until_ready(self) -> None:
        """Wait for the server, which proves to be ours before anything else is said to it."""
        try:
            self._wait_for_server()
        except ChildError as error:
            if self._database.is_new or not _DATABASE_ERROR.search(str(error)):
                raise
            self._server.stop()
            _tell(self._database.set_aside("the server cannot start with it"))
            self._server = self._start_server()
            self._wait_for_server()
        if self._database.is_new:
            self._database.keep_template()
        else:
            mark_stale_runs_crashed(self.api)
        self._ready.touch()
        if self.keep_ui:
            print(f"UI: {self.api.server_url} (login: {self._how_to_log_in()})", flush=True)

    def _wait_for_server(self) -> None:
        wait_for_answer(lambda: self.api.proves_itself(_ASKING), "the API server", self._server)

    def _how_to_log_in(self) -> str:
        """The password on a terminal; where it is if what is printed may be kept."""
        return self._login.auth if sys.stdout.isatty() else f"see {self._state_dir / CLIENT_FILE}"

    def server_runs(self) -> bool:
        return self._server.poll() is None

    def start_flow(self, argv: list[str]) -> GuardedProcess:
        """The flow process; it shares this process's terminal."""
        env = {**self.env, FLOW_PROCESS_MARKER: "1", READY_FILE: str(self._ready)}
        # an interrupted process pool leaves semaphores to this tracker; it removes them and need not tell
        warnings = [env.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning"]
        env["PYTHONWARNINGS"] = ",".join(filter(None, warnings))
        return GuardedProcess([sys.executable, *argv], env, log_path=None)

    def watch(self) -> None:
        """Start every worker that does not run. Raises ChildError if the server ended or a worker keeps ending."""
        if not self.server_runs():
            raise ChildError(f"the API server ended while the flow ran{log_tail(self._server.log_path)}")
        for pool, left in self._starts_left.items():
            worker = self._workers.get(pool)
            if worker is not None and worker.poll() is None:
                continue
            if left == 0:
                raise ChildError(
                    f"the worker of pool {pool} ended {_WORKER_STARTS} times{log_tail(self._logs / 'worker.log')}"
                )
            if worker is not None:
                worker.close()
            self._starts_left[pool] = left - 1
            self._workers[pool] = self._start_worker(pool)

    def _start_worker(self, pool: str) -> GuardedProcess:
        command = [*_PYTHON, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        log = self._logs / "worker.log"
        return GuardedProcess([*command, "--name", f"embedded-{pool}"], self.env, log, cwd=self._state_dir)

    def close(self) -> None:
        """Stop workers and server, all at once."""
        processes = [*self._workers.values(), self._server]
        for process in processes:
            process.close()
        for process in processes:
            process.stop()
        self._listener.close()
        (self._state_dir / CLIENT_FILE).unlink(missing_ok=True)


def _tell(line: str) -> None:
    if line:
        print(line, file=sys.stderr, flush=True)
