"""The embedded default: one command brings its own Prefect server and workers and takes them down again.

    launcher ─ guard ─ API server        (on the launcher's socket of 127.0.0.1, sqlite below the state folder)
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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lib.runtime import guard
from lib.runtime.children import ChildError, GuardedProcess
from lib.runtime.login import make_private
from lib.runtime.output_lock import OutputDirBusyError, OutputDirLock
from lib.runtime.prefect_api import api_configured, is_flow_process, wait_until_recorded
from lib.runtime.stack import READY_FILE, Stack

__all__ = ["api_configured", "is_flow_process", "run_embedded", "wait_for_stack"]

EXIT_BUSY = 2
EXIT_NO_STACK = 3
_INTERRUPT_GRACE = 5.0  # seconds that the flow has to end by itself after Ctrl-C or SIGTERM
_POLL = 0.05


def run_embedded(
    state_dir: Path,
    argv: list[str],
    *,
    pools: tuple[str, ...],
    keep_ui: bool,
    early_flow: bool = False,
    allowed_hosts: tuple[str, ...] = (),
) -> int:
    """Run `python argv…` as the flow process of a Prefect stack that lives only as long as this call.

    Args:
        state_dir: Folder inside the output folder; everything the stack writes goes below it.
        argv: Script and arguments, normally sys.argv.
        pools: Work pools of type process, each served by one worker.
        keep_ui: Serve Prefect's UI and, once the flow process has ended, keep it up until Ctrl-C or SIGTERM.
        early_flow: Start the flow process beside the server, so that its imports cost no time of their own; it must
            then call `wait_for_stack` before it uses the API.
        allowed_hosts: Names by which the server may be called, besides 127.0.0.1 and localhost.

    Returns:
        The flow process's exit code; 130 after Ctrl-C, 143 after SIGTERM; 2 when another run holds the output
        folder, 3 when server or worker cannot be kept running (the reason is printed to stderr).
    """
    state_dir = state_dir.resolve()
    try:
        make_private(state_dir)
        with OutputDirLock(state_dir), _no_orphans(), _catch_signals() as signals:
            _prepare(state_dir)
            with contextlib.closing(Stack(state_dir, pools, keep_ui, allowed_hosts)) as stack:
                return _run(stack, argv, signals, early_flow)
    except OutputDirBusyError as error:
        print(error, file=sys.stderr)
        return EXIT_BUSY
    except (ChildError, OSError) as error:
        print(f"The embedded Prefect stack failed: {error}", file=sys.stderr)
        return EXIT_NO_STACK
    except _StoppedError as stopped:
        return 128 + stopped.signum


def wait_for_stack() -> None:
    """Wait, in the flow process, until the launcher says that the API is ready; does nothing elsewhere."""
    ready = os.environ.get(READY_FILE)
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


def _run(stack: Stack, argv: list[str], signals: _Signals, early_flow: bool) -> int:
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
    if not signals.arrived and stack.server_runs():
        with contextlib.suppress(OSError):  # the flow has ended: a server that fails now changes no exit code
            wait_until_recorded(stack.api)
    if stack.keep_ui and not signals.arrived:
        print(f"UI: {stack.api.server_url} (Ctrl-C to stop)", flush=True)
        while not signals.arrived:
            stack.watch()
            time.sleep(_POLL)
    return code


def _wait_for_flow(flow: GuardedProcess, stack: Stack, signals: _Signals) -> int:
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
