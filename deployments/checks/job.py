"""What the doctor is asked about: a job of a certain size, its folders, and the box that shall do it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployments.box.paths import BoxPaths

PROJECT_ROOT = Path(__file__).resolve().parents[2]
ENGINES = ("diffueraser", "propainter", "propagation")


@dataclass(frozen=True)
class Job:
    """A clip of `frames` frames of width x height pixels, and everything that it is to be made with."""

    engine: str = "diffueraser"
    width: int = 1280
    height: int = 720
    frames: int = 300
    offload: bool = False
    pcm_steps: int = 2
    output_dir: Path = Path("results")
    weights_dir: Path = Path("weights")
    hashes: bool = False  # read whole weight files, not only their headers
    caption_env: str | None = None
    caption_backend: str | None = None  # None: what suits the engine
    caption_model: str | None = None  # folder or hub name; None: the one in weights_dir
    box: BoxPaths | None = None  # where an installed box keeps its files
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))  # with what the box's client.env says
    project: Path = PROJECT_ROOT

    @property
    def uses_networks(self) -> bool:
        """Whether the engine has weights, and a GPU helps it."""
        return self.engine != "propagation"

    @property
    def captions_by_model(self) -> bool:
        """Whether a vision-language model writes the captions; as `AutoRefineSettings.caption_backend` decides."""
        follows_words = self.engine == "diffueraser"
        return (self.caption_backend or ("vlm" if self.caption_model or follows_words else "palette")) == "vlm"

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"
