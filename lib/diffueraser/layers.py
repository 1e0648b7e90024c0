"""What one layer of a block computes with the parameters of diffusers' containers."""

import torch
import torch.nn.functional as F
from torch import nn

from lib.diffueraser.blocks import Container
from lib.diffueraser.ops import add_with_bias, attention, geglu, group_norm, layer_norm, picture, tokens


def embed_time(
    sinusoids: Container, embedding: Container, timestep: torch.Tensor | int, like: torch.Tensor
) -> torch.Tensor:
    """The time embedding of one timestep: (1, 4 * first channels)."""
    step = torch.as_tensor(timestep, device=like.device).reshape(1)
    return embedding(sinusoids(step).to(like.dtype))  # the sinusoids themselves are float32


def pointwise(conv: nn.Conv2d, rows: torch.Tensor) -> torch.Tensor:
    """A 1x1 convolution of (n, S, C)."""
    return F.linear(rows, conv.weight.flatten(1), conv.bias)


def resnet(block: Container, x: torch.Tensor, temb: torch.Tensor | None = None) -> torch.Tensor:
    """Norm, SiLU, conv; time; norm, SiLU, conv; plus the input. temb: (r, ..), each row for n / r neighbours."""
    shift = block.conv1.bias[None]
    if temb is not None:
        shift = shift + block.time_emb_proj(F.silu(temb))
    hidden = _unbiased(block.conv1, group_norm(x, block.norm1, silu=True))
    hidden = _unbiased(block.conv2, group_norm(hidden, block.norm2, shift=shift, silu=True))
    if block.conv_shortcut is not None:
        x = picture(pointwise(block.conv_shortcut, tokens(x)), *x.shape[2:])
    return add_with_bias(x, hidden, block.conv2.bias)


def _unbiased(conv: Container, x: torch.Tensor) -> torch.Tensor:
    """A convolution whose bias is added with what follows: by itself it would cost a pass over the map on a GPU."""
    return F.conv2d(x, conv.weight, None, conv.stride, conv.padding)


def self_attention(module: Container, rows: torch.Tensor) -> torch.Tensor:
    """(n, S, C), every item by itself."""
    query, key, value = module.to_q(rows), module.to_k(rows), module.to_v(rows)
    return module.to_out[0](attention(query, key, value, module.heads))


def text_attention(module: Container, rows: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """(n, S, C) to text (r, 77, D); each of its rows serves n / r neighbouring items."""
    query = module.to_q(rows).reshape(len(text), -1, rows.shape[-1])
    mixed = attention(query, module.to_k(text), module.to_v(text), module.heads)
    return module.to_out[0](mixed.reshape(rows.shape))


def feed_forward(module: Container, rows: torch.Tensor) -> torch.Tensor:
    """Two linear layers with a gated GELU between them."""
    gate, _, out = module.net
    return out(geglu(gate.proj(rows)))


def spatial_transformer(block: Container, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Attention of every frame to itself and to the text."""
    rows = pointwise(block.proj_in, tokens(group_norm(x, block.norm)))
    for layer in block.transformer_blocks:
        rows = rows + self_attention(layer.attn1, layer_norm(rows, layer.norm1))
        rows = rows + text_attention(layer.attn2, layer_norm(rows, layer.norm2), text)
        rows = rows + feed_forward(layer.ff, layer_norm(rows, layer.norm3))
    return x + picture(pointwise(block.proj_out, rows), *x.shape[2:])


def layer(block: Container, index: int, x: torch.Tensor, temb: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Layer `index` of a block: its resnet, then its attention if it has one."""
    x = resnet(block.resnets[index], x, temb)
    attentions = getattr(block, "attentions", None)
    return x if attentions is None else spatial_transformer(attentions[index], x, text)


def upsample(module: Container, x: torch.Tensor, size: tuple[int, int] | None) -> torch.Tensor:
    """Nearest neighbours at `size` (None: twice the size), then a convolution."""
    size = size or (2 * x.shape[2], 2 * x.shape[3])
    return module.conv(F.interpolate(x, size=size, mode="nearest"))
