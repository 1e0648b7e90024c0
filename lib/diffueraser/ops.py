"""The operations between matrix products, each in one place: plain torch, or one fused kernel on a GPU.

Feature maps are (n, C, h, w) in channels-last memory, so that `tokens` and `picture` copy nothing.
"""

import torch
import torch.nn.functional as F
from torch import nn

from lib.diffueraser.fused import fused_kernels


def tokens(x: torch.Tensor) -> torch.Tensor:
    """(n, C, h, w) -> (n, h*w, C), the same memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def picture(rows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(n, height*width, C) -> (n, C, height, width), the same memory."""
    return rows.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def group_norm(
    x: torch.Tensor, norm: nn.GroupNorm, *, frames: int = 1, shift: torch.Tensor | None = None, silu: bool = False
) -> torch.Tensor:
    """Group normalisation of (n, C, h, w), with what comes just before and behind it.

    Args:
        frames: so many neighbouring items share their statistics (Section 3.1 of AnimateDiff's motion module).
        shift: (r, C), added first; n is a multiple of r, each row serves n / r neighbouring items.
        silu: apply SiLU to the result.
    """
    if kernels := fused_kernels(x):
        return kernels.group_norm(x, norm, frames, shift, silu)
    if shift is not None:
        x = x + shift.repeat_interleave(len(x) // len(shift), 0)[:, :, None, None]
    count, channels, height, width = x.shape
    joint = x.view(-1, frames, channels, height * width).transpose(1, 2) if frames > 1 else x
    normed = F.group_norm(joint, norm.num_groups, norm.weight, norm.bias, norm.eps)
    if frames > 1:
        normed = normed.transpose(1, 2).reshape(count, channels, height, width)
    normed = normed.contiguous(memory_format=torch.channels_last)
    return F.silu(normed) if silu else normed


def layer_norm(x: torch.Tensor, norm: nn.LayerNorm, positions: torch.Tensor | None = None) -> torch.Tensor:
    """Layer normalisation of (n, S, C); `positions` (T, C): row i mod T is added to all of item i."""
    if kernels := fused_kernels(x):
        return kernels.layer_norm(x, norm, positions)
    normed = F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    if positions is None:
        return normed
    return (normed.unflatten(0, (-1, len(positions))) + positions[:, None]).flatten(0, 1)


def add_with_bias(x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """x + y + bias, for (n, C, h, w) and (C,)."""
    if kernels := fused_kernels(x):
        return kernels.add_with_bias(x, y, bias)
    return x + (y + bias[:, None, None])


def geglu(x: torch.Tensor) -> torch.Tensor:
    """(.., 2 C) -> (.., C): the first half times GELU of the second."""
    if kernels := fused_kernels(x):
        return kernels.geglu(x)
    value, gate = x.chunk(2, dim=-1)
    return value * F.gelu(gate)


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """Scaled dot-product attention of (n, S, C) to (n, K, C), in `heads` parts of the channels."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def temporal_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, frames: int
) -> torch.Tensor:
    """Attention over time alone: (B * frames, S, C), every one of the S places by itself."""
    if kernels := fused_kernels(query):
        return kernels.temporal_attention(query, key, value, heads, frames)
    batch, places = len(query) // frames, query.shape[1]
    q, k, v = (
        x.reshape(batch, frames, places, heads, -1).permute(0, 2, 3, 1, 4).flatten(0, 1) for x in (query, key, value)
    )
    mixed = F.scaled_dot_product_attention(q, k, v)  # (B * S, heads, T, d)
    return mixed.unflatten(0, (batch, places)).permute(0, 3, 1, 2, 4).reshape(query.shape)
