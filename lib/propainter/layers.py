"""Small building blocks that the completion network and the generator share."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


class UpsampledConv(nn.Module):
    """Bilinear doubling of both sides, then a 3x3 convolution. Keys: conv."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


def leaky_relu(slope: float = 0.2) -> nn.LeakyReLU:
    return nn.LeakyReLU(slope, inplace=True)


def in_batches(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, size: int) -> torch.Tensor:
    """`function(x)` for a function that treats every item of the first axis alone, `size` items at a time.

    What the function needs on the way then does not grow with the number of items.
    """
    if len(x) <= size:
        return function(x)
    first = function(x[:size])
    whole = first.new_empty(len(x), *first.shape[1:])
    whole[:size] = first
    for start in range(size, len(x), size):
        whole[start : start + size] = function(x[start : start + size])
    return whole
