"""What a user should know of a video that has a result all the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib.errors import InputError

NoteKind = Literal["input", "result"]


@dataclass(frozen=True)
class Note:
    """One sentence. `input`: how a file was read is in doubt; `result`: something was changed or lost on the way."""

    text: str
    kind: NoteKind = "result"

    def __str__(self) -> str:
        return self.text


def input_note(text: str) -> Note:
    """A note that `--strict_inputs` turns into a failure."""
    return Note(text, "input")


def check_notes(path: Path, notes: Iterable[Note], *, strict: bool) -> None:
    """Refuse a video about whose files there are doubts, where that was asked for.

    Raises:
        InputError: `strict`, and some of the notes are about the input.
    """
    doubts = [note.text for note in notes if note.kind == "input"]
    if strict and doubts:
        raise InputError(f"{path}: {'; '.join(doubts)} (an error because of --strict_inputs)")
