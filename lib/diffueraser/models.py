"""The networks that paint."""

from dataclasses import dataclass

from lib.diffueraser.autoencoder import Autoencoder
from lib.diffueraser.brushnet import BrushNet
from lib.diffueraser.unet import MotionUNet


@dataclass(frozen=True)
class EraserModels:
    """DiffuEraser's networks, in eval mode and without gradients; the PCM LoRA is part of the UNet's weights."""

    brushnet: BrushNet
    unet: MotionUNet
    vae: Autoencoder
