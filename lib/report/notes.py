"""Notes of a video as reports show them: several of its phases carry the same ones."""

from __future__ import annotations

from collections.abc import Iterable

from lib.notes import Note


def each_once(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Each distinct note once, those about the files first, else in the order of coming."""
    return tuple(sorted(dict.fromkeys(notes), key=lambda note: note.kind != "input"))
