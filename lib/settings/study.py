"""The settings of a study: those of the three phases, and what is compared."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from lib.settings.groups import SettingsGroup
from lib.settings.runs import AutoRefineSettings


class StudyOptions(SettingsGroup):
    """What is compared."""

    study: Literal["ablation", "guidance", "prompts"] = Field(
        default="ablation",
        description="ablation: anchor and text, each with and without; guidance: a sweep of the text's weight; "
        "prompts: the captioner's, yours and none",
    )
    prompt_yaml: Path | None = Field(
        default=None, description="your own prompts: a file for all videos, or a folder with <name>.yaml for each"
    )
    guidance_scales: tuple[float, ...] = Field(
        default=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0), description="of the sweep", min_length=2
    )

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        scales = self.guidance_scales
        if any(not 0 <= scale < float("inf") for scale in scales) or len(set(scales)) < len(scales):
            raise ValueError(f"guidance_scales is {','.join(map(str, scales))}; give different numbers, 0 or above")
        return self


class StudySettings(AutoRefineSettings):
    """Everything one run of `flows/study.py` needs to know."""

    study: StudyOptions = StudyOptions()

    @model_validator(mode="after")
    def _check_study(self) -> Self:
        if self.execution.shards:
            raise ValueError("--shards does not go with a study; leave it out")
        return self
