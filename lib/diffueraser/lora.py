"""Low-rank changes of weights (Hu et al. 2021), added to the weights once instead of being run beside them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from lib.diffueraser.lora_names import match_lora


@dataclass(frozen=True)
class LoraLayer:
    """The change of one module's weight.

    down: (r, inputs ..) and up: (outputs, r ..); the change is scale * up @ down.
    """

    down: torch.Tensor
    up: torch.Tensor
    scale: float

    def added_to(self, weight: torch.Tensor) -> torch.Tensor:
        """The changed weight in float32, computed where `weight` is."""
        up, down = (part.to(weight.device, torch.float32).flatten(1) for part in (self.up, self.down))
        base = weight.float().flatten(1)
        return torch.addmm(base, up, down, alpha=self.scale).reshape(weight.shape)


def lora_layers(tensors: Mapping[str, torch.Tensor], targets: Mapping[str, tuple[int, ...]]) -> dict[str, LoraLayer]:
    """The layers of a LoRA in kohya's naming, by the path of the module that each changes.

    Args:
        tensors: the file's; `alpha` of a module scales its change by alpha / r, without one it counts as it is.
        targets: paths of the modules that could be meant, and shapes of their weights.

    Raises:
        InputError: a tensor belongs to no module, or does not fit its weight.
    """
    layers = {}
    for names in match_lora({name: tuple(tensor.shape) for name, tensor in tensors.items()}, targets):
        down, up = tensors[names.down], tensors[names.up]
        scale = float(tensors[names.alpha]) / len(down) if names.alpha else 1.0
        layers[names.module] = LoraLayer(down, up, scale)
    return layers


@torch.no_grad()
def fuse_lora(net: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Add a LoRA to the weights of `net`, in float32 whatever their type.

    Args:
        tensors: the file's, by name.

    Raises:
        InputError: a tensor belongs to no module of `net`, or does not fit its weight; nothing is changed then.
    """
    modules = {path: module for path, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    targets = {path: tuple(module.weight.shape) for path, module in modules.items()}
    for path, layer in lora_layers(tensors, targets).items():
        weight = modules[path].weight
        weight.copy_(layer.added_to(weight))
