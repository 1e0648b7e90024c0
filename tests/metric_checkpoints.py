"""Weight files of the metrics' networks with random numbers, in the published layouts."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel

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
    """`i3d_rgb_imagenet.pt` with its classifier, as the torch of its days wrote it: no zip, no counts of batches."""
    generator = torch.Generator().manual_seed(2)
    tensors: dict[str, torch.Tensor] = {}
    for key, empty in I3d().state_dict().items():
        if key.endswith("conv3d.weight"):
            inputs = empty[0].numel()
            tensors[key] = torch.randn(empty.shape, generator=generator) * (2 / inputs) ** 0.5  # lets signals through
        elif key.endswith(("bn.bias", "running_mean")):
            tensors[key] = 0.2 * torch.randn(empty.shape, generator=generator)
        elif not key.endswith("num_batches_tracked"):
            tensors[key] = 0.5 + torch.rand(empty.shape, generator=generator)
    tensors["logits.conv3d.weight"] = torch.zeros(400, 1024, 1, 1, 1)
    tensors["logits.conv3d.bias"] = torch.zeros(400)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    return path


_CLIP = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "projection_dim": 8,
}


def write_clip_model(folder: Path) -> Path:
    """A CLIP model as it is published, with both towers, very small; in half precision."""
    torch.manual_seed(3)
    config = CLIPConfig(
        text_config={**_CLIP, "vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1},
        vision_config={**_CLIP, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).half().save_pretrained(folder)
    return folder


def write_text_model(folder: Path) -> Path:
    """Another part of CLIP: what pipelines call their text encoder."""
    config = CLIPTextConfig(**_CLIP, vocab_size=50, bos_token_id=0, eos_token_id=1, max_position_embeddings=50)
    CLIPTextModel(config).save_pretrained(folder)
    return folder
