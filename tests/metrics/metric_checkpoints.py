"""Weight files of the metrics' networks with random numbers, in the published layouts."""

from pathlib import Path

import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from lib.metrics.networks.i3d import I3d
from lib.metrics.networks.lpips import LpipsParams
from lib.metrics.networks.weights import BACKBONE_FILE, HEADS_FILE

TINY_CHANNELS = (3, 4, 5, 4, 3)
_KERNELS = {"0": 11, "3": 5, "6": 3, "8": 3, "10": 3}


def write_lpips(folder: Path, params: LpipsParams | None = None) -> Path:
    """AlexNet as torchvision publishes it, classifier included, and the heads of LPIPS v0.1."""
    channels = (params or LpipsParams()).channels
    generator = torch.Generator().manual_seed(1)
    backbone = {"classifier.6.bias": torch.zeros(1000)}
    for (name, size), inner, outer in zip(_KERNELS.items(), (3, *channels), channels, strict=False):
        backbone[f"features.{name}.weight"] = 0.1 * torch.randn(outer, inner, size, size, generator=generator)
        backbone[f"features.{name}.bias"] = 0.1 * torch.randn(outer, generator=generator)
    heads = {
        f"lin{number}.model.1.weight": torch.rand(1, count, 1, 1, generator=generator)
        for number, count in enumerate(channels)
    }
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(backbone, folder / BACKBONE_FILE)
    torch.save(heads, folder / HEADS_FILE)
    return folder


def write_i3d(path: Path) -> Path:
    """`i3d_rgb_imagenet.pt` with its classifier."""
    torch.manual_seed(2)
    net = I3d()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight)  # otherwise hardly anything comes through
    tensors = dict(net.state_dict())
    tensors["logits.conv3d.weight"] = torch.zeros(400, 1024, 1, 1, 1)
    tensors["logits.conv3d.bias"] = torch.zeros(400)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, path)
    return path


def write_clip_model(folder: Path) -> Path:
    """A CLIP model's picture tower, very small."""
    torch.manual_seed(3)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=8,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder
