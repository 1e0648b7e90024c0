"""Adding a LoRA to weights."""

import pytest
import torch
from torch import nn

from lib.diffueraser.lora import fuse_lora, lora_layers
from lib.errors import InputError


class Net(nn.Module):
    """A linear layer and a convolution whose path has an underscore of its own."""

    def __init__(self):
        super().__init__()
        self.to_out = nn.ModuleList([nn.Linear(6, 5)])
        self.conv_in = nn.Conv2d(3, 4, 3, bias=False)


def lora(alpha=None, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator).to(dtype)

    tensors = {
        "lora_unet_to_out_0.lora_down.weight": draw(2, 6),
        "lora_unet_to_out_0.lora_up.weight": draw(5, 2),
        "lora_unet_conv_in.lora_down.weight": draw(2, 3, 3, 3),
        "lora_unet_conv_in.lora_up.weight": draw(4, 2, 1, 1),
    }
    for name, value in (alpha or {}).items():
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(value, dtype=dtype)
    return tensors


def changes(tensors, dtype=torch.float32):
    net = Net().to(dtype)
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    fuse_lora(net, tensors)
    return {name: (parameter - before[name]).float() for name, parameter in net.named_parameters()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_each_module_has_its_own_factor(dtype):
    tensors = lora({"to_out_0": 8.0, "conv_in": 0.5}, dtype)
    parts = {name: tensor.float() for name, tensor in tensors.items()}
    changed = changes(tensors)
    linear = parts["lora_unet_to_out_0.lora_up.weight"] @ parts["lora_unet_to_out_0.lora_down.weight"]
    torch.testing.assert_close(changed["to_out.0.weight"], 4.0 * linear, atol=1e-5, rtol=0)
    up, down = (parts[f"lora_unet_conv_in.lora_{part}.weight"].flatten(1) for part in ("up", "down"))
    torch.testing.assert_close(changed["conv_in.weight"], 0.25 * (up @ down).reshape(4, 3, 3, 3), atol=1e-5, rtol=0)
    assert not changed["to_out.0.bias"].any()


def test_without_alpha_the_product_counts_as_it_is():
    missing, of_rank = changes(lora()), changes(lora({"to_out_0": 2.0, "conv_in": 2.0}))
    for name, change in missing.items():
        torch.testing.assert_close(change, of_rank[name], atol=1e-5, rtol=0)
    assert missing["conv_in.weight"].any()


def test_convolution_equals_running_the_lora_beside_it():
    net, tensors = Net(), lora({"conv_in": 3.0})
    image = torch.randn(1, 3, 8, 8)
    low = nn.functional.conv2d(image, tensors["lora_unet_conv_in.lora_down.weight"])
    beside = net.conv_in(image) + 1.5 * nn.functional.conv2d(low, tensors["lora_unet_conv_in.lora_up.weight"])
    fuse_lora(net, tensors)
    torch.testing.assert_close(net.conv_in(image), beside, atol=1e-4, rtol=0)


def test_weights_in_half_precision_are_changed_in_single():
    net = Net().half()
    expected = {name: weight.clone().float() for name, weight in net.state_dict().items()}
    layers = lora_layers(lora({"conv_in": 0.1}), {"to_out.0": (5, 6), "conv_in": (4, 3, 3, 3)})
    fuse_lora(net, lora({"conv_in": 0.1}))
    for module, layer in layers.items():
        exact = layer.added_to(expected[f"{module}.weight"])
        assert exact.dtype == torch.float32
        assert torch.equal(net.state_dict()[f"{module}.weight"], exact.half())


def test_every_tensor_must_be_used_or_nothing_changes():
    for stranger in ("lora_unet_conv_out.lora_up.weight", "lora_unet_conv_in.lora_mid.weight", "conv_in.alpha"):
        net = Net()
        before = net.conv_in.weight.clone()
        with pytest.raises(InputError, match=f"{stranger} belong to no module"):
            fuse_lora(net, lora() | {stranger: torch.zeros(4, 2)})
        assert torch.equal(net.conv_in.weight, before)
