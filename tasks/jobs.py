"""What each phase is asked to do for one video. A job knows its own cache key; nothing volatile is part of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from lib.records import PhaseRecord, canonical_hash
from lib.runtime.file_states import FileState
from lib.settings import Anchor, DiffuEraserOptions, Engine, InputRules, Processing, PropainterPrior
from lib.video.datasets import Video


class Job(BaseModel):
    """One phase of one video: plain data, so it travels to another process or environment as JSON."""

    model_config = ConfigDict(frozen=True)

    phase: ClassVar[str]
    code_version: ClassVar[str]
    # Fields that came later, with the value at which they are no part of the key: what was made before stays valid.
    later: ClassVar[Mapping[str, Any]] = {"reading": {}}
    unkeyed: ClassVar[frozenset[str]] = frozenset({"watched", "rules"})  # fields that never change a result

    video: Video
    output_dir: Path
    watched: tuple[FileState, ...] = ()  # the inputs that its key stands for, as they were when they were hashed

    def identity(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON-able content: hashes instead of paths."""
        raise NotImplementedError

    @property
    def cache_key(self) -> str:
        identity = {name: value for name, value in self.identity().items() if self._counts(name, value)}
        content = {"code": self.code_version, "video": self.video.name, "content": identity}
        return f"{self.phase}-{canonical_hash(content)}"

    def misfit(self, record: PhaseRecord) -> str | None:  # noqa: ARG002
        """Why a record under the job's key is not what the job would make, or None."""
        return None

    def _counts(self, name: str, value: Any) -> bool:
        return name not in self.unkeyed and not (name in self.later and value == self.later[name])


class RemovalJob(Job):
    """What all removals share."""

    code_version: ClassVar[str] = "2"

    video_fingerprint: str
    mask_fingerprint: str
    engine: Engine
    prior: PropainterPrior | None  # where the engine has one
    options: DiffuEraserOptions | None  # where the engine is DiffuEraser
    engine_fingerprint: dict[str, str]  # stands for the three above in the key: content, not paths
    processing: Processing
    reading: dict[str, Any] = {}  # what is special in how the input is read and written: `lib.video.reading`
    rules: InputRules = InputRules()

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"video", "output_dir", "engine", "prior", "options"})

    @property
    def folder(self) -> Path:
        """Where its files go."""
        raise NotImplementedError


class CoarseJob(RemovalJob):
    """Phase 1: no anchor, no text."""

    phase: ClassVar[str] = "coarse"

    @property
    def folder(self) -> Path:
        return self.output_dir / "phase1" / self.video.name


class GuidedJob(RemovalJob):
    """A removal with an anchor, a prompt, both or neither. What has no effect is left empty, so that no key has it."""

    anchor: Anchor | None
    anchor_fingerprint: dict[str, str]  # stands for the anchor's method, model and steps in the key
    prompt: str  # for the anchor and, with `use_text`, for the main network
    n_prompt: str
    use_text: bool
    text_guidance_scale: float  # of the main network
    lossless: bool = False

    def identity(self) -> dict[str, Any]:
        content = super().identity()
        return {**content, "anchor": self.anchor.anchor_frame_idx if self.anchor else None}


class RefineJob(GuidedJob):
    """Phase 3: the prompt drives the anchor."""

    phase: ClassVar[str] = "refine"

    @property
    def folder(self) -> Path:
        return self.output_dir / "final" / self.video.name


class RemoveJob(GuidedJob):
    """One pass of object removal on its own, in one of the four modes."""

    phase: ClassVar[str] = "remove"

    @property
    def folder(self) -> Path:
        return self.output_dir / self.video.name


class VariantJob(GuidedJob):
    """One way of removal in a study. Variants that come to the same have one key: its first file serves all."""

    phase: ClassVar[str] = "variant"

    variant: str

    def identity(self) -> dict[str, Any]:
        return {name: value for name, value in super().identity().items() if name != "variant"}

    @property
    def folder(self) -> Path:
        return self.output_dir / "variants" / self.variant / self.video.name


class PriorJob(Job):
    """The prior of a removal: it knows of no prompt, no anchor, no blend and no seed."""

    phase: ClassVar[str] = "prior"
    code_version: ClassVar[str] = "1"

    video_fingerprint: str
    mask_fingerprint: str
    engine_fingerprint: dict[str, str]  # of the prior's engine
    processing: Processing
    reading: dict[str, Any] = {}

    def identity(self) -> dict[str, Any]:
        content = self.model_dump(mode="json", exclude={"video", "output_dir"})
        unused = {"feather", "seed", "result_format"}
        return {**content, "processing": self.processing.model_dump(mode="json", exclude=unused)}

    def path(self, width: int, height: int) -> Path:
        """Its lossless file; coarse and refine of different sizes have one each."""
        return self.output_dir / "priors" / self.video.name / f"{width}x{height}.mkv"


class AnchorJob(Job):
    """One picture of an anchor that follows words: every removal that wants the same one shares it."""

    phase: ClassVar[str] = "anchor"
    code_version: ClassVar[str] = "1"

    anchor_fingerprint: dict[str, str]
    frame_sha256: str  # of the pixels that it paints on
    mask_sha256: str
    prompt: str
    n_prompt: str

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"video", "output_dir"})

    @property
    def path(self) -> Path:
        digest = self.cache_key.removeprefix(f"{self.phase}-")
        return self.output_dir / "anchors" / self.video.name / f"{digest[:16]}.png"


def seen_picture(prompt_file: Path) -> Path:
    """Where the picture lies that the captioner saw for this file."""
    return prompt_file.parent / "seen" / f"{prompt_file.stem}.jpg"


class CaptionJob(Job):
    """Phase 2: one sentence about the background, in a prompt file.

    `source_key` stands for the pictures that are captioned: the coarse job's key, or the source's fingerprint.
    """

    phase: ClassVar[str] = "caption"
    code_version: ClassVar[str] = "2"
    later: ClassVar[Mapping[str, Any]] = {"reading": {}, "invert_mask": False, "deinterlace": False}

    source_key: str
    source_path: Path
    mask_fingerprint: str
    prompt_file: Path
    captioner_fingerprint: dict[str, str]
    object_key: str | None  # the source's fingerprint where the captioner names the removed object
    frame_strategy: str
    num_sample_frames: int
    n_prompt: str
    text_guidance_scale: float
    video_length: int
    mask_dilation_iter: int
    mask_threshold: int | None
    object_ids: tuple[int, ...]
    invert_mask: bool = False
    deinterlace: bool = False
    reading: dict[str, Any] = {}
    edited_sha256: str | None = None  # of a prompt file that a person wrote or edited: it is taken as it is

    @property
    def name(self) -> str:
        """Its name in a batch."""
        return self.video.name

    @property
    def seen_picture(self) -> Path:
        """What the captioner saw, for people; no part of the result."""
        return seen_picture(self.prompt_file)

    def identity(self) -> dict[str, Any]:
        if self.edited_sha256:
            return {"edited": self.edited_sha256}
        return self.model_dump(mode="json", exclude={"video", "output_dir", "source_path", "prompt_file"})


class ComparisonJob(Job):
    """The 2x2 comparison video: cheap, made from files of the other phases."""

    phase: ClassVar[str] = "comparison"
    code_version: ClassVar[str] = "2"
    unkeyed: ClassVar[frozenset[str]] = Job.unkeyed | {"inputs"}

    processing: Processing
    reading: dict[str, Any] = {}
    fps: int
    engine_title: str
    refine_key: str
    refined_path: Path
    third_title: str  # what the third cell shows: the prior, the phase-1 result, or the hole itself
    third_key: str
    third_path: Path | None  # None: the source with the hole in gray
    inputs: tuple[str, ...] = ()  # hashes of video and masks where the results' keys do not stand for them

    def misfit(self, record: PhaseRecord) -> str | None:
        told = record.facts.get("inputs", self.told)  # records were silent on it once
        return "it was made of another video or other masks" if self.inputs and told != self.told else None

    @property
    def told(self) -> str:
        """What its record tells of the inputs."""
        return " ".join(self.inputs)

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"video", "output_dir", "third_path", "refined_path"})

    @property
    def path(self) -> Path:
        return self.refined_path.with_name("comparison_4in1.mp4")
