"""DiffuEraser on one clip (Li et al. 2025): frames, masks and a prior in, frames with painted holes out."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lib.compute.graphs import CudaGraphs
from lib.compute.steps import run_directly
from lib.compute.stopwatch import Stopwatch
from lib.diffueraser.autoencoder import CELL
from lib.diffueraser.coding import Advance, ClipCoder
from lib.diffueraser.denoise import AnchorLatents, Denoiser
from lib.diffueraser.draws import Draws, PosteriorPurpose
from lib.diffueraser.guidance import TextGuidance
from lib.diffueraser.latents import LatentStore
from lib.diffueraser.models import EraserModels
from lib.diffueraser.sampler import add_noise
from lib.diffueraser.settings import LONGEST_WINDOW, EraserSettings
from lib.diffueraser.windows import Windows, pre_inference_indices, window_lists

# For the progress, in encoded pictures.
WORK_OF_A_WINDOW, WORK_OF_DECODING = 20, 2


@dataclass(frozen=True)
class Clip:
    """What is to be painted, on the host; height and width are multiples of 8."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    masks: np.ndarray  # (T, H, W) bool, True = hole, as grown as it shall be
    prior: np.ndarray  # (T, H, W, 3) uint8 RGB, a first guess of the holes

    def __post_init__(self) -> None:
        """Raises ValueError: the three do not fit each other."""
        count, height, width = self.frames.shape[:3]
        if not count or height % CELL or width % CELL:
            raise ValueError(f"frames are {self.frames.shape}; DiffuEraser takes (T >= 1, H, W, 3), H and W in eights")
        if self.masks.shape != (count, height, width) or self.masks.dtype != bool:
            raise ValueError(f"masks must be {(count, height, width)} bool, got {self.masks.shape} {self.masks.dtype}")
        if self.prior.shape != self.frames.shape:
            raise ValueError(f"the prior is {self.prior.shape} and the frames are {self.frames.shape}")


@dataclass(frozen=True)
class AnchorFrame:
    """One frame of the clip whose hole was filled by an image inpainter."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    index: int  # which frame it is


@dataclass
class Erased:
    """The painted clip, and what it cost."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB, as decoded; meaningful inside the holes
    seconds: dict[str, float]  # stage -> seconds; "all" is wall time with host work
    facts: dict[str, float]  # windows, pre-inferred frames, peak memory of the device in bytes


class DiffuEraser:
    """Networks on a device, ready for any number of clips.

    A first pass over evenly spread frames of a clip longer than two windows makes the windows agree ("pre-inference").
    Only a window's frames, or a batch of pictures, are on the device at a time.
    """

    def __init__(self, models: EraserModels, settings: EraserSettings, device: torch.device | str = "cpu") -> None:
        """models: on the device (on the CPU with settings.offload), in their final type; they belong to this object."""
        self.settings = settings
        self.device = torch.device(device)
        self.models = models
        self.dtype = next(models.unet.parameters()).dtype
        if self.device.type == "cuda":
            for network in (models.brushnet, models.unet, models.vae):
                _lay_out_for_cuda(network)
        self._offload = settings.offload and self.device.type == "cuda"
        self._graphs = CudaGraphs() if self.device.type == "cuda" and not self._offload else None
        self._graphs_shape: tuple[int, ...] = ()
        self.denoise = Denoiser(models.brushnet, models.unet, settings, self._graphs or run_directly)

    @torch.inference_mode()
    def __call__(
        self,
        clip: Clip,
        text: TextGuidance,
        draws: Draws,
        anchor: AnchorFrame | None = None,
        *,
        report: Callable[[float], None] = lambda _share: None,
        deliver: Callable[[np.ndarray], None] = lambda _frames: None,
    ) -> Erased:
        """Paint the holes of one clip.

        Args:
            text: encoded words and their guidance; moved to the networks' device and type here.
            draws: where random numbers come from.
            anchor: windows see it as one more frame (settings.anchor_scope), and it is the result's frame.
            report: called with the share done, 0..1.
            deliver: called with the result's frames (n, H, W, 3) in order, as soon as they are there.

        Raises:
            ValueError: an anchor does not fit beside the frames of a window.
        """
        if anchor and min(self.settings.nframes, len(clip.frames)) >= LONGEST_WINDOW:
            raise ValueError(f"nframes is {self.settings.nframes}; beside an anchor at most {LONGEST_WINDOW - 1} fit")
        started = time.perf_counter()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        run = _Run(self, clip, text, draws, anchor, report)
        frames = run.erase(deliver)
        return Erased(frames, run.seconds() | {"all": time.perf_counter() - started}, run.facts())

    @contextmanager
    def at_work(self, *modules: nn.Module) -> Iterator[None]:
        """With offloading, the modules are on the GPU only inside."""
        if not self._offload:
            yield
            return
        try:
            for module in modules:
                module.to(self.device)
            yield
        finally:
            for module in modules:
                module.to("cpu")
            torch.cuda.empty_cache()

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Clips of this shape follow: what was captured for another is of no use."""
        if self._graphs and shape != self._graphs_shape:
            self._graphs.forget()
            self._graphs_shape = shape


class _Run:
    """One clip on its way through the stages."""

    def __init__(
        self,
        eraser: DiffuEraser,
        clip: Clip,
        text: TextGuidance,
        draws: Draws,
        anchor: AnchorFrame | None,
        report: Callable[[float], None],
    ) -> None:
        self._eraser, self._clip, self._draws, self._anchor = eraser, clip, draws, anchor
        self._settings, self._device = eraser.settings, eraser.device
        self._text = _on_device(text, eraser.device, eraser.dtype)
        count, height, width = clip.frames.shape[:3]
        self._coder = ClipCoder(eraser.models.vae, eraser.settings, draws, (height, width), eraser.device, eraser.dtype)
        self._length = min(eraser.settings.nframes, count)
        self._windows = window_lists(count, self._length)
        self._sampled = pre_inference_indices(count, self._length)
        self._clock = Stopwatch(eraser.device)
        self._progress = _Progress(report, self._work())

    def erase(self, deliver: Callable[[np.ndarray], None]) -> np.ndarray:
        """(T, H, W, 3) uint8; the anchor's frame is the anchor's picture."""

        def hand_over(frames: np.ndarray, start: int, stop: int) -> None:
            if self._anchor and start <= self._anchor.index < stop:
                frames[self._anchor.index] = self._anchor.picture
            deliver(frames[start:stop])

        eraser = self._eraser
        eraser.prepare((self._length, *self._coder.shape))
        vae, networks = eraser.models.vae, (eraser.models.brushnet, eraser.models.unet)
        made: Mapping[int, torch.Tensor] = {}
        with eraser.at_work(vae), self._clock.stage("encode"):
            latents = self._coder.encode_prior(self._clip.prior, self._progress.add)
            anchor = self._encode_anchor()
            sampled = self._encode_conditioning("pre_conditioning", self._sampled, {}) if self._sampled else None
        if sampled:
            with eraser.at_work(*networks), self._clock.stage("pre-inference"):
                denoised = self._pre_infer(latents, sampled, anchor)
            with eraser.at_work(vae), self._clock.stage("decode"):
                made = dict(zip(self._sampled, self._coder.decode_images(denoised, self._count_decoded()), strict=True))
        with eraser.at_work(vae), self._clock.stage("encode"):
            cond = self._encode_conditioning("conditioning", range(len(self._clip.frames)), made)
        with eraser.at_work(*networks), self._clock.stage("denoise"):
            latents = self._denoise(self._noised(latents), cond, self._windows, anchor)
        with eraser.at_work(vae), self._clock.stage("decode"):
            return self._coder.decode(latents, self._count_decoded(), hand_over)

    def seconds(self) -> dict[str, float]:
        return self._clock.seconds()

    def facts(self) -> dict[str, float]:
        facts = {"windows": float(len(self._windows.even)), "pre_inference_frames": float(len(self._sampled))}
        if self._device.type == "cuda":
            facts["device_peak_bytes"] = float(torch.cuda.max_memory_reserved(self._device))
            facts["device_peak_allocated_bytes"] = float(torch.cuda.max_memory_allocated(self._device))
        return facts

    def _encode_anchor(self) -> AnchorLatents | None:
        if self._anchor is None:
            return None
        noise = self._draws.anchor(self._coder.shape)[None].to(self._device)
        latent = self._coder.encode_exactly(self._anchor.picture)
        return AnchorLatents(latent, noise, self._settings.anchor_scope == "main")

    def _encode_conditioning(
        self, purpose: PosteriorPurpose, indices: tuple[int, ...] | range, made: Mapping[int, torch.Tensor]
    ) -> LatentStore:
        clip = self._clip
        return self._coder.encode_conditioning(clip.frames, clip.masks, indices, purpose, made, self._progress.add)

    def _pre_infer(self, latents: LatentStore, cond: LatentStore, anchor: AnchorLatents | None) -> torch.Tensor:
        """Denoise the sampled frames as one window; they take the prior's place in `latents`: (n, 4, h, w)."""
        count = len(self._sampled)
        start = LatentStore.of(add_noise(latents.read_at(self._sampled), self._noise(range(count))), self._device)
        seen = anchor if self._settings.anchor_scope == "windows" else None
        made = self._denoise(start, cond, window_lists(count, count), seen).read(range(count))
        latents.write_at(self._sampled, made)
        return made

    def _noised(self, latents: LatentStore) -> LatentStore:
        """All latents at the level that denoising starts from."""
        noisy, fresh = latents.like(), self._settings.noise == "fresh"
        for start in range(0, len(latents), self._length):
            part = range(start, min(start + self._length, len(latents)))
            noise = self._noise(part if fresh else range(len(part)))
            noisy.write(start, add_noise(latents.read(part), noise))
        return noisy

    def _noise(self, indices: range) -> torch.Tensor:
        return torch.stack([self._draws.noise(index, self._coder.shape) for index in indices]).to(self._device)

    def _denoise(
        self, noisy: LatentStore, cond: LatentStore, windows: Windows, anchor: AnchorLatents | None
    ) -> LatentStore:
        def count_window() -> None:
            self._progress.add(WORK_OF_A_WINDOW)

        return self._eraser.denoise(noisy, cond, self._text, windows, anchor=anchor, on_window=count_window)

    def _count_decoded(self) -> Advance:
        return lambda pictures: self._progress.add(WORK_OF_DECODING * pictures)

    def _work(self) -> int:
        count, sampled, steps = len(self._clip.frames), len(self._sampled), self._settings.steps
        windows = sum(len(self._windows.of_step(step)) for step in range(steps)) + (steps if sampled else 0)
        return (2 + WORK_OF_DECODING) * count + (1 + WORK_OF_DECODING) * sampled + WORK_OF_A_WINDOW * windows


class _Progress:
    """Adds up work done and reports its share."""

    def __init__(self, report: Callable[[float], None], total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def add(self, work: int) -> None:
        self._done += work
        self._report(min(1.0, self._done / self._total))


def _lay_out_for_cuda(network: nn.Module) -> None:
    """Convolutions of channels-last maps want their weights so; otherwise each call would copy them."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _on_device(text: TextGuidance, device: torch.device, dtype: torch.dtype) -> TextGuidance:
    empty = None if text.empty is None else text.empty.to(device, dtype)
    return TextGuidance(text.positive.to(device, dtype), text.negative.to(device, dtype), text.scale, empty)
