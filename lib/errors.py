"""Errors that a user can mend."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class InputError(ValueError):
    """Bad input. The message names the file, what was found, what was expected and what to do."""


def check_all(*checks: Callable[[], object]) -> None:
    """Make every check, so that a user learns everything at once.

    Raises:
        InputError: what any of them raised, a line each.
    """
    problems = []
    for check in checks:
        try:
            check()
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))


def attempt(action: Callable[[], _T], subject: object) -> _T | InputError:
    """What the action gives, or why it fails: whatever one video's files make go wrong is that video's failure alone.

    Args:
        subject: what the action is about, usually a path; named where the error does not name it.
    """
    try:
        return action()
    except InputError as error:
        return error
    except Exception as error:  # noqa: BLE001 (of whatever type: the other videos go on)
        said = str(error) or "no reason given"
        name = "" if str(subject) in said else f"{subject}: "
        return InputError(f"{name}{type(error).__name__}: {said}")
