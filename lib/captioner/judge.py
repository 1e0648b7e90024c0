"""A model's opinion of a result: is a remainder of the object, or something new, visible in the hole?

An opinion, reported as such: it is no metric and enters none. Every frame is asked about twice, once for each question;
an answer that is neither yes nor no is asked for once more, and then counts as unclear.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lib.captioner.backend import Answering, CaptionerOptions
from lib.captioner.judge_job import JudgedPictures, JudgeJob
from lib.captioner.judge_questions import (
    FIXED_TEXTS,
    MAX_NEW_TOKENS,
    NEW_OBJECT_QUESTION,
    REMAINDER_QUESTION,
    STRICTER,
    SYSTEM_PROMPT,
    VERSION,
    Answer,
    read_answer,
)
from lib.errors import InputError

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["clean", "remainder", "new object", "unclear"]
SCHEMA_VERSION = 1
NEEDS_MODEL = (
    "--judge needs a vision-language model, found the caption backend {backend}, which only looks at colours; give "
    "--caption_backend vlm with --caption_model_path, or leave --judge out"
)
_NOTE = "A model's opinion of a few frames: no measurement, and part of no metric."
# What of a captioner also decides how it judges; its prompts and merges do not.
_SHARED_FACTS = ("name", "model", "device", "dtype", "attention", "max_pixels", "torch", "transformers", "pillow")


@dataclass(frozen=True)
class FrameJudgement:
    """What the model thinks of one frame."""

    index: int  # of the frame in the result, from 0
    remainder: Answer  # is a remainder of the object visible?
    new_object: Answer  # is something visible that does not belong there?
    remainder_said: tuple[str, ...] = ()  # in the model's words; two where it was asked again
    new_object_said: tuple[str, ...] = ()
    picture: str = ""  # what it saw: JPEG, relative to the judgement's folder


@dataclass(frozen=True)
class Judgement:
    """What the model thinks of one result."""

    video: str
    frames: tuple[FrameJudgement, ...]
    model: str
    model_sha256: str = ""
    key: str = ""  # under which it was made
    facts: Mapping[str, str] = field(default_factory=dict)  # how the model ran

    @property
    def verdict(self) -> Verdict:
        """The worst that any frame shows; "clean" only if every answer was a no."""
        if self._frames_where("remainder", "yes"):
            return "remainder"
        if self._frames_where("new_object", "yes"):
            return "new object"
        unclear = self._frames_where("remainder", "unclear") + self._frames_where("new_object", "unclear")
        return "unclear" if unclear or not self.frames else "clean"

    @property
    def summary(self) -> str:
        """The verdict in a few words, with the frames (counted from 0)."""
        if not self.frames:
            return "no frame was judged"
        shown = [
            f"{what} ({_frames(found)})"
            for name, what in (("remainder", "a remainder of the object"), ("new_object", "something new"))
            if (found := self._frames_where(name, "yes"))
        ]
        unclear = sorted({*self._frames_where("remainder", "unclear"), *self._frames_where("new_object", "unclear")})
        said = [f"{' and '.join(shown)} seen"] if shown else []
        said += [f"neither yes nor no was answered ({_frames(unclear)})"] if unclear else []
        looked_at = _frames([frame.index for frame in self.frames])
        return "; ".join(said) or f"no remainder and nothing new seen ({looked_at})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with what was asked, so that the file can be read alone."""
        return {
            "schema_version": SCHEMA_VERSION,
            "note": _NOTE,
            "verdict": self.verdict,
            "summary": self.summary,
            **asdict(self),
            "facts": dict(self.facts),
            "questions": {"system": SYSTEM_PROMPT, "remainder": REMAINDER_QUESTION, "new_object": NEW_OBJECT_QUESTION},
            "questions_version": VERSION,
        }

    def _frames_where(self, question: str, answer: Answer) -> list[int]:
        return [frame.index for frame in self.frames if getattr(frame, question) == answer]


def judge_pictures(job: JudgeJob, captioner: object) -> Judgement:
    """Ask the captioner's model about every pair of pictures.

    Args:
        captioner: one that also answers questions (`Answering`).

    Raises:
        InputError: it has no model that could answer.
    """
    if not isinstance(captioner, Answering):
        raise InputError(NEEDS_MODEL.format(backend=getattr(captioner, "name", type(captioner).__name__)))
    frames = tuple(_judged(pictures, captioner) for pictures in job.pictures)
    # The captioner's own version is of how it words captions.
    facts = {name: value for name, value in captioner.facts().items() if name != "version"}
    return Judgement(job.video, frames, captioner.name, job.model_sha256, job.key, facts)


def write_judgement(path: Path, judgement: Judgement) -> str:
    """Write it in one step; returns the SHA-256 of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (json.dumps(judgement.to_dict(), indent=2, ensure_ascii=False) + "\n").encode()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
    return hashlib.sha256(content).hexdigest()


def read_judgement(path: Path) -> Judgement:
    """A file that `write_judgement` wrote.

    Raises:
        InputError: it is missing or is no judgement.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _judgement(content)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; expected the judgement of a result (--judge)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: found no judgement of schema {SCHEMA_VERSION} ({type(error).__name__}: {error}); delete the file "
            "and judge again (--judge)"
        ) from None


def judge_fingerprint(captioner: Mapping[str, str]) -> dict[str, str]:
    """Everything that decides a judgement besides pictures: of `captioner_fingerprint` what counts here, and ours."""
    texts = hashlib.sha256(json.dumps(FIXED_TEXTS).encode()).hexdigest()
    shared = {name: captioner[name] for name in _SHARED_FACTS if name in captioner}
    return {**shared, "questions": texts, "version": VERSION}


def check_judge(options: CaptionerOptions) -> None:
    """Refuse a captioner that cannot judge.

    Raises:
        InputError: it has no model.
    """
    if options.backend != "vlm":
        raise InputError(NEEDS_MODEL.format(backend=options.backend))


def _judged(pictures: JudgedPictures, model: Answering) -> FrameJudgement:
    shown = [_read(pictures.before), _read(pictures.after)]
    remainder, remainder_said = _ask(model, REMAINDER_QUESTION, shown)
    new_object, new_object_said = _ask(model, NEW_OBJECT_QUESTION, shown)
    return FrameJudgement(
        pictures.frame_idx, remainder, new_object, remainder_said, new_object_said, picture=pictures.shown
    )


def _ask(model: Answering, question: str, shown: Sequence[np.ndarray]) -> tuple[Answer, tuple[str, ...]]:
    first = model.answer(SYSTEM_PROMPT, question, shown, MAX_NEW_TOKENS)
    if (found := read_answer(first)) != "unclear":
        return found, (first,)
    second = model.answer(SYSTEM_PROMPT, STRICTER.format(question=question), shown, MAX_NEW_TOKENS)
    return read_answer(second), (first, second)


def _read(path: str) -> np.ndarray:
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _judgement(content: Mapping[str, Any]) -> Judgement:
    if content["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {content['schema_version']}")
    known = [item.name for item in fields(Judgement)]
    frames = tuple(_frame(item) for item in content["frames"])
    return Judgement(**{**{name: content[name] for name in known}, "frames": frames})


def _frame(values: Mapping[str, Any]) -> FrameJudgement:
    for question in ("remainder", "new_object"):
        if values[question] not in ("yes", "no", "unclear"):
            raise ValueError(f"{question} is {values[question]!r}")
    said = {name: tuple(values[name]) for name in ("remainder_said", "new_object_said")}
    return FrameJudgement(**{**values, **said})


def _frames(indices: Sequence[int]) -> str:
    return f"frame{'s' if len(indices) > 1 else ''} {', '.join(map(str, indices))}"
