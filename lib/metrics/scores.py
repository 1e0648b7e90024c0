"""The numbers of one result."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lib.errors import InputError


class Scores(BaseModel):
    """Numbers by key of `METRICS`, and why others are missing. All are finite: equal pixels have 100 dB."""

    model_config = ConfigDict(frozen=True)

    protocol: str
    frames: int
    values: dict[str, float]
    unavailable: dict[str, str] = {}
    facts: dict[str, float | int | str] = {}  # how they were measured


def read_scores(path: Path) -> Scores:
    """The scores in a `metrics.json`.

    Raises:
        InputError: the file is missing or something else.
    """
    try:
        return Scores.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: holds no metrics ({_short(error)}); delete it and run again") from None


def _short(error: Any) -> str:
    return str(error).splitlines()[0]
