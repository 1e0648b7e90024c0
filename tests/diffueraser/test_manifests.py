"""Full-size modules have exactly the tensors of the published files."""

import json
from pathlib import Path

import pytest
import torch

from lib.diffueraser.brushnet import BrushNet
from lib.diffueraser.config import NetConfig
from lib.diffueraser.lora_names import match_lora
from lib.diffueraser.unet import MotionUNet

MANIFESTS = Path(__file__).parent / "manifests"


def manifest(name):
    return json.loads((MANIFESTS / f"{name}.json").read_text())


@pytest.mark.parametrize(("net", "name", "count"), [(BrushNet, "brushnet", 738), (MotionUNet, "unet_main", 1253)])
def test_keys_and_shapes_are_the_published_ones(net, name, count):
    with torch.device("meta"):
        module = net(NetConfig())
    shapes = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
    assert shapes == manifest(name)
    assert len(shapes) == count


@pytest.mark.parametrize("name", ["brushnet", "unet_main"])
def test_published_configs_are_the_defaults(name):
    assert NetConfig.from_published(manifest(f"expected_config_{name}")) == NetConfig()


def test_the_published_lora_changes_exactly_these_modules():
    with torch.device("meta"):
        unet = MotionUNet(NetConfig())
    layers = {
        path: module for path, module in unet.named_modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }
    targets = {path: tuple(layer.weight.shape) for path, layer in layers.items()}
    published = {key: tuple(shape) for key, shape in manifest("pcm_lora_sd15_rank64").items()}
    found = {names.down.removesuffix(".lora_down.weight"): names.module for names in match_lora(published, targets)}
    assert found == manifest("pcm_lora_name_map")
    assert len(found) == 278
    assert not [module for module in found.values() if "motion_modules" in module]
