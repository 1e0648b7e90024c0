"""Child processes that cannot outlive their parent."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lib.runtime import guard


class ChildError(RuntimeError):
    """A child process ended or stayed silent when it was needed; the message quotes its log."""


class GuardedProcess:
    """A command under a guard, which ends it with all its descendants when this process stops it or dies.

    Args:
        command: Program and arguments.
        env: The whole environment of the command.
        log_path: File that output is appended to; the command then runs in a session of its own, where no terminal
            signal reaches it. None: it shares terminal, stdin and process group with this process.
        cwd: Where it runs; None: where this process does.
        pass_fds: Open files that the command gets under the same numbers.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        log_path: Path | None,
        cwd: Path | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.log_path = log_path
        control_read, self._control = os.pipe()
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, control_read)
            log = None if log_path is None else stack.enter_context(log_path.open("ab"))
            control = ["--control-fd", str(control_read)] if log is None else []
            passed = [word for fd in pass_fds for word in ("--pass-fd", str(fd))]
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *control, *passed, *command],
                env=dict(env),
                cwd=cwd,
                stdin=None if log is None else control_read,
                stdout=log,
                stderr=log,
                start_new_session=log is not None,
                pass_fds=(*pass_fds, control_read) if log is None else pass_fds,
            )

    @property
    def pid(self) -> int:
        """Process id of the guard, not of the command."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit code (128 + n for signal n), None while the command or a descendant is alive."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def order(self, order: bytes) -> None:
        """Send guard.INTERRUPT, guard.TERMINATE or guard.KILL; nothing happens if the guard has ended."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._control, order)

    def close(self) -> None:
        """Begin to stop the tree, without waiting."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def stop(self, timeout: float = guard.TERM_GRACE + guard.KILL_PATIENCE + 1) -> None:
        """Stop the whole tree and wait for it; after `timeout` seconds the guard itself is killed."""
        self.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listen_locally() -> socket.socket:
    """A listening socket on a TCP port of 127.0.0.1 that nobody else can take while the socket, or a copy, is open.

    It listens from the start: a port that is only bound can be taken over.
    """
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def wait_for_answer(answers: Callable[[], bool], what: str, process: GuardedProcess, timeout: float = 120.0) -> None:
    """Wait until `answers` returns without an OSError.

    Args:
        answers: Asks the process; False: somebody else answered.
        what: Its name in messages.

    Raises:
        ChildError: the process ended first, somebody else answered, or `timeout` seconds passed; with the last lines
            of the process's log.
    """
    deadline = time.monotonic() + timeout
    while True:
        code = process.poll()
        if code is not None:
            raise ChildError(f"{what} ended with code {code}{log_tail(process.log_path)}")
        with contextlib.suppress(OSError):
            if answers():
                return
            raise ChildError(f"{what} did not prove to be ours{log_tail(process.log_path)}")
        if time.monotonic() > deadline:
            raise ChildError(f"no answer from {what} within {timeout:.0f} s{log_tail(process.log_path)}")
        time.sleep(0.05)


def log_tail(path: Path | None, lines: int = 15) -> str:
    """`; <path> ends with:` and the last lines of a log, for error messages; empty without a log."""
    if path is None or not path.exists():
        return ""
    last = path.read_text(errors="replace").splitlines()[-lines:]
    return f"; {path} ends with:\n  " + "\n  ".join(last) if last else f"; {path} is empty"
