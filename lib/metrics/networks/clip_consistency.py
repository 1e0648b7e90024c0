"""Temporal consistency: how alike CLIP finds neighbouring frames (Esser et al., ICCV 2023, "frame consistency")."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lib.errors import InputError
from lib.metrics.moment import Moment

_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's training data
_BATCH = 16  # frames


class ClipEncoder:
    """CLIP's picture tower, from a folder in transformers' layout."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises InputError: the folder holds no such model."""
        from transformers import CLIPVisionModelWithProjection

        try:
            net = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise InputError(
                f"{folder}: cannot be read as a CLIP model ({str(error).splitlines()[0]}); expected config.json and "
                "model.safetensors, as of openai/clip-vit-large-patch14"
            ) from None
        self._net = net.to(device).eval().requires_grad_(False)  # type: ignore[arg-type]
        self._device = device
        self._side: int = net.config.image_size  # type: ignore[assignment] (a list only for other models)

    @torch.inference_mode()
    def embed(self, frames: Sequence[np.ndarray]) -> torch.Tensor:
        """(n, d) embeddings of length 1 of (H, W, 3) uint8 frames."""
        stack = np.stack([_prepared(frame, self._side) for frame in frames])
        found = self._net(pixel_values=torch.from_numpy(stack).to(self._device)).image_embeds.float()
        return torch.nn.functional.normalize(found, dim=-1)


def _prepared(frame: np.ndarray, side: int) -> np.ndarray:
    """(3, side, side) float32 as CLIP was trained: shorter side scaled (bicubic), middle cut out, normalised."""
    picture = Image.fromarray(frame)
    scale = side / min(picture.size)
    width, height = (max(side, round(length * scale)) for length in picture.size)
    left, top = (width - side) // 2, (height - side) // 2
    cut = picture.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
    values = (np.asarray(cut, np.float32) / 255 - np.array(_MEAN, np.float32)) / np.array(_DEVIATION, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1))


class TemporalConsistency:
    """The mean cosine of the embeddings of neighbouring frames of a result."""

    keys: Sequence[str] = ("temporal_consistency",)

    def __init__(self, encoder: ClipEncoder) -> None:
        self._encoder = encoder
        self._waiting: list[np.ndarray] = []
        self._last: torch.Tensor | None = None
        self._total, self._count = 0.0, 0

    def add(self, moment: Moment) -> None:
        self._waiting.append(moment.result)
        if len(self._waiting) == _BATCH:
            self._measure()

    def _measure(self) -> None:
        if not self._waiting:
            return
        found = self._encoder.embed(self._waiting)
        chain = found if self._last is None else torch.cat([self._last, found])
        self._total += float((chain[1:] * chain[:-1]).sum(dim=-1).double().sum())
        self._count += len(chain) - 1
        self._last = found[-1:]
        self._waiting.clear()

    def values(self) -> dict[str, float]:
        self._measure()
        return {self.keys[0]: self._total / self._count} if self._count else {}

    def unavailable(self) -> dict[str, str]:
        self._measure()
        return {} if self._count else {self.keys[0]: "the clip has a single frame"}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}
