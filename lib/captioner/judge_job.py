"""One result to judge, as data that goes through JSON to another interpreter; and any job of the caption pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lib.captioner.caption_job import CaptionJob
from lib.errors import InputError

_KIND = "judge"


@dataclass(frozen=True)
class JudgedPictures:
    """One frame before and after the removal: the same part of it, the hole outlined in both."""

    frame_idx: int
    before: str  # PNG, RGB, of the source
    after: str  # PNG of the same size, of the result
    shown: str = ""  # JPEG of both for people, relative to the judgement's folder


@dataclass(frozen=True)
class JudgeJob:
    """What to judge, and where the judgement goes. Paths are strings, so that it is JSON as it stands."""

    name: str  # unique in its batch
    video: str  # the video's name
    output_json: str
    pictures: tuple[JudgedPictures, ...]
    key: str = ""  # remembered as what the file was written under
    model_sha256: str = ""  # of the model's files, for the record

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON-ready values."""
        return {"kind": _KIND, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JudgeJob:
        """The job from `to_dict`'s values or their JSON round trip.

        Raises:
            InputError: a missing or unknown field.
        """
        given = {name: value for name, value in values.items() if name != "kind"}
        known = {field.name for field in fields(cls)}
        missing = [name for name in ("name", "video", "output_json", "pictures") if name not in given]
        unknown = sorted(set(given) - known)
        if missing or unknown:
            raise InputError(f"judge job: missing fields {missing}, unknown fields {unknown}; expected {sorted(known)}")
        return cls(**{**given, "pictures": tuple(JudgedPictures(**item) for item in given["pictures"])})

    @property
    def json_path(self) -> Path:
        return Path(self.output_json)


PoolJob = CaptionJob | JudgeJob


def job_from_dict(values: Mapping[str, Any]) -> PoolJob:
    """The job from its `to_dict`'s values, of whichever kind.

    Raises:
        InputError: a missing or unknown field, or an unknown kind.
    """
    kind = values.get("kind")
    if kind is None:
        return CaptionJob.from_dict(values)
    if kind != _KIND:
        raise InputError(f"job of the caption pool: found the kind {kind!r}; expected {_KIND!r}, or none for a caption")
    return JudgeJob.from_dict(values)
