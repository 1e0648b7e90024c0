"""Names and shapes that are worked out without networks."""

import json
from pathlib import Path

import pytest
import torch
from diffueraser_weights import TEXT_CONFIG, TINY, VAE_CONFIG
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from lib.diffueraser.brushnet import BrushNet
from lib.diffueraser.config import NetConfig
from lib.diffueraser.tensor_shapes import (
    LORA_PREFIX,
    brushnet_shapes,
    lora_shapes,
    lora_targets,
    text_encoder_shapes,
    unet_shapes,
    vae_shapes,
)
from lib.diffueraser.unet import MotionUNet

MANIFESTS = Path(__file__).parent / "manifests"
ODD = NetConfig(block_out_channels=(16, 32, 64), layers_per_block=1, norm_num_groups=8, cross_attention_dim=24, heads=2)


def manifest(name):
    content = json.loads((MANIFESTS / f"{name}.json").read_text())
    return {key: tuple(shape) if isinstance(shape, list) else shape for key, shape in content.items()}


def built(make, *args, **options):
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in make(*args, **options).state_dict().items()}


def test_published_files():
    assert brushnet_shapes(NetConfig()) == manifest("brushnet")
    assert unet_shapes(NetConfig()) == manifest("unet_main")


def test_published_lora():
    targets = lora_targets(unet_shapes(NetConfig()))
    assert {LORA_PREFIX + name.replace(".", "_"): name for name in targets} == manifest("pcm_lora_name_map")
    assert lora_shapes(targets) == manifest("pcm_lora_sd15_rank64")


@pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "odd"])
def test_other_sizes(config):
    assert brushnet_shapes(config) == built(BrushNet, config)
    assert unet_shapes(config) == built(MotionUNet, config)


def test_networks_of_other_libraries():
    fields = {name: value for name, value in VAE_CONFIG.items() if not name.startswith("_")}
    assert vae_shapes(VAE_CONFIG) == built(AutoencoderKL, **fields)
    full = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}
    types = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    assert vae_shapes(full) == built(AutoencoderKL, **full, **types)
    assert text_encoder_shapes(TEXT_CONFIG) == built(CLIPTextModel, CLIPTextConfig(**TEXT_CONFIG))
    painter = {"in_channels": 9, "cross_attention_dim": 768}
    assert unet_shapes(NetConfig(), 9, motion=False) == built(UNet2DConditionModel, **painter)
