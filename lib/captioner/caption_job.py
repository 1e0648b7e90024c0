"""One video to caption, as data that goes through JSON to another interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lib.captioner.prompt_file import NEGATIVE_PROMPT, TEXT_GUIDANCE_SCALE
from lib.errors import InputError


@dataclass(frozen=True)
class PreparedPicture:
    """A frame that the main environment decoded and grayed, so that the caption environment needs no PyAV."""

    picture: str  # PNG, RGB, gray where the hole is
    hole: str  # PNG of the same size, non-zero where the hole is
    frame_idx: int


@dataclass(frozen=True)
class CaptionJob:
    """What to caption, how, and where the sentence goes. Paths are strings, so that it is JSON as it stands."""

    name: str  # the video's name
    video_path: str  # video, frame folder or one picture
    mask_path: str  # mask folder, video or picture
    output_yaml: str
    frames_path: str = ""  # the clip whose frame names the masks may bear; default: video_path
    source_video: str = ""  # what the YAML names as its source; default: video_path
    frame_strategy: str = "middle"  # "middle" or "multi_sample"
    num_sample_frames: int = 3
    video_length: int = -1  # frames of the video that count, -1 = all
    mask_dilation_iter: int = 4
    mask_threshold: int | None = None  # None: by format, as in the removal
    object_ids: tuple[int, ...] = ()  # () = all objects
    invert_mask: bool = False
    deinterlace: bool = False  # the source's frames; a result was made of whole ones
    n_prompt: str = NEGATIVE_PROMPT
    text_guidance_scale: float = TEXT_GUIDANCE_SCALE
    object_video: str = ""  # the source, where the object still is: given if the captioner is to name the object
    force: bool = False  # write even over a file that a person edited (kept as .bak)
    replace: bool = False  # write over a file of our own; without it any valid prompt is kept
    key: str = ""  # remembered as what the file was written under
    model_sha256: str = ""  # of the model's files, for the record
    save_picture: str | None = None  # JPEG of what the captioner saw
    prepared: tuple[PreparedPicture, ...] = ()  # read these instead of the video and masks
    prepared_object: str = ""  # PNG of the object, read instead of object_video

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CaptionJob:
        """The job from `to_dict`'s values or their JSON round trip.

        Raises:
            InputError: a missing or unknown field.
        """
        known = {field.name for field in fields(cls)}
        missing = [name for name in ("name", "video_path", "mask_path", "output_yaml") if name not in values]
        unknown = sorted(set(values) - known)
        if missing or unknown:
            raise InputError(
                f"caption job: missing fields {missing}, unknown fields {unknown}; expected {sorted(known)}"
            )
        prepared = tuple(PreparedPicture(**item) for item in values.get("prepared", ()))
        return cls(**{**values, "object_ids": tuple(values.get("object_ids", ())), "prepared": prepared})

    @property
    def yaml_path(self) -> Path:
        return Path(self.output_yaml)
