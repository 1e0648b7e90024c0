"""What a user should know of a video that has a result all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
