"""The embedded default: one command brings its own Prefect server and workers and takes them down again.

    launcher ─ guard ─ API server        (127.0.0.1, sqlite below the state folder)
             ├ guard ─ worker            (one per pool)
             └ guard ─ the same script   (PREFECT_API_URL in its environment; shares the terminal)

Every guard holds a pipe of the launcher's, so nothing survives it, whatever kills it. Never imports prefect.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lib.runtime import guard
from lib.runtime.children import ChildError, GuardedProcess, free_port, log_tail, wait_until_healthy
from lib.runtime.database import ServerDatabase
from lib.runtime.output_lock import OutputDirBusyError, OutputDirLock
from lib.runtime.prefect_api import (
    FLOW_PROCESS_MARKER,
    api_configured,
    embedded_environment,
    is_flow_process,
    mark_stale_runs_crashed,
    server_environment,
    wait_until_recorded,
)

__all__ = ["api_configured", "is_flow_process", "run_embedded", "wait_for_stack"]

EXIT_BUSY = 2
EXIT_NO_STACK = 3
_INTERRUPT_GRACE = 5.0  # seconds that the flow has to end by itself after Ctrl-C or SIGTERM
_POLL = 0.05
_READY_FILE = "AUTO_REFINE_READY_FILE"
_WORKER_STARTS = 3


def run_embedded(
    state_dir: Path, argv: list[str], *, pools: tuple[str, ...], keep_ui: bool, early_flow: bool = False
) -> int:
    """Run `python argv…` as the flow process of a Prefect stack that lives only as long as this call.

    Args:
        state_dir: Folder inside the output folder; everything the stack writes goes below it.
        argv: Script and arguments, normally sys.argv.
        pools: Work pools of type process, each served by one worker.
        keep_ui: Serve Prefect's UI and, once the flow process has ended, keep it up until Ctrl-C or SIGTERM.
        early_flow: Start the flow process beside the server, so that its imports cost no time of their own; it must
            then call `wait_for_stack` before it uses the API.

    Returns:
        The flow process's exit code; 130 after Ctrl-C, 143 after SIGTERM; 2 when another run holds the output
        folder, 3 when server or worker cannot be kept running (the reason is printed to stderr).
    """
    state_dir = state_dir.resolve()
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with OutputDirLock(state_dir), _no_orphans(), _catch_signals() as signals:
            _prepare(state_dir)
            with contextlib.closing(_Stack(state_dir, pools, keep_ui)) as stack:
                return _run(stack, argv, signals, early_flow)
    except OutputDirBusyError as error:
        print(error, file=sys.stderr)
        return EXIT_BUSY
    except (ChildError, urllib.error.URLError) as error:
        print(f"The embedded Prefect stack failed: {error}", file=sys.stderr)
        return EXIT_NO_STACK
    except _StoppedError as stopped:
        return 128 + stopped.signum


def wait_for_stack() -> None:
    """Wait, in the flow process, until the launcher says that the API is ready; does nothing elsewhere."""
    ready = os.environ.get(_READY_FILE)
    while ready and not Path(ready).exists():  # no timeout: if the server fails, the launcher ends this process
        time.sleep(_POLL)


class _StoppedError(BaseException):
    """A signal came before the flow process was there to get it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


@dataclass
class _Signals:
    """Signals that arrived; until `recording` is set they raise _StoppedError instead."""

    recording: bool = False
    arrived: list[int] = field(default_factory=list)

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        self.arrived.append(signum)
        if not self.recording:
            self.recording = True
            raise _StoppedError(signum)


@contextlib.contextmanager
def _catch_signals() -> Iterator[_Signals]:
    signals = _Signals()
    before = {signum: signal.signal(signum, signals.handle) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        signals.recording = True
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _no_orphans() -> Iterator[None]:
    """Stops, at the end, what a guard that was killed itself has left."""
    guard.become_subreaper()
    others = guard.descendants(os.getpid())
    try:
        yield
    finally:
        guard.stop_descendants(1.0, spared=others)


def _prepare(state_dir: Path) -> None:
    shutil.rmtree(state_dir / "tmp", ignore_errors=True)  # left behind by a killed run
    (state_dir / "ready").unlink(missing_ok=True)
    for name in ("tmp", "logs", "storage", "ui"):
        (state_dir / name).mkdir(exist_ok=True)


class _Stack:
    """Server and workers, and the environment that a client of them needs."""

    def __init__(self, state_dir: Path, pools: tuple[str, ...], keep_ui: bool) -> None:
        self.keep_ui = keep_ui
        self.url = f"http://127.0.0.1:{free_port()}"
        self._logs = state_dir / "logs"
        self._database = ServerDatabase(state_dir / "prefect.db")
        self._base = embedded_environment(state_dir, os.environ)
        self.env = {**self._base, "PREFECT_API_URL": f"{self.url}/api"}
        self._ready = state_dir / "ready"
        self._server = self._start_server(state_dir)
        self._workers: dict[str, GuardedProcess] = {}
        self._starts_left = dict.fromkeys(pools, _WORKER_STARTS)

    def _start_server(self, state_dir: Path) -> GuardedProcess:
        host, port = self.url.removeprefix("http://").split(":")
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        command += ["--host", host, "--port", port, "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
        env = server_environment(state_dir, self._base, with_ui=self.keep_ui)
        if self._database.start_from_template():
            env["PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START"] = "false"
        return GuardedProcess(command, env, self._logs / "server.log")

    def wait_until_ready(self) -> None:
        wait_until_healthy(f"{self.url}/api/health", self._server)
        if self._database.is_new:
            self._database.keep_template()
        else:
            mark_stale_runs_crashed(f"{self.url}/api")
        self._ready.touch()
        if self.keep_ui:
            print(f"UI: {self.url}", flush=True)

    def start_flow(self, argv: list[str]) -> GuardedProcess:
        """The flow process; it shares this process's terminal."""
        env = {**self.env, FLOW_PROCESS_MARKER: "1", _READY_FILE: str(self._ready)}
        # an interrupted process pool leaves semaphores to this tracker; it removes them and need not tell
        warnings = [env.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning"]
        env["PYTHONWARNINGS"] = ",".join(filter(None, warnings))
        return GuardedProcess([sys.executable, *argv], env, log_path=None)

    def watch(self) -> None:
        """Start every worker that does not run. Raises ChildError if the server ended or a worker keeps ending."""
        if self._server.poll() is not None:
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
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        return GuardedProcess([*command, "--name", f"embedded-{pool}"], self.env, self._logs / "worker.log")

    def close(self) -> None:
        """Stop workers and server, all at once."""
        processes = [*self._workers.values(), self._server]
        for process in processes:
            process.close()
        for process in processes:
            process.stop()


def _run(stack: _Stack, argv: list[str], signals: _Signals, early_flow: bool) -> int:
    if not early_flow:
        stack.wait_until_ready()
    flow = stack.start_flow(argv)
    try:
        if early_flow:
            stack.wait_until_ready()
        signals.recording = True
        code = _wait_for_flow(flow, stack, signals)
    finally:
        flow.order(guard.KILL)
        flow.stop()
    if not signals.arrived:
        with contextlib.suppress(OSError):  # the flow has ended: a server that fails now changes no exit code
            wait_until_recorded(f"{stack.url}/api")
    if stack.keep_ui and not signals.arrived:
        print(f"UI: {stack.url} (Ctrl-C to stop)", flush=True)
        while not signals.arrived:
            stack.watch()
            time.sleep(_POLL)
    return code


def _wait_for_flow(flow: GuardedProcess, stack: _Stack, signals: _Signals) -> int:
    """Exit code of the flow process; after a signal it has a grace time, after a second signal none."""
    while not signals.arrived:
        code = flow.poll()
        if code is not None:
            return code
        stack.watch()
        time.sleep(_POLL)
    signum = signals.arrived[0]
    flow.order(guard.INTERRUPT if signum == signal.SIGINT else guard.TERMINATE)
    deadline = time.monotonic() + _INTERRUPT_GRACE
    while flow.poll() is None and time.monotonic() < deadline and len(signals.arrived) == 1:
        time.sleep(_POLL)
    return 128 + signum
