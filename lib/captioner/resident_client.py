"""The parent's side of the resident captioner: starts it, asks it, restarts it after a crash, cuts a hang."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lib.captioner.backend import CaptionerOptions
from lib.captioner.environment import clean_environment
from lib.errors import InputError

_STDERR_LINES = 8  # of a crashed child, in the error
_GRACE_SECONDS = 5.0  # between a polite end and a kill
_MAX_CRASHES = 3  # in a row: what fails for every video is not loaded again for each
LOAD_SECONDS = 1800.0  # for importing and loading a model, perhaps from a slow disk


class CaptionError(RuntimeError):
    """One video's caption failed; the next job may be asked. The message says how."""


def caption_process_env(project_root: Path) -> dict[str, str]:
    """Environment variables for the caption interpreter: it finds this project, and none of our packages."""
    return {**clean_environment(), "PYTHONPATH": str(project_root), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


class ResidentCaptioner:
    """A captioner in another interpreter, started at the first job and kept for all of them.

    Not for use by several threads at once without the lock it holds: jobs are answered one after another.
    """

    def __init__(
        self,
        python: Path,
        project_root: Path,
        options: CaptionerOptions | None = None,
        start_timeout: float = LOAD_SECONDS,
    ) -> None:
        """Nothing is started yet.

        Args:
            python: interpreter of the caption environment.
            project_root: the folder that holds `lib/`.
            start_timeout: seconds for importing and loading the model.
        """
        given = json.dumps((options or CaptionerOptions()).to_dict())
        self._command = [str(python), "-m", "lib.captioner.resident", "--options", given]
        self._project_root = project_root
        self._start_timeout = start_timeout
        self._child: _Child | None = None
        self._given_up: Exception | None = None
        self._crashes = 0  # since the last answer
        self._lock = threading.Lock()
        self.starts = 0  # how often a child was started
        self.ready: dict[str, Any] = {}  # the last ready line: pid, prefix, executable, python, load_seconds, name

    def ask(self, job: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """The answer to one job (its `to_dict()`, paths absolute), as `lib.captioner.jobs.run_job` gives it.

        A model that cannot be loaded, and a third crash in a row, are final: later jobs get the same error at once.

        Args:
            timeout: seconds after which the child is killed; loading the model does not count.

        Raises:
            InputError: the job's files cannot be used.
            CaptionError: the captioner failed, crashed or took too long.
        """
        with self._lock:
            child = self._running_child()
            answer = self._ask(child, job, timeout)
        if answer.get("ok"):
            return answer
        raise _failure(answer)

    def close(self) -> None:
        """End the child: politely by closing its stdin, after a grace period by a kill."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def __enter__(self) -> ResidentCaptioner:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _ask(self, child: _Child, job: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        try:
            answer = self._exchange(child, json.dumps(dict(job)), timeout, f"job {job.get('name')!r}")
        except CaptionError as error:
            self._crashes += 1
            if self._crashes == _MAX_CRASHES:
                self._given_up = CaptionError(
                    f"not captioned after {_MAX_CRASHES} failures in a row; the last: {error}"
                )
            raise
        self._crashes = 0
        if answer.get("ends"):  # it is of no more use and knows it
            self.close()
        return answer

    def _running_child(self) -> _Child:
        if self._given_up:
            raise self._given_up
        if self._child is not None and self._child.process.poll() is None:
            return self._child
        self.close()
        try:
            return self._start()
        except (InputError, CaptionError) as error:
            self._given_up = error
            raise

    def _start(self) -> _Child:
        self._child = _Child(self._command, caption_process_env(self._project_root), self._project_root)
        self.starts += 1
        ready = self._exchange(self._child, None, self._start_timeout, "loading the captioner")
        if not ready.get("ready"):
            self.close()
            raise _failure(ready)
        self.ready = ready
        return self._child

    def _exchange(self, child: _Child, line: str | None, timeout: float, what: str) -> dict[str, Any]:
        try:
            if line is not None:
                child.send(line)
            return child.receive(timeout)
        except TimeoutError:
            self._child = None
            child.kill()
            raise CaptionError(f"{what}: no answer from the captioner within {timeout:g} s; it was stopped") from None
        except (OSError, EOFError, ValueError):
            self._child = None
            raise CaptionError(f"{what}: the captioner's process {child.last_words()}") from None
        except BaseException:  # an interrupt: an answer may still be on its way, so this child is of no more use
            self._child = None
            child.kill()
            raise


def _failure(answer: Mapping[str, Any]) -> Exception:
    kind = InputError if answer.get("kind") == "input" else CaptionError
    return kind(str(answer.get("error", answer)))


class _Child:
    """One child process with its pipes. It stays in our process group, so that whoever ends the group ends it too."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=env,
                cwd=cwd,
            )
        except OSError as error:
            raise InputError(f"{command[0]}: cannot be started as the caption interpreter ({error.strerror})") from None
        self._stdin, self._stdout, self._stderr = map(
            _pipe, (self.process.stdin, self.process.stdout, self.process.stderr)
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._said: deque[str] = deque(maxlen=_STDERR_LINES)
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read_answers, self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def send(self, line: str) -> None:
        self._stdin.write(line + "\n")
        self._stdin.flush()

    def receive(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if line is None:
            raise EOFError
        return json.loads(line)

    def end(self) -> None:
        with contextlib.suppress(OSError):  # the child is gone and a line was still unsent
            self._stdin.close()
        try:
            self.process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._join()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._join()

    def last_words(self) -> str:
        """How it ended, and the last lines that it said."""
        try:
            code = self.process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        self._join()
        said = " | ".join(line.strip() for line in self._said if line.strip())
        return f"ended with {_ending(code)}" + (f"; its last lines: {said}" if said else "; it said nothing")

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(1.0)

    def _read_answers(self) -> None:
        for line in self._stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _read_stderr(self) -> None:
        self._said.extend(self._stderr)


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("the child was started without pipes")
    return stream


def _ending(code: int | None) -> str:
    if code is None:
        return "an answer that is not JSON"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
