"""Looks at processes from outside, for the tests in this folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MARK = "AUTO_REFINE_TEST_MARK"


def marked_processes(mark: str) -> dict[int, str]:
    """Living processes whose environment holds the mark: process id -> command line."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or wanted not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def wait_for(what: str, probe: Callable[[], Any], timeout: float) -> Any:
    """The first true answer of `probe`; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"no {what} within {timeout} s"
        time.sleep(0.05)


def assert_all_gone(mark: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while left := marked_processes(mark):
        assert time.monotonic() < deadline, f"still alive after {timeout} s: {left}"
        time.sleep(0.1)


def start(command: list[str], **options: object) -> subprocess.Popen[str]:
    """A child in a session of its own, with the default reaction to SIGINT whatever this process has."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


def python(script: Path | str, *arguments: str) -> list[str]:
    return [sys.executable, str(script), *arguments]


def environment(mark: str, **more: str) -> dict[str, str]:
    return {**os.environ, MARK: mark, "PYTHONPATH": str(ROOT), **more}
