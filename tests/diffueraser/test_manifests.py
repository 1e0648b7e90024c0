"""Full-size modules have exactly the tensors of the published files."""

import json
from pathlib import Path

import pytest
import torch

from lib.diffueraser.brushnet import BrushNet
from lib.diffueraser.config import NetConfig
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
