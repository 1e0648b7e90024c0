"""How far DiffuEraser's results differ between precisions and between devices."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from eraser_cost import CUDA_CASES, Case, clip_with_prior, erase, load

from lib.removers.gpu import torch_device

AGREEMENT_CASE = Case(50, 96, 64)


def compare_precisions(weights: Path) -> dict[str, float]:
    """How far fp16 is from full float32, in gray levels inside the hole, on the wide case."""
    case = CUDA_CASES["wide"]
    clip, results = clip_with_prior(case), {}
    for precision in ("fp32", "fp16"):
        torch.backends.cudnn.allow_tf32 = False
        eraser, encoder = load(weights, precision)
        results[precision] = erase(eraser, encoder, clip, case.guidance).frames.astype(int)
        del eraser, encoder
    difference = np.abs(results["fp16"] - results["fp32"])[clip.masks]
    return {
        "fp16: mean": float(difference.mean()),
        "fp16: 99 %": float(np.quantile(difference, 0.99)),
        "fp32: standard deviation": float(results["fp32"][clip.masks].std()),
    }


def compare_devices() -> dict[str, float]:
    """How far this device's result is from the CPU's with tiny networks, both in float32; graphs are replayed."""
    from diffueraser_weights import weight_paths, write_diffueraser_weights

    from lib.diffueraser.checkpoints import load_eraser_models, load_text_encoder
    from lib.diffueraser.pipeline import DiffuEraser
    from lib.diffueraser.settings import EraserSettings

    torch.backends.cudnn.allow_tf32 = False
    clip, settings, results = clip_with_prior(AGREEMENT_CASE), EraserSettings(precision="fp32"), []
    with tempfile.TemporaryDirectory() as folder:
        paths = weight_paths(write_diffueraser_weights(Path(folder)))
        for device in ("cpu", torch_device()):
            encoder = load_text_encoder(paths, device, torch.float32)
            eraser = DiffuEraser(load_eraser_models(paths, device, torch.float32), settings, device)
            results += [
                erase(eraser, encoder, clip, 2.0).frames.astype(int) for _ in range(1 if device == "cpu" else 2)
            ]
    differences = [np.abs(result - results[0]) for result in results[1:]]
    return {
        "differing share": float(max((difference > 0).mean() for difference in differences)),
        "largest difference": float(max(difference.max() for difference in differences)),
    }
