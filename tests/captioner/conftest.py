"""Small scenes on disk for the captioner's tests."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vlm_support import VLM_SENTENCE

from lib.captioner.jobs import CaptionJob

ROOT = Path(__file__).resolve().parents[2]
SIZE = (48, 64)
RED = (250, 0, 0)


def write_scene(folder: Path, frames: int = 5, top=(40, 90, 200), bottom=(30, 65, 35)) -> tuple[Path, Path]:
    """A frame folder (a red square on two flat colours, moving right) and its mask folder."""
    video, masks = folder / "video", folder / "masks"
    for path in (video, masks):
        path.mkdir(parents=True)
    for index in range(frames):
        frame = np.empty((*SIZE, 3), np.uint8)
        frame[:24], frame[24:] = top, bottom
        mask = np.zeros(SIZE, np.uint8)
        mask[16:28, 10 + 4 * index : 22 + 4 * index] = 255
        frame[mask > 0] = RED
        Image.fromarray(frame).save(video / f"{index:05d}.png")
        Image.fromarray(mask).save(masks / f"{index:05d}.png")
    return video, masks


@pytest.fixture
def job(tmp_path: Path) -> CaptionJob:
    """A job on a five-frame scene."""
    video, masks = write_scene(tmp_path / "scene")
    return CaptionJob("scene", str(video), str(masks), str(tmp_path / "prompt_cache" / "scene.yaml"))


@pytest.fixture
def picture_job(tmp_path: Path) -> CaptionJob:
    """A job on one picture and one mask."""
    video, masks = write_scene(tmp_path / "picture", frames=1)
    base = CaptionJob("picture", "", "", str(tmp_path / "prompt_cache" / "picture.yaml"))
    return replace(base, video_path=str(video / "00000.png"), mask_path=str(masks / "00000.png"))


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory) -> Callable[..., Path]:
    """The folder of a tiny vision-language model by its family and what it says, if anything; each is made once."""
    from tiny_vlms import write_tiny_vlm  # imports torch

    made: dict[tuple[str, str | None], Path] = {}

    def folder(family: str = "qwen2_5_vl", says: str | None = VLM_SENTENCE) -> Path:
        if (family, says) not in made:
            place = tmp_path_factory.mktemp("models") / f"Tiny-{family}"
            made[family, says] = write_tiny_vlm(place, family, says=says, seed=3)
        return made[family, says]

    return folder


@pytest.fixture
def damaged_vlm(tiny_vlm, tmp_path) -> Path:
    """A copy of the first family's model, to be damaged."""
    return Path(shutil.copytree(tiny_vlm(), tmp_path / "Tiny-VL"))
