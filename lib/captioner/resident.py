"""The caption environment's resident child: one captioner, many jobs, JSON lines.

Started as `python -m lib.captioner.resident`. It says one ready line, then answers each line on stdin, a `CaptionJob`
or `JudgeJob` as JSON, with one line. It ends when stdin ends, at once if its parent is gone, and after an answer that
says so.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from lib.captioner.backend import Captioner, CaptionerOptions, load_captioner
from lib.captioner.jobs import process_facts, run_job
from lib.captioner.judge_job import job_from_dict
from lib.errors import InputError

_GPU_LOST = "CUDA error"  # in torch's words: after one of these nothing works in the process any more


def main(arguments: list[str] | None = None) -> int:
    """Serve jobs until stdin ends; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lib.captioner.resident", description=__doc__)
    parser.add_argument("--options", default="{}", help="CaptionerOptions as JSON")
    given = parser.parse_args(arguments).options
    answers = _take_stdout()
    started = time.monotonic()
    try:
        captioner = load_captioner(CaptionerOptions.from_dict(json.loads(given)))
    except Exception as error:  # noqa: BLE001 - whatever a backend raises, the parent must learn it
        _say(answers, {"ready": False, **_problem(error)})
        return 1
    load_seconds = round(time.monotonic() - started, 3)
    _say(answers, {"ready": True, **process_facts(), "load_seconds": load_seconds, **captioner.facts()})
    lines = _read_lines()
    while (line := lines.get()) is not None:
        answer = _answer(line, captioner)
        _say(answers, answer)
        if answer.get("ends"):
            return 1
    return 0


def _take_stdout() -> TextIO:
    """The real stdout for answers; whatever libraries print goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _answer(line: str, captioner: Captioner) -> dict[str, Any]:
    try:
        return {"ok": True, **run_job(job_from_dict(json.loads(line)), captioner)}
    except Exception as error:  # noqa: BLE001 - one video's failure must not end the others
        return {"ok": False, **_problem(error)}


def _problem(error: Exception) -> dict[str, Any]:
    if isinstance(error, InputError):
        return {"kind": "input", "error": str(error)}
    traceback.print_exc()
    ends = {"ends": True} if _GPU_LOST in str(error) else {}
    return {"kind": "error", "error": f"{type(error).__name__}: {error}", **ends}


def _read_lines() -> queue.Queue[str | None]:
    """Lines of stdin, then None. Read in a thread, so that a dead parent is seen in the middle of a job too."""
    lines: queue.Queue[str | None] = queue.Queue()
    parent = os.getppid()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=read, daemon=True, name="stdin").start()
    return lines


if __name__ == "__main__":
    sys.exit(main())
