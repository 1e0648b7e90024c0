"""Errors that a user can mend."""

from __future__ import annotations

from collections.abc import Callable


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
