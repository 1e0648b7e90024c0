"""Random networks of DiffuEraser at the published sizes, in the published layout, for benchmarks."""

from pathlib import Path

import numpy as np
import torch
from diffueraser_weights import (
    INPAINTING_UNET_CONFIG,
    TEXT_CONFIG,
    VAE_CONFIG,
    write_diffueraser_weights,
    write_lora,
    write_net,
)

from lib.diffueraser.config import NetConfig
from lib.diffueraser.tensor_shapes import (
    Shapes,
    brushnet_shapes,
    lora_shapes,
    lora_targets,
    text_encoder_shapes,
    unet_shapes,
    vae_shapes,
)
from lib.removers.gpu import torch_device

SIZES = NetConfig()
CONFIG = {
    "block_out_channels": list(SIZES.block_out_channels),
    "layers_per_block": SIZES.layers_per_block,
    "norm_num_groups": SIZES.norm_num_groups,
    "cross_attention_dim": SIZES.cross_attention_dim,
    "attention_head_dim": SIZES.heads,
    "motion_num_attention_heads": SIZES.motion_heads,
    "motion_max_seq_length": SIZES.motion_max_seq_length,
}
VAE = VAE_CONFIG | {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32}
TEXT = TEXT_CONFIG | {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}


def write_full_weights(folder: Path) -> None:
    """Float32 files of all networks; the tokenizer is the tests' small one."""
    write_diffueraser_weights(folder)
    write_net(folder / "diffuEraser" / "brushnet", CONFIG, random_tensors(brushnet_shapes(SIZES)))
    write_net(folder / "diffuEraser" / "unet_main", CONFIG, random_tensors(unet_shapes(SIZES)))
    write_net(folder / "sd-vae-ft-mse", VAE, random_tensors(vae_shapes(VAE)))
    text = random_tensors({f"text_model.{name}": shape for name, shape in text_encoder_shapes(TEXT).items()})
    write_net(folder / "stable-diffusion-v1-5" / "text_encoder", TEXT, text, "model.safetensors")
    lora = random_tensors(lora_shapes(lora_targets(unet_shapes(SIZES)), 64))
    lora = {name: value.half() if value.dim() else torch.tensor(8.0).half() for name, value in lora.items()}
    write_lora(folder / "PCM_Weights", 2, lora)


def write_full_inpainting(folder: Path) -> None:
    """The inpainting model's networks, float32, in the folder that `write_full_weights` made."""
    model, config = folder / "stable-diffusion-inpainting", INPAINTING_UNET_CONFIG | CONFIG
    write_net(model / "unet", config, random_tensors(unet_shapes(SIZES, 9, motion=False)))
    write_net(model / "vae", VAE, random_tensors(vae_shapes(VAE)))
    text = random_tensors({f"text_model.{name}": shape for name, shape in text_encoder_shapes(TEXT).items()})
    write_net(model / "text_encoder", TEXT, text, "model.safetensors")


def random_tensors(shapes: Shapes) -> dict[str, torch.Tensor]:
    """Matrices that keep the size of what passes, norms of about 1, no bias; without tables of positions."""
    device = torch_device()
    generator = torch.Generator(device).manual_seed(0)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith(".pe"):
            continue
        value = torch.zeros(tuple(shape), device=device)
        if len(shape) > 1:
            value.normal_(0, float(np.prod(shape[1:])) ** -0.5, generator=generator)
        elif name.endswith("weight"):
            value.fill_(1)
        tensors[name] = value.cpu()
    return tensors
