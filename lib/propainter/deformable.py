"""Modulated deformable convolution (Zhu et al., "Deformable ConvNets v2", section 3.1), and the alignment built on it.

One `grid_sample` and one matrix product. Not torchvision's operator: it launches its kernels on CUDA's legacy stream,
so a CUDA graph does not record them and replays with whatever is in memory; without graphs it is the slower of the two.
"""

import torch
import torch.nn.functional as F
from torch import nn

from lib.propainter.layers import RoomyConv2d

GROUPS = 16  # offset groups of every alignment here
TAPS = 9
OFFSETS = 2 * GROUPS * TAPS  # channels, (row, column) of every tap interleaved


def deform_conv2d(
    x: torch.Tensor,
    offset: torch.Tensor,
    mask: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> torch.Tensor:
    """Convolve with taps that are moved by `offset` and weighted by `mask`; outside the picture is 0.

    Positions and interpolation are computed in the offset's type, the matrix product in the weight's.

    Args:
        x: (b, c, H, W).
        offset: (b, 2*groups*taps, h, w), pixels: (row, column) pairs, taps row by row, group by group of c.
        mask: (b, groups*taps, h, w).
        weight: (o, c, kh, kw). bias: (o,) or None.

    Returns:
        (b, o, h, w) of the weight's type.
    """
    columns = _sampled_columns(x, offset, mask, weight.shape[-2:], stride, padding, dilation)
    y = weight.flatten(1) @ columns.to(weight.dtype)
    y = y.unflatten(2, offset.shape[-2:])
    return y if bias is None else y + bias[:, None, None]


def _sampled_columns(
    x: torch.Tensor,
    offset: torch.Tensor,
    mask: torch.Tensor,
    kernel: torch.Size,
    stride: int,
    padding: int,
    dilation: int,
) -> torch.Tensor:
    """(b, c*taps, h*w): what every tap of every output pixel reads, times its mask."""
    batch, channels, height, width = x.shape
    taps = kernel[0] * kernel[1]
    groups = offset.shape[1] // (2 * taps)
    h, w = offset.shape[-2:]
    offset = offset.reshape(batch * groups, taps, 2, h, w)
    like = {"device": x.device, "dtype": offset.dtype}
    tap = torch.arange(taps, **like)
    rows = torch.arange(h, **like)[:, None] * stride - padding
    columns = torch.arange(w, **like) * stride - padding
    row = offset[:, :, 0] + (rows + torch.div(tap, kernel[1], rounding_mode="floor")[:, None, None] * dilation)
    column = offset[:, :, 1] + (columns + (tap % kernel[1])[:, None, None] * dilation)
    # Pixel i of n lies at (2i + 1) / n - 1, which also holds for pictures one pixel wide.
    grid = torch.stack(((2 * column + 1) / width - 1, (2 * row + 1) / height - 1), dim=-1).flatten(1, 2)
    source = x.reshape(batch * groups, channels // groups, height, width).to(offset.dtype)
    sampled = F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    sampled = sampled.reshape(batch, groups, channels // groups, taps, h * w)
    sampled = sampled * mask.reshape(batch, groups, 1, taps, h * w)
    return sampled.reshape(batch, channels * taps, h * w)


class DeformableAlignment(nn.Module):
    """A 3x3 deformable convolution whose offsets and mask a small network reads off a condition.

    Keys: weight, bias, conv_offset.{0,2,4,6}.
    """

    def __init__(self, channels: int, condition_channels: int, out_channels: int, largest_offset: float) -> None:
        """largest_offset: pixels that the network may add to a tap's position."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        layers: list[nn.Module] = []
        for width in (condition_channels, out_channels, out_channels):
            layers += [RoomyConv2d(width, out_channels, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)]
        self.conv_offset = nn.Sequential(*layers, nn.Conv2d(out_channels, OFFSETS + GROUPS * TAPS, 3, padding=1))
        self.largest_offset = largest_offset
        self.exact_positions = True  # False: positions in the network's own type, as the published code computes them

    def forward(self, x: torch.Tensor, condition: torch.Tensor, flow: torch.Tensor | None = None) -> torch.Tensor:
        """Align `x` (b, c, h, w) as `condition` (b, cc, h, w) says; `flow` (b, 2, h, w) is added to all taps."""
        offset, mask = self.conv_offset(condition).split((OFFSETS, GROUPS * TAPS), dim=1)
        if self.exact_positions:
            offset = offset.float()
        offset = self.largest_offset * torch.tanh(offset)
        if flow is not None:
            row_and_column = flow.flip(1).to(offset.dtype)
            offset = offset + row_and_column.repeat(1, OFFSETS // 2, 1, 1)
        return deform_conv2d(x, offset, torch.sigmoid(mask), self.weight, self.bias)
