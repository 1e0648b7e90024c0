"""Small data sets made by code, for the tests of flows and tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CAPTION = "A quiet stone courtyard under soft light"  # what tiny vision-language models say


def moving_square(
    seed: int, frames: int, height: int, width: int, *, with_object: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """A textured background under a static camera, a bright square moving over it, and the square's masks."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 200, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    plate = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    clip = np.repeat(plate[None], frames, 0)
    masks = np.zeros((frames, height, width), np.uint8)
    for index in range(frames):
        left = 4 + index * (width - 28) // max(frames - 1, 1)
        if with_object:
            clip[index, height // 3 : height // 3 + 16, left : left + 16] = (250, 240, 40)
        masks[index, height // 3 - 1 : height // 3 + 17, left - 1 : left + 17] = 255
    return clip, masks


def write_frames(folder: Path, pictures: Sequence[np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{index:05d}.png")
    return folder


class Dataset:
    """A DAVIS-like data set of small clips, made by code."""

    def __init__(self, root: Path) -> None:
        self.videos, self.masks = root / "videos", root / "masks"

    def add(self, name: str, seed: int = 0, frames: int = 6, height: int = 64, width: int = 96) -> None:
        clip, masks = moving_square(seed, frames, height, width)
        write_frames(self.videos / name, clip)
        write_frames(self.masks / name, masks)

    def flags(self, output_dir: Path, engine: str = "propagation") -> list[str]:
        roots = ["--video_root", str(self.videos), "--mask_root", str(self.masks)]
        return ["--engine", engine, "--dataset", "davis", *roots, "--output_dir", str(output_dir)]


def write_propainter_weights(folder: Path) -> Path:
    """The three weight files of ProPainter at their full sizes, with random numbers."""
    import torch  # takes seconds: not for the tests that do without

    from lib.propainter.flow_completion import FlowCompletion
    from lib.propainter.generator import InpaintGenerator
    from lib.propainter.raft import RAFT
    from lib.propainter.weight_files import FLOW_COMPLETION_FILE, GENERATOR_FILE, RAFT_FILE

    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        raft = {f"module.{key}": value for key, value in RAFT().state_dict().items()}
        torch.save(raft, folder / RAFT_FILE)
        torch.save(FlowCompletion().state_dict(), folder / FLOW_COMPLETION_FILE)
        torch.save(InpaintGenerator().state_dict(), folder / GENERATOR_FILE)
    return folder


def same_weights(folder: Path, weights: Path) -> Path:
    """Another folder with the same weight files, for tests that change one of them: links, so replace, never write."""
    folder.mkdir(parents=True)
    for path in weights.iterdir():
        (folder / path.name).hardlink_to(path)
    return folder
