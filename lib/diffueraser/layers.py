"""Layers of Stable Diffusion's networks, with the published names of their parameters.

Feature maps are (n, C, h, w) in channels-last memory; rows are (n, S, C) with S = h * w.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lib.diffueraser.ops import add_with_bias, attention, geglu, group_norm, layer_norm, picture, tokens

Modules = Any  # an nn.ModuleList, which does not tell the types of its items


class TimeEmbedding(nn.Module):
    """Sinusoids of a timestep through two layers. Keys: linear_1, linear_2."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear_1 = nn.Linear(channels, embedding)
        self.linear_2 = nn.Linear(embedding, embedding)

    def forward(self, timestep: torch.Tensor | int) -> torch.Tensor:
        """One timestep, 0..999 -> (1, embedding). The sinusoids are float32, cosines first."""
        weight = self.linear_1.weight
        half = self.channels // 2
        places = torch.arange(half, dtype=torch.float32, device=weight.device)
        frequencies = torch.exp(-math.log(1e4) / half * places)
        angles = torch.as_tensor(timestep, device=weight.device).reshape(1, 1) * frequencies
        sinusoids = torch.cat([angles.cos(), angles.sin()], dim=1)
        return self.linear_2(F.silu(self.linear_1(sinusoids.to(weight.dtype))))


class ResnetBlock(nn.Module):
    """Norm, SiLU, conv; time; norm, SiLU, conv; plus the input."""

    def __init__(
        self, in_channels: int, out_channels: int, groups: int, eps: float, time_channels: int | None = None
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_channels, out_channels) if time_channels else None
        self.norm2 = nn.GroupNorm(groups, out_channels, eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x: torch.Tensor, temb: torch.Tensor | None = None) -> torch.Tensor:
        """temb: (r, ..), each row for n / r neighbouring items."""
        shift = _bias(self.conv1)[None]
        if self.time_emb_proj is not None and temb is not None:
            shift = shift + self.time_emb_proj(F.silu(temb))
        hidden = _without_bias(self.conv1, group_norm(x, self.norm1, silu=True))
        hidden = _without_bias(self.conv2, group_norm(hidden, self.norm2, shift=shift, silu=True))
        if self.conv_shortcut is not None:
            x = picture(pointwise(self.conv_shortcut, tokens(x)), *x.shape[2:])
        return add_with_bias(x, hidden, _bias(self.conv2))


class Attention(nn.Module):
    """Attention of rows to themselves or to a text. Keys: to_q, to_k, to_v, to_out.0."""

    def __init__(self, channels: int, heads: int, context: int | None = None, *, bias: bool = False) -> None:
        """context: width of the rows that are attended to, the channels unless given."""
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=bias)
        self.to_k = nn.Linear(context or channels, channels, bias=bias)
        self.to_v = nn.Linear(context or channels, channels, bias=bias)
        self.to_out: Modules = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, rows: torch.Tensor, text: torch.Tensor | None = None) -> torch.Tensor:
        """(n, S, C) to itself, item by item, or to text (r, 77, D), of which each row serves n / r neighbours."""
        if text is None:
            mixed = attention(self.to_q(rows), self.to_k(rows), self.to_v(rows), self.heads)
        else:
            query = self.to_q(rows).reshape(len(text), -1, rows.shape[-1])
            mixed = attention(query, self.to_k(text), self.to_v(text), self.heads).reshape(rows.shape)
        return self.to_out[0](mixed)


class _GateProjection(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * hidden)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return geglu(self.proj(rows))


class FeedForward(nn.Module):
    """Two linear layers with a gated GELU between them. Keys: net.0.proj, net.2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.net = nn.Sequential(_GateProjection(channels, hidden), nn.Identity(), nn.Linear(hidden, channels))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.net(rows)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, feed-forward. Keys: norm1..3, attn1, attn2, ff."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads, context)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, rows: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        rows = rows + self.attn1(layer_norm(rows, self.norm1))
        rows = rows + self.attn2(layer_norm(rows, self.norm2), text)
        return rows + self.ff(layer_norm(rows, self.norm3))


class SpatialTransformer(nn.Module):
    """Attention of every frame to itself and to the text. Keys: norm, proj_in, transformer_blocks.0, proj_out."""

    def __init__(self, channels: int, heads: int, context: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, heads, context)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        rows = pointwise(self.proj_in, tokens(group_norm(x, self.norm)))
        for block in self.transformer_blocks:
            rows = block(rows, text)
        return x + picture(pointwise(self.proj_out, rows), *x.shape[2:])


class Downsample(nn.Module):
    """Halves the size. Keys: conv."""

    def __init__(self, channels: int, *, symmetric: bool = True) -> None:
        """symmetric: the border is padded on all sides, else only below and to the right (the autoencoder)."""
        super().__init__()
        self.symmetric = symmetric
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1 if symmetric else 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x if self.symmetric else F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest neighbours, then a convolution. Keys: conv."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        """size: (h, w) of the result, twice the input's unless given."""
        return self.conv(F.interpolate(x, size=size or (2 * x.shape[2], 2 * x.shape[3]), mode="nearest"))


def pointwise(conv: nn.Conv2d, rows: torch.Tensor) -> torch.Tensor:
    """A 1x1 convolution of (n, S, C)."""
    return F.linear(rows, conv.weight.flatten(1), conv.bias)


def _without_bias(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """A convolution whose bias is added with what follows: by itself it would cost a pass over the map on a GPU."""
    return F.conv2d(x, conv.weight, None, conv.stride, conv.padding)


def _bias(conv: nn.Conv2d) -> torch.Tensor:
    bias = conv.bias
    if bias is None:
        raise ValueError("a resnet's convolutions have biases")
    return bias
