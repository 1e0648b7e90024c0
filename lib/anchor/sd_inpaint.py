"""The anchor that paints from words: Stable Diffusion's inpainting model."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from lib.anchor.base import AnchorInpainter
from lib.anchor.inpainting_files import HUB_MODEL, find_model, inpainting_files, is_half, newest_name
from lib.errors import InputError
from lib.model_loads import note_load
from lib.runtime.fingerprints import fingerprint_weights

if TYPE_CHECKING:  # torch and diffusers take seconds to import: only a process that paints does
    import torch

CODE_VERSION = "1"
GUIDANCE_SCALE = 7.5
SIZE_MULTIPLE = 8
SMALLEST_SIDE = 64  # smaller pictures are painted larger


class SDInpaintAnchorInpainter(AnchorInpainter):
    """Paints the hole as the prompt says; the same seed and video give the same picture on one kind of device."""

    name = "sd-inpaint"
    uses_prompt = True

    def __init__(
        self,
        model: str | Path = HUB_MODEL,
        *,
        device: Callable[[], torch.device],
        steps: int = 50,
        seed: int = 42,
        guidance_scale: float = GUIDANCE_SCALE,
        offload: bool = False,
    ) -> None:
        """Making it is cheap: the model loads with the first picture, once in a process.

        Args:
            model: its folder in diffusers' layout, or its name on the hub, looked up in the local cache only.
            device: says where it works; in half precision on a GPU.
            steps: of the denoising.
            offload: on a GPU only while it paints.
        """
        self._model = newest_name(model)
        if self._model != model:
            self.notes = (f"{model} is no longer on the hub; taken for {self._model}",)
        self._device, self._offload = device, offload
        self._steps, self._seed, self._guidance_scale = steps, seed, guidance_scale
        self._video_name = ""

    def for_video(self, video_name: str) -> Self:
        other = copy.copy(self)
        other._video_name = video_name
        return other

    def check(self) -> None:
        """See that the model is there and whole; reads configs and headers only.

        Raises:
            InputError: everything that is missing or wrong.
        """
        inpainting_files(find_model(self._model))

    def inpaint(
        self, frame: Image.Image, mask: Image.Image, prompt: str | None = None, n_prompt: str | None = None
    ) -> Image.Image:
        """As in `AnchorInpainter`. Without prompt the hole is painted from its surroundings alone.

        Raises:
            InputError: frame and mask differ in size, or the model cannot be loaded.
        """
        if frame.size != mask.size:
            raise InputError(f"the anchor's frame is {frame.size} and its mask {mask.size}: they must be of one size")
        picture = np.array(frame.convert("RGB"))
        hole = np.asarray(mask.convert("L")) > 0
        if not hole.any():
            return Image.fromarray(picture)
        painted = self._paint(frame.convert("RGB"), Image.fromarray(hole), prompt or "", n_prompt or "")
        picture[hole] = np.asarray(painted)[hole]
        return Image.fromarray(picture)

    def fingerprint(self) -> dict[str, str]:
        """Raises InputError: the model is not there or not whole."""
        files = inpainting_files(find_model(self._model))
        return {
            "anchor": self.name,
            "code": CODE_VERSION,
            "seed": str(self._seed),
            "steps": str(self._steps),
            "guidance_scale": str(float(self._guidance_scale)),
            **{package: version(package) for package in ("diffusers", "transformers", "torch", "pillow")},
            **{name: fingerprint_weights(path) for name, path in files.items()},
        }

    def _paint(self, frame: Image.Image, hole: Image.Image, prompt: str, n_prompt: str) -> Image.Image:
        import torch

        device = self._device()
        pipeline = _load(find_model(self._model), "cpu" if self._offload else str(device), _number_type(device))
        if self._offload:
            pipeline.to(device)
        width, height = (_fitting(side) for side in frame.size)
        with _quiet():  # what is cut off a long prompt is told by the engine
            result = pipeline(
                prompt=prompt,
                negative_prompt=n_prompt,
                image=frame.resize((width, height), Image.Resampling.LANCZOS),
                mask_image=hole.convert("L").resize((width, height), Image.Resampling.NEAREST),
                width=width,
                height=height,
                num_inference_steps=self._steps,
                guidance_scale=self._guidance_scale,
                generator=torch.Generator().manual_seed(self._stream()),  # on the CPU: the same numbers everywhere
            ).images[0]
            if self._offload:
                pipeline.to("cpu")  # diffusers warns that half precision does not run there
        return result.resize(frame.size, Image.Resampling.LANCZOS)

    def _stream(self) -> int:
        """The seed of this video's own random numbers."""
        name = f"{self._seed}|{self._video_name}|anchor picture"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1


def _fitting(side: int) -> int:
    return max(SMALLEST_SIDE, -(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE)


def _number_type(device: torch.device) -> str:
    return "float16" if device.type == "cuda" else "float32"


@lru_cache(maxsize=1)
def _load(folder: Path, device: str, number_type: str) -> Any:
    """diffusers' pipeline without its safety checker.

    Raises:
        InputError: the folder holds no such pipeline.
    """
    import torch

    files = inpainting_files(folder)
    with _quiet():
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import (
            StableDiffusionInpaintPipeline,
        )

        try:
            pipeline = StableDiffusionInpaintPipeline.from_pretrained(
                folder,
                dtype=getattr(torch, number_type),
                variant="fp16" if is_half(files) else None,
                safety_checker=None,
                requires_safety_checker=False,
                feature_extractor=None,
                local_files_only=True,
            )
        except Exception as error:  # whatever diffusers and transformers make of broken files
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{folder}: cannot be loaded as an inpainting model ({reason})") from error
    note_load("sd_inpaint")
    pipeline.set_progress_bar_config(disable=True)
    if device == "cpu":
        return pipeline
    from lib.anchor.unet_graph import run_as_graph

    pipeline.to(device)
    run_as_graph(pipeline.unet)
    return pipeline


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, and without advice about packages that nothing here needs."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    verbosity = [(library, library.get_verbosity()) for library in (diffusers_logging, transformers_logging)]
    for library, _ in verbosity:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, before in verbosity:
            library.set_verbosity(before)
            library.enable_progress_bar()
