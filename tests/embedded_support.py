"""Runs the command as a user does, in its own process group, and looks for processes that it leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar, TypeVar

from lib.records import PhaseRecord
from tasks.record_store import read_record

ROOT = Path(__file__).resolve().parents[1]
T = TypeVar("T")
SCRIPT = ROOT / "flows" / "auto_refine.py"


class Command:
    """`python flows/<script>.py …` running; stdout and stderr go to a file."""

    started: ClassVar[list["Command"]] = []

    def __init__(self, words: list[str], output_dir: Path, script: Path = SCRIPT) -> None:
        self.output_dir = output_dir
        self.log = output_dir.with_name(f"{output_dir.name}.log")
        env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.process = subprocess.Popen(
            [sys.executable, str(script), *words],
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        self.started.append(self)

    @classmethod
    def end_all(cls) -> None:
        """Kill what a failed test has left running; the launcher's death ends its stack."""
        while cls.started:
            command = cls.started.pop()
            if command.process.poll() is None:
                command.process.kill()
                command.process.wait()

    def wait(self, timeout: float = 240) -> int:
        return self.process.wait(timeout)

    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, pattern: str, timeout: float = 120) -> Path:
        """The first file below the state folder that matches the glob."""
        found = wait_until(lambda: next((self.output_dir / ".prefect").glob(pattern), None), timeout)
        assert found is not None, f"{pattern} did not appear; exit code {self.process.poll()}\n{self.text()}"
        return found

    def flow_pid(self) -> int:
        """The process that runs the flow: the same script, below its guard."""
        for pid in self.stack():
            words = _read(pid, "cmdline").split("\0")
            if str(SCRIPT) in words and not any(word.endswith("guard.py") for word in words):
                return pid
        raise AssertionError(f"no flow process\n{self.text()}")

    def stack(self) -> list[int]:
        """Every process of the embedded stack, wherever it has moved."""
        mark = f"TMPDIR={self.output_dir / '.prefect' / 'tmp'}"
        return [pid for pid in _pids() if mark in _read(pid, "environ").split("\0")]

    def assert_nothing_left(self, within: float = 10) -> None:
        left = self.stack() if wait_until(lambda: not self.stack() or None, within) is None else []
        assert left == [], [_read(pid, "cmdline") for pid in left]


def run_command(words: list[str], output_dir: Path, script: Path = SCRIPT) -> Command:
    """Run to the end."""
    command = Command(words, output_dir, script)
    command.wait()
    return command


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def wait_until(look: Callable[[], T | None], timeout: float) -> T | None:
    """What `look` finds, or None when nothing has come within `timeout` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        time.sleep(0.01)
    return None


def link_environment(folder: Path, without: Sequence[str] = ()) -> Path:
    """A virtual environment with this one's packages but for those whose names match; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    library = next((folder / "lib").glob("python3*/site-packages"))
    ours = next((Path(sys.prefix) / "lib").glob("python3*/site-packages"))
    for item in ours.iterdir():
        if item.suffix != ".pth" and not any(fnmatch(item.name, name) for name in without):
            (library / item.name).symlink_to(item)
    return folder / "bin" / "python"


def stored_records(output_dir: Path) -> list[PhaseRecord]:
    """Everything recorded as finished below the output directory."""
    paths = (output_dir / ".prefect" / "results").glob("*-*")
    return [read_record(path) for path in paths]


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> str:
    try:
        return Path("/proc", str(pid), name).read_text(errors="replace")
    except OSError:
        return ""
