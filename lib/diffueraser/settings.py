"""Options of the DiffuEraser sampler."""

from dataclasses import dataclass
from typing import Literal

LONGEST_WINDOW = 32  # positions that the motion modules know
PCM_STEPS = (2, 4, 8, 16)

CfgGate = Literal["exact", "reference"]
Blend = Literal["reference", "smooth"]
Posterior = Literal["sample", "mode"]
Noise = Literal["repeated", "fresh"]
PreInferenceFrames = Literal["8bit", "exact"]
LatentMask = Literal["nearest", "any"]
AnchorScope = Literal["windows", "main"]
Precision = Literal["fp16", "fp32"]


@dataclass(frozen=True)
class EraserSettings:
    """What decides a result besides clip, words and draws. The defaults are the published program's."""

    nframes: int = 22  # frames that the networks see at once
    steps: int = 2  # denoising steps; the PCM LoRA must be made for as many
    cfg_gate: CfgGate = "exact"  # "exact": 0 = no text, any scale counts; "reference": guidance only above 1
    blend: Blend = "reference"  # of neighbouring windows: "reference" replaces the last frame they share
    posterior: Posterior = "sample"  # what the VAE's encoder gives: a draw, or its most likely value
    noise: Noise = "repeated"  # "repeated": frames t and t + nframes start from the same noise
    pre_inference_frames: PreInferenceFrames = "8bit"  # how pre-denoised frames are handed on
    latent_mask: LatentMask = "nearest"  # a latent cell is hole if its first pixel is, or if any is
    anchor_scope: AnchorScope = "windows"  # which windows see the anchor: all, or the main run's first
    precision: Precision = "fp16"  # of the networks on CUDA; a CPU always works in fp32
    offload: bool = False  # keep on a small GPU only the networks that are at work

    def __post_init__(self) -> None:
        """Raises ValueError: an option is out of its range."""
        if not 1 <= self.nframes <= LONGEST_WINDOW:
            raise ValueError(f"nframes is {self.nframes}; give 1 to {LONGEST_WINDOW}")
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; give at least 1")
