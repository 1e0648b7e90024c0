"""What a finished phase leaves behind: files with their hashes, and one JSON record that vouches for them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from lib.notes import Note
from lib.runtime.fingerprints import sha256_file

Status = Literal["done", "cached", "failed", "skipped"]


def _as_notes(notes: Any) -> Any:
    """Notes had no kind once: plain sentences are about results."""
    return tuple({"text": note} if isinstance(note, str) else note for note in notes)


Notes = Annotated[tuple[Note, ...], BeforeValidator(_as_notes)]


def canonical_hash(content: Any) -> str:
    """SHA-256 (hex) of any nest of models, mappings, sequences and JSON scalars; the order of keys does not count.

    Raises:
        TypeError: something in the nest has no canonical form.
    """
    return hashlib.sha256(json.dumps(_canonical(content), sort_keys=True).encode()).hexdigest()


def _canonical(content: Any) -> Any:
    if isinstance(content, BaseModel):
        return _canonical(content.model_dump(mode="json"))
    if isinstance(content, Mapping):
        return {str(key): _canonical(value) for key, value in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        return [_canonical(value) for value in content]
    if content is None or isinstance(content, str | int | float | bool):
        return content
    raise TypeError(f"{type(content).__name__} has no canonical form for a cache key: {content!r}")


class Artifact(BaseModel):
    """One file: its path (relative to the output directory where it lies inside), size in bytes and SHA-256."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, output_dir: Path) -> "Artifact":
        shown = path.relative_to(output_dir) if path.is_relative_to(output_dir) else path
        return cls(path=str(shown), size=path.stat().st_size, sha256=sha256_file(path))

    def problem(self, output_dir: Path) -> str | None:
        """Why the file is not the one recorded, or None."""
        path = output_dir / self.path
        try:
            if not path.is_file():
                return f"{self.path} is missing"
            if (size := path.stat().st_size) != self.size:
                return f"{self.path} has {size} bytes, recorded were {self.size}"
            return None if sha256_file(path) == self.sha256 else f"{self.path} has other bytes than recorded"
        except OSError as error:
            return f"{self.path} cannot be read ({error.strerror or error})"


class PhaseRecord(BaseModel):
    """The result of one phase for one video; kept as JSON in the result store under the phase's cache key."""

    model_config = ConfigDict(frozen=True)

    video: str
    phase: str
    key: str
    artifacts: tuple[Artifact, ...]
    seconds: float = 0.0
    notes: Notes = ()
    facts: dict[str, float | int | str] = {}

    def problem(self, output_dir: Path) -> str | None:
        """Why the record no longer holds (a file is missing or changed), or None."""
        return next((found for a in self.artifacts if (found := a.problem(output_dir))), None)


def artifacts_of(paths: Iterable[Path], output_dir: Path) -> tuple[Artifact, ...]:
    return tuple(Artifact.of(path, output_dir) for path in paths)
