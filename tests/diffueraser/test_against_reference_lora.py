"""A LoRA fused into the UNet's weights."""

import pytest
import torch
from eraser_goldens import Golden, each_golden
from hashed_weights import fill, weight

from lib.diffueraser.lora import fuse_lora
from lib.diffueraser.unet import MotionUNet


@each_golden("lora")
def test_predicted_noise_with_and_without(golden_path):
    golden = Golden(golden_path)
    meta = golden.meta
    unet = fill(MotionUNet(golden.config), meta["weight_seed"])
    text = golden.tensor("encoder_hidden_states")
    assert len(text) == meta["batch"]

    def predict():
        return unet(golden.tensor("sample"), meta["timestep"], text, meta["num_frames"])

    base = predict()
    fuse_lora(unet, lora_tensors(meta))
    golden.check_all({"base": base, "out": predict()})


def lora_tensors(meta):
    """In kohya's naming; stored factors agree with what is said of them."""
    tensors = {}
    for key, shape in meta["lora_shapes"].items():
        values = weight(key, tuple(shape), meta["lora_seed"])
        tensors[key] = torch.tensor(meta["alpha"]) if values is None else torch.from_numpy(values)
    ranks = {tensor.shape[0] for key, tensor in tensors.items() if key.endswith("lora_down.weight")}
    assert ranks == {meta["rank"]}
    assert meta["scaling"] == pytest.approx([meta["alpha"] / meta["rank"]])
    return tensors
