"""Small building blocks that the completion network and the generator share."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

FAST_CHANNELS = (
    8  # tensor cores need a multiple of this many half-precision channels; other counts are several times slower
)


def fast_layout(x: torch.Tensor) -> torch.Tensor:
    """(n, c, h, w) in the memory layout that convolutions want: channels last on CUDA, unchanged elsewhere.

    Joining or adding tensors of different layouts costs a copy in front of every convolution behind it.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.is_cuda else x


def concatenate(*parts: torch.Tensor) -> torch.Tensor:
    """Join (n, c, h, w) along the channels; on CUDA zeros are appended up to a fast number of channels."""
    first = parts[0]
    missing = -sum(part.shape[1] for part in parts) % FAST_CHANNELS if first.is_cuda else 0
    if missing:
        parts = (*parts, first.new_zeros(len(first), missing, *first.shape[2:]))
    return torch.cat(parts, dim=1)


class RoomyConv2d(nn.Conv2d):
    """A convolution that ignores channels behind its own (see `concatenate`)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, input.shape[1] - self.in_channels))
        return F.conv2d(input, weight, self.bias, self.stride, self.padding)


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
