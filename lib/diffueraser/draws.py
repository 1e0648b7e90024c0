"""Where every random number of a run comes from.

Each draw has a name and a stream of its own, so that neither order nor batches nor the draws of another part matter.
"""

import hashlib
from typing import Literal, Protocol

import torch
from torch import Tensor

PosteriorPurpose = Literal["prior", "pre_conditioning", "conditioning"]
Shape = tuple[int, ...]


class Draws(Protocol):
    """Random numbers from N(0, 1), float32 on the CPU; the same call always gives the same numbers."""

    def noise(self, index: int, shape: Shape) -> Tensor:
        """The noise that denoising starts from.

        Args:
            index: of the frame, 0 up; where noise repeats, less than the period.
            shape: of one frame's latents, (4, h, w).
        """
        ...

    def posterior(self, purpose: PosteriorPurpose, index: int, shape: Shape) -> Tensor:
        """What decides which of the VAE's possible codes of a picture is taken.

        Args:
            purpose: the prior's frames, the masked frames that pre-inference looks at, or those of the main run.
            index: of the picture among those of its purpose, 0 up.
            shape: of one picture's latents, (4, h, w).
        """
        ...

    def anchor(self, shape: Shape) -> Tensor:
        """The noise of the anchor frame, (4, h, w)."""
        ...


class SeededDraws:
    """Draws of one video under a seed: the same on every machine, another for every name of a video."""

    def __init__(self, seed: int, video_name: str) -> None:
        self._root = f"{seed}|{video_name}"

    def noise(self, index: int, shape: Shape) -> Tensor:
        return self._draw(f"noise|{index}", shape)

    def posterior(self, purpose: PosteriorPurpose, index: int, shape: Shape) -> Tensor:
        return self._draw(f"posterior of {purpose}|{index}", shape)

    def anchor(self, shape: Shape) -> Tensor:
        return self._draw("anchor", shape)

    def _draw(self, name: str, shape: Shape) -> Tensor:
        digest = hashlib.sha256(f"{self._root}|{name}".encode()).digest()
        seed = int.from_bytes(digest[:8], "little") >> 1  # 63 bits: seeds are signed
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
