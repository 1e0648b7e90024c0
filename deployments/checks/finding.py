"""One line of the doctor's report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from lib.errors import InputError

Level = Literal["ok", "warn", "FAIL", "skip"]
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and what to do about it (empty where nothing is to be done)."""

    level: Level
    what: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f" - {self.advice}" if self.advice else ""
        return f"{self.level:<4}  {self.what}: {self.found}{advice}"


def ok(what: str, found: str) -> Finding:
    return Finding("ok", what, found)


def warn(what: str, found: str, advice: str) -> Finding:
    """Work goes on, but slower, less safely or not for long."""
    return Finding("warn", what, found, advice)


def fail(what: str, found: str, advice: str) -> Finding:
    """Work cannot be done."""
    return Finding("FAIL", what, found, advice)


def skip(what: str, reason: str) -> Finding:
    """What does not apply here."""
    return Finding("skip", what, reason)


def failures(what: str, error: InputError) -> Iterator[Finding]:
    """Each problem that an error lists, as a line of its own; the texts say themselves what to do."""
    for problem in _problems(str(error)):
        found, _, advice = problem.rpartition("; ")
        whole = not found or advice.startswith("or ")  # one of several ways to mend it
        yield fail(what, problem, "") if whole else fail(what, found, advice)


def gib(size: float) -> str:
    """A number of bytes in words."""
    return f"{size / GIB:.1f} GiB"


def _problems(text: str) -> Iterable[str]:
    """The listed ones where a headline and a list are given, else each line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    listed = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    return listed or lines
