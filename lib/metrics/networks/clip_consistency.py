"""Temporal consistency: how alike CLIP finds neighbouring frames (Esser et al., ICCV 2023, "frame consistency")."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lib.errors import InputError
from lib.metrics.moment import Moment
from lib.metrics.networks.pictures import measuring

_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's training data
_BATCH = 16  # frames


class ClipEncoder:
    """CLIP's picture tower, from a folder in transformers' layout."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises InputError: the folder holds no such model."""
        net = _load(folder)
        self._net = net.to(device).eval().requires_grad_(False)
        self._device = device
        self.side: int = net.config.image_size

    def embed(self, pictures: Sequence[np.ndarray]) -> torch.Tensor:
        """(n, d) embeddings of length 1 of `prepared` pictures."""
        with measuring():
            found = self._net(pixel_values=torch.from_numpy(np.stack(pictures)).to(self._device)).image_embeds
            return torch.nn.functional.normalize(found, dim=-1)


def _load(folder: Path) -> Any:
    from safetensors import SafetensorError
    from transformers import CLIPVisionModelWithProjection

    load: Any = CLIPVisionModelWithProjection.from_pretrained  # what it returns depends on its arguments
    try:
        with _quiet():
            net, report = load(folder, local_files_only=True, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _not_clip(folder, str(error).splitlines()[0]) from None
    if missing := sorted(report["missing_keys"]):  # these got random numbers
        raise _not_clip(folder, f"{len(missing)} keys missing, {missing[0]} for one")
    return net


def _not_clip(folder: Path, why: str) -> InputError:
    return InputError(
        f"{folder}: cannot be read as a CLIP model ({why}); expected config.json and model.safetensors, as of "
        "openai/clip-vit-large-patch14"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a progress bar, and without a report on the weights of CLIP's text tower: nothing here needs it."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def prepared(frame: np.ndarray, side: int) -> np.ndarray:
    """(3, side, side) float32 as CLIP was trained: shorter side scaled (bicubic), middle cut out, normalised."""
    picture = Image.fromarray(frame)
    width, height = (length * side // min(picture.size) for length in picture.size)
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
        self._waiting.append(prepared(moment.result, self._encoder.side))
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
