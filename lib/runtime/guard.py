"""Runs a command and takes its whole tree of descendants down with it (Linux).

    python -I -S guard.py [--control-fd N] [--pass-fd N] [--grace SECONDS] COMMAND…

A subreaper: descendants that lost their parent or moved to another session stay below this process. They all get
SIGTERM, then SIGKILL after the grace time, when the command ends, when SIGTERM arrives, or when the control pipe
(stdin by default) closes, which the kernel does if the launcher dies. The exit code is the command's, 128 + n for
signal n. Bytes in the pipe are orders: see INTERRUPT, TERMINATE, KILL.

With a control pipe other than stdin the command keeps stdin and stays in the terminal's process group.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

TERM_GRACE = 3.0  # seconds; with what follows it must stay well under 10
KILL_PATIENCE = 5.0
INTERRUPT = b"I"  # SIGINT for the tree, unless the terminal has sent it to the whole group
TERMINATE = b"T"  # SIGTERM for the tree; no SIGKILL follows
KILL = b"K"  # SIGKILL for the whole tree
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Adopt descendants whose parent dies, so that `descendants` still finds them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Process ids below `root`, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def stop_descendants(grace: float, spared: Collection[int] = ()) -> None:
    """SIGTERM all descendants of this process, SIGKILL what is left after `grace` seconds; reaps them."""
    deadline = time.monotonic() + grace
    told: set[int] = set()
    while alive := [pid for pid in descendants(os.getpid()) if pid not in spared]:
        overtime = time.monotonic() - deadline
        if overtime > KILL_PATIENCE:
            return
        for pid in alive:
            if overtime >= 0:
                send(pid, signal.SIGKILL)
            elif pid not in told:
                told.add(pid)
                send(pid, signal.SIGTERM)
        _reap()
        time.sleep(0.05)


def send(pid: int, signum: int) -> None:
    """Like os.kill; a process that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def _tell_tree(signum: int) -> None:
    for pid in descendants(os.getpid()):
        send(pid, signum)


def _reap() -> dict[int, int]:
    """Collects the ended children; process id -> wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def _listen_for_signals() -> int:
    """Returns a pipe's end from which the numbers of arriving signals are read."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    heard = [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    for signum in heard:
        # a handler, not SIG_IGN: exec turns it back into the default for the command
        signal.signal(signum, lambda *_: None)
    return read_end


def _numbers(signals: int) -> bytes:
    try:
        return os.read(signals, 4096)
    except BlockingIOError:
        return b""


def _supervise(command: list[str], control: int, passed: list[int], grace: float) -> int:
    signals = _listen_for_signals()
    background = control == 0
    stdin = subprocess.DEVNULL if background else None
    leader = subprocess.Popen(command, stdin=stdin, start_new_session=background, pass_fds=passed).pid
    interrupts = 0
    while True:
        ready = select.select([signals, control], [], [])[0]
        arrived = _numbers(signals)  # even if not in ready: an order must not overtake the signal it is about
        interrupts += arrived.count(signal.SIGINT)
        if signal.SIGTERM in arrived:
            stop_descendants(grace)
            return 128 + signal.SIGTERM
        status = _reap().get(leader)
        if status is not None:
            stop_descendants(grace)
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if control not in ready:
            continue
        orders = os.read(control, 64)
        if not orders or KILL in orders:
            stop_descendants(0.0 if orders else grace)
            return 128 + signal.SIGKILL
        if TERMINATE in orders:
            _tell_tree(signal.SIGTERM)
        if INTERRUPT in orders and interrupts == 0:
            _tell_tree(signal.SIGINT)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a command; take its whole process tree down with it.")
    parser.add_argument("--control-fd", type=int, default=0)
    parser.add_argument("--pass-fd", type=int, action="append", default=[], help="open file that the command gets")
    parser.add_argument("--grace", type=float, default=TERM_GRACE)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    become_subreaper()
    return _supervise(options.command, options.control_fd, options.pass_fd, options.grace)


if __name__ == "__main__":
    sys.exit(main())
