"""Children that look at what may hang or crash whoever looks, such as a broken CUDA installation."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LAST_LINES = 3  # of what a crashed child said


@dataclass(frozen=True)
class Answer:
    """What a child said, and how it ended."""

    facts: list[dict[str, Any]] = field(default_factory=list)  # its lines, also of one that did not reach its end
    problem: str = ""  # why it did not; "" if it did


def ask_child(module: str, words: Sequence[str], root: Path, env: Mapping[str, str], seconds: float) -> Answer:
    """Run `python -m module words` in `root`; each line of JSON that it prints is a fact.

    Output goes through files: a child that the kernel cannot end (a driver that hangs) is left behind.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=root,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complaints,
        )
        problem = _wait(child, seconds)
        said.seek(0)
        complaints.seek(0)
        if problem and child.returncode is not None and child.returncode >= 0:
            problem += _tail(complaints.read())
        return Answer(_facts(said.read()), problem)


def _wait(child: subprocess.Popen[bytes], seconds: float) -> str:
    """How it ended: "" if well."""
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        return f"no end within {seconds:.0f} s"
    if code < 0:
        return f"killed by signal {-code}"
    return f"exit code {code}" if code else ""


def _facts(said: bytes) -> list[dict[str, Any]]:
    facts = []
    for line in said.decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            fact = json.loads(line)
            facts += [fact] if isinstance(fact, dict) else []
    return facts


def _tail(complaints: bytes) -> str:
    lines = [line.strip() for line in complaints.decode(errors="replace").splitlines() if line.strip()]
    return f" ({' | '.join(lines[-_LAST_LINES:])})" if lines else ""
