"""Whole runs on a small clip, with stand-ins for both networks and a tiny autoencoder, and what happened in them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from eraser_goldens import autoencoder
from stand_ins import Call, Recorder

from lib.diffueraser.draws import PosteriorPurpose, SeededDraws
from lib.diffueraser.guidance import TextGuidance
from lib.diffueraser.models import EraserModels
from lib.diffueraser.pictures import to_images
from lib.diffueraser.pipeline import AnchorFrame, Clip, DiffuEraser
from lib.diffueraser.settings import EraserSettings

HEIGHT, WIDTH, DIM = 24, 16, 4
SHAPE = (4, HEIGHT // 8, WIDTH // 8)
LEVELS = 4
VAE_CONFIG = {
    "block_out_channels": [4] * LEVELS,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * LEVELS,
    "up_block_types": ["UpDecoderBlock2D"] * LEVELS,
    "scaling_factor": 0.18215,
}


class NotedDraws:
    """Draws of a seed; `asked` lists their names."""

    def __init__(self, seed: int, video: str) -> None:
        self._draws = SeededDraws(seed, video)
        self.asked: list[tuple[str, int]] = []

    def noise(self, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        self.asked.append(("noise", index))
        return self._draws.noise(index, shape)

    def posterior(self, purpose: PosteriorPurpose, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        self.asked.append((purpose, index))
        return self._draws.posterior(purpose, index, shape)

    def anchor(self, shape: tuple[int, ...]) -> torch.Tensor:
        self.asked.append(("anchor", 0))
        return self._draws.anchor(shape)


@dataclass(frozen=True)
class Run:
    """A run and what happened in it."""

    clip: Clip
    frames: np.ndarray
    calls: list[Call]  # passes through the networks
    loops: list[tuple[torch.Tensor, torch.Tensor]]  # latents into and out of each denoising loop, (n, 4, h, w)
    asked: list[tuple[str, int]]  # draws
    shares: list[float]  # progress

    def names(self, purpose: str) -> set[int]:
        """Indices of the draws for a purpose."""
        return {index for name, index in self.asked if name == purpose}


class RecordedLoop:
    """The denoising loop; `calls` lists the latents into and out of it."""

    def __init__(self, denoise) -> None:
        self.denoise = denoise
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, latents, *arguments, **options):
        before = latents.tensor().clone()
        after = self.denoise(latents, *arguments, **options)
        self.calls.append((before, after.tensor().clone()))
        return after


def erase(
    count: int = 30,
    anchor: AnchorFrame | None = None,
    scale: float = 0.0,
    seed: int = 42,
    video: str = "boat",
    **options,
) -> Run:
    """One run on `make_clip(count)`."""
    recorder, draws, shares, clip = Recorder(), NotedDraws(seed, video), [], make_clip(count)
    models = EraserModels(recorder.brushnet, recorder.unet, tiny_vae())
    eraser = DiffuEraser(models, EraserSettings(precision="fp32", **options))
    eraser.denoise = loop = RecordedLoop(eraser.denoise)
    frames = eraser(clip, words(scale), draws, anchor, report=shares.append).frames
    return Run(clip, frames, recorder.calls, loop.calls, draws.asked, shares)


def words(scale: float) -> TextGuidance:
    positive, negative, empty = (torch.full((1, 7, DIM), value) for value in (0.3, -0.2, 0.1))
    return TextGuidance(positive, negative, scale, empty)


def make_clip(count: int, seed: int = 0) -> Clip:
    """Noise, with a square hole that moves and does not follow the grid of latent cells."""
    random = np.random.default_rng(seed)
    frames, prior = (random.integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8) for _ in range(2))
    masks = np.zeros((count, HEIGHT, WIDTH), bool)
    for index in range(count):
        left = 1 + index % 5
        masks[index, 5:15, left : left + 9] = True
    return Clip(frames, masks, prior)


def encode(images: torch.Tensor, draw: torch.Tensor | None) -> torch.Tensor:
    """Pictures (n, 3, H, W) in -1..1 -> scaled latents; draw (n, 4, h, w), None: the most likely."""
    mean, std = tiny_vae().moments(images)
    return (mean if draw is None else mean + std * draw) * VAE_CONFIG["scaling_factor"]


def masked_latents(clip: Clip, indices: list[int], draw: torch.Tensor | None) -> torch.Tensor:
    """Of frames with black holes."""
    images = to_images(torch.from_numpy(clip.frames[indices]), torch.from_numpy(clip.masks[indices]))
    return encode(images, draw)


@lru_cache
def tiny_vae():
    return autoencoder(VAE_CONFIG, seed=3)
