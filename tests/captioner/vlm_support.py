"""What the tests of vision-language models share, beside the fixtures of conftest."""

import json
from pathlib import Path

import numpy as np

from lib.captioner.backend import CaptionerOptions

VLM_SENTENCE = "A quiet stone courtyard under soft light"
VLM_FAMILIES = ("qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm")


def stripes(height: int = 96, width: int = 128, every: int = 8) -> np.ndarray:
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[::every] = (200, 220, 90)
    return picture


def options(folder: Path, **values) -> CaptionerOptions:
    return CaptionerOptions(backend="vlm", model_path=str(folder), device="cpu", **values)


def change_json(path: Path, **values) -> None:
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
