"""What DiffuEraser costs: its cases, and time, memory and operations of one, with random networks from files."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clips import moving_clip

from lib.removers.gpu import torch_device

GIB = 2**30
WARM_UPS = 2
PEAK_FLOPS = 989e12  # of an H100 in half precision, dense


@dataclass(frozen=True)
class Case:
    """One clip, its guidance, and what the published code needs for it."""

    frames: int
    width: int
    height: int
    guidance: float = 0.0
    reference_seconds: float | None = None  # of the published code on an H100 80GB
    reference_gib: float | None = None  # allocated
    most_seconds: float | None = None  # bars of this project on that GPU


CUDA_CASES = {
    "wide": Case(60, 720, 360, 0.0, 9.7, 8.1, 3.7),
    "wide, guided": Case(60, 720, 360, 2.0, 12.0, 10.5, 5.0),
    "small": Case(60, 432, 240, 0.0, 5.2, 6.5),
    "long": Case(250, 640, 360, 0.0, 31.9, 8.7, 11.0),
}
CPU_CASES = {"cpu": Case(30, 64, 48)}


@dataclass(frozen=True)
class Row:
    """One measurement."""

    case: str
    frames: int
    seconds: float
    first_seconds: float
    host_share: float
    mfu: float
    allocated_gib: float
    reserved_gib: float
    stages: dict[str, float]


def clip_with_prior(case: Case, seed: int = 0) -> Any:
    """A clip with a moving object, and as prior the same with noise in the hole."""
    from lib.diffueraser.pipeline import Clip

    frames, masks = moving_clip(case.frames, case.height, case.width, seed)
    rng = np.random.default_rng(seed)
    prior = frames.copy()
    for frame, mask in zip(prior, masks, strict=True):
        frame[mask] = frame[mask] // 2 + rng.integers(0, 100, (int(mask.sum()), 3), np.uint8)
    return Clip(frames, masks, prior)


def load(weights: Path, precision: str = "fp16") -> tuple[Any, Any]:
    """DiffuEraser and its text encoder from files, as the engine loads them."""
    from diffueraser_weights import weight_paths

    from lib.diffueraser.checkpoints import load_eraser_models, load_text_encoder
    from lib.diffueraser.pipeline import DiffuEraser
    from lib.diffueraser.settings import EraserSettings

    device = torch_device()
    dtype = torch.float16 if precision == "fp16" and device.type == "cuda" else torch.float32
    paths = weight_paths(weights)
    models = load_eraser_models(paths, device, dtype)
    settings = EraserSettings(precision="fp16" if dtype == torch.float16 else "fp32")
    return DiffuEraser(models, settings, device), load_text_encoder(paths, device, dtype)


def erase(eraser: Any, encoder: Any, clip: Any, guidance: float) -> Any:
    from lib.diffueraser.draws import SeededDraws
    from lib.diffueraser.guidance import TextGuidance

    texts = [encoder.encode(text) for text in ("a park with trees", "blurry, text", "")]
    return eraser(clip, TextGuidance(texts[0], texts[1], guidance, texts[2]), SeededDraws(42, "benchmark"))


def measure(name: str, case: Case, weights: Path, warm_ups: int = WARM_UPS) -> Row:
    """Time a case in this process."""
    eraser, encoder = load(weights)
    clip, seconds = clip_with_prior(case), []

    def call() -> Any:
        return erase(eraser, encoder, clip, case.guidance)

    for _ in range(warm_ups):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    result = call()
    seconds.append(time.perf_counter() - started)
    allocated, reserved = (
        result.facts.get(f"device_peak_{kind}bytes", float("nan")) / GIB for kind in ("allocated_", "")
    )
    stages = {stage: value for stage, value in result.seconds.items() if stage != "all"}
    cuda = torch_device().type == "cuda" and warm_ups
    host_share = 1 - gpu_seconds(call) / seconds[-1] if cuda else float("nan")
    mfu = flops(case, eraser) / seconds[-1] / PEAK_FLOPS if cuda else float("nan")
    return Row(name, case.frames, seconds[-1], seconds[0], host_share, mfu, allocated, reserved, stages)


def gpu_seconds(call: Callable[[], Any]) -> float:
    """How long the GPU's kernels and copies of one call take together; they run one after another."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6


def flops(case: Case, eraser: Any) -> float:
    """Useful floating-point operations of a case: windows, and pictures through the autoencoder."""
    from torch.utils.flop_counter import FlopCounterMode

    from lib.diffueraser.autoencoder import Autoencoder
    from lib.diffueraser.brushnet import BrushNet
    from lib.diffueraser.denoise import Networks
    from lib.diffueraser.unet import MotionUNet
    from lib.diffueraser.windows import pre_inference_indices, window_lists

    length, rows = eraser.settings.nframes, 2 if case.guidance > 1 else 1
    height, width = case.height // 8, case.width // 8
    with torch.device("meta"), torch.inference_mode():
        brushnet, unet = BrushNet(eraser.models.brushnet.config), MotionUNet(eraser.models.unet.config)
        networks = Networks(brushnet.to("meta"), unet.to("meta"))  # tables that are computed lie elsewhere
        vae = Autoencoder(eraser.models.vae.config)
        sample, cond = torch.empty(rows * length, 4, height, width), torch.empty(rows * length, 5, height, width)
        text = torch.empty(rows, 77, eraser.models.unet.config.cross_attention_dim)
        with FlopCounterMode(display=False) as window:
            networks.predict(sample, cond, text, torch.empty(1), length)
        with FlopCounterMode(display=False) as encoding:
            vae.moments(torch.empty(1, 3, case.height, case.width))
        with FlopCounterMode(display=False) as decoding:
            vae.decode(torch.empty(1, 4, height, width))
    windows, sampled = window_lists(case.frames, length), len(pre_inference_indices(case.frames, length))
    steps = eraser.settings.steps
    passes = sum(len(windows.of_step(step)) for step in range(steps)) + (steps if sampled else 0)
    encoded, decoded = 2 * case.frames + sampled, case.frames + sampled
    return (
        passes * window.get_total_flops() + encoded * encoding.get_total_flops() + decoded * decoding.get_total_flops()
    )
