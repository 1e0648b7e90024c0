"""Licences: shown before anything is fetched; one that forbids commercial use must be accepted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from deployments.weight_store.sets import WeightSet
from lib.errors import InputError


def show_licences(sets: Sequence[WeightSet], say: Callable[[str], None] = print) -> None:
    """A line each."""
    say("Licences of these weights, each its publisher's:")
    for weights in sets:
        say(f"  {weights.folder}: {weights.licence} ({weights.page})")


def require_acceptance(
    sets: Sequence[WeightSet], *, accepted: bool, ask: Callable[[str], str] = input, terminal: bool | None = None
) -> None:
    """See that whoever fetches these accepts what forbids commercial use.

    Args:
        sets: those of which something is fetched.
        accepted: whether --accept_licences was given.
        terminal: whether someone can answer; by default whether stdin is a terminal.

    Raises:
        InputError: they do not, or there is nobody to ask.
    """
    restricted = [weights for weights in sets if weights.non_commercial]
    if not restricted or accepted:
        return
    listed = "; ".join(f"{weights.folder}: {weights.licence} ({weights.page})" for weights in restricted)
    leave_out = f"leave them out with --sets (without {', '.join(weights.name for weights in restricted)})"
    if not (sys.stdin.isatty() if terminal is None else terminal):
        raise InputError(f"{listed}: give --accept_licences if you have read and accept this, or {leave_out}")
    if _answer(ask, f"{listed}\nType yes if you have read and accept this: ") != "yes":
        raise InputError(f"{listed}: not accepted, nothing was fetched; {leave_out}")


def _answer(ask: Callable[[str], str], question: str) -> str:
    try:
        return ask(question).strip().lower()
    except EOFError:
        return ""
