"""Strict reading of prompt files (main environment only: it needs pydantic)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lib.captioner.prompt_file import TEXT_GUIDANCE_SCALE, load_prompt_mapping
from lib.errors import InputError
from lib.plain_yaml import line_of, read_bounded, shown


def _texts(value: object) -> tuple[str, ...]:
    """One string or a list of strings; anything else is refused by name."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise ValueError("expected a string or a list of strings")
    return tuple(str(item).strip() for item in items)


def _negative_texts(value: object) -> tuple[str, ...]:
    return () if value is None else _texts(value)


def _prompt_texts(value: object) -> tuple[str, ...]:
    texts = () if value is None else _texts(value)
    if not texts or not texts[0]:
        raise ValueError("expected a sentence that describes the background, found none")
    return texts


def _scale(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError("expected a number of at least 0")
    return float(value)


class PromptFile(BaseModel):
    """What phase 3 takes from a prompt file. Keys it does not know are allowed and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompts: Annotated[tuple[str, ...], BeforeValidator(_prompt_texts)] = Field(alias="prompt")
    n_prompts: Annotated[tuple[str, ...], BeforeValidator(_negative_texts)] = Field((), alias="n_prompt")
    text_guidance_scale: Annotated[float, BeforeValidator(_scale)] = TEXT_GUIDANCE_SCALE
    prompt_source: Annotated[str, BeforeValidator(str)] = "manual"
    prompt_model: Annotated[str, BeforeValidator(str)] = ""

    @property
    def prompt(self) -> str:
        """The background's description: the first of the file's `prompt` list."""
        return self.prompts[0]

    @property
    def n_prompt(self) -> str:
        """The first of the file's `n_prompt` list, or ""."""
        return self.n_prompts[0] if self.n_prompts else ""


def read_prompt_file(path: Path, prompt: str | None = None) -> PromptFile:
    """The checked content of a prompt file.

    Args:
        prompt: stands in place of the file's own.

    Raises:
        InputError: missing file, broken YAML, not a mapping, a wrong type or an empty prompt; with the line if known.
    """
    mapping = load_prompt_mapping(path)
    try:
        given = {} if prompt is None else {"prompt": prompt}
        return PromptFile.model_validate({"prompt": None, **_string_keys(mapping), **given})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = str(problem["loc"][0])
        line = line_of(read_bounded(path), key)
        where = f"line {line}: " if line else ""
        message = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {where}{key} is {shown(mapping.get(key))}; {message}") from None


def _string_keys(mapping: dict[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in mapping.items()}
