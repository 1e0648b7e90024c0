"""AnimateDiff's motion module: every place of the picture attends to itself at other times (Guo et al. 2023, 4.2)."""

import math

import torch
from torch import nn

from lib.diffueraser.layers import Attention, FeedForward
from lib.diffueraser.ops import group_norm, layer_norm, picture, temporal_attention, tokens


class MotionModule(nn.Module):
    """Keys: norm, proj_in, transformer_blocks.0, proj_out."""

    def __init__(self, channels: int, heads: int = 8, norm_num_groups: int = 32, max_length: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_num_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([_TemporalBlock(channels, heads, max_length)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, num_frames: int) -> torch.Tensor:
        """(B * T, C, h, w) -> the same, each group of T = num_frames neighbouring items mixed over time.

        Raises:
            ValueError: T is more than the module has positions for.
        """
        rows = self.proj_in(tokens(group_norm(x, self.norm, frames=num_frames)))
        for block in self.transformer_blocks:
            rows = block(rows, num_frames)
        return x + picture(self.proj_out(rows), *x.shape[2:])


class Positions(nn.Module):
    """A sinusoid for each position in time. Keys: pe (1, max_length, C), which a file need not hold."""

    def __init__(self, channels: int, max_length: int) -> None:
        super().__init__()
        self.pe: torch.Tensor
        self.register_buffer("pe", position_table(channels, max_length))


class _TemporalBlock(nn.Module):
    """Keys: norm1..3, attn1, attn2, ff, pos_embed."""

    def __init__(self, channels: int, heads: int, max_length: int) -> None:
        super().__init__()
        self.pos_embed = Positions(channels, max_length)
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, rows: torch.Tensor, num_frames: int) -> torch.Tensor:
        known = self.pos_embed.pe
        if num_frames > known.shape[1]:
            raise ValueError(f"{num_frames} frames at a time; the motion modules know {known.shape[1]} positions")
        positions = known[0, :num_frames].to(rows.dtype)
        # Positions count in both attentions, each time behind the norm.
        rows = rows + _over_time(self.attn1, layer_norm(rows, self.norm1, positions), num_frames)
        rows = rows + _over_time(self.attn2, layer_norm(rows, self.norm2, positions), num_frames)
        return rows + self.ff(layer_norm(rows, self.norm3))


def position_table(channels: int, max_length: int) -> torch.Tensor:
    """(1, max_length, channels): sines at even channels, cosines at odd ones (Vaswani et al. 2017, 3.5).

    On the CPU whatever the default device: the table is not a weight, and is needed where weights have no memory yet.
    """
    place = torch.arange(max_length, device="cpu")[:, None]
    angles = place * torch.exp(torch.arange(0, channels, 2, device="cpu") * (-math.log(1e4) / channels))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[None]


def _over_time(module: Attention, rows: torch.Tensor, num_frames: int) -> torch.Tensor:
    query, key, value = module.to_q(rows), module.to_k(rows), module.to_v(rows)
    return module.to_out[0](temporal_attention(query, key, value, module.heads, num_frames))
