"""AnimateDiff's motion module: every place of the picture attends to itself at other times (Guo et al. 2023, 4.2)."""

import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D

from lib.diffueraser.blocks import Container
from lib.diffueraser.layers import feed_forward
from lib.diffueraser.ops import group_norm, layer_norm, picture, temporal_attention, tokens


class MotionModule(AnimateDiffTransformer3D):
    """One motion module by itself. Keys: norm, proj_in, transformer_blocks.0.., proj_out."""

    def __init__(self, channels: int, heads: int = 8, norm_num_groups: int = 32, max_length: int = 32) -> None:
        super().__init__(
            num_attention_heads=heads,
            attention_head_dim=channels // heads,
            in_channels=channels,
            norm_num_groups=norm_num_groups,
            activation_fn="geglu",
            attention_bias=False,
            positional_embeddings="sinusoidal",
            num_positional_embeddings=max_length,
        )

    def forward(self, hidden_states: torch.Tensor, num_frames: int) -> torch.Tensor:  # type: ignore[override]
        """See `mix_frames`."""
        return mix_frames(self, hidden_states, num_frames)


def mix_frames(module: Container, x: torch.Tensor, num_frames: int) -> torch.Tensor:
    """(B * T, C, h, w) -> the same, each group of T = num_frames neighbouring items mixed over time.

    Raises:
        ValueError: T is more than the module has positions for.
    """
    rows = module.proj_in(tokens(group_norm(x, module.norm, frames=num_frames)))
    for block in module.transformer_blocks:
        rows = _transform(block, rows, num_frames)
    return x + picture(module.proj_out(rows), *x.shape[2:])


def _transform(block: Container, rows: torch.Tensor, num_frames: int) -> torch.Tensor:
    known = block.pos_embed.pe
    if num_frames > known.shape[1]:
        raise ValueError(f"{num_frames} frames at a time; the motion modules know {known.shape[1]} positions")
    positions = known[0, :num_frames].to(rows.dtype)
    # Positions count in both attentions, each time behind the norm.
    rows = rows + _over_time(block.attn1, layer_norm(rows, block.norm1, positions), num_frames)
    rows = rows + _over_time(block.attn2, layer_norm(rows, block.norm2, positions), num_frames)
    return rows + feed_forward(block.ff, layer_norm(rows, block.norm3))


def _over_time(module: Container, rows: torch.Tensor, num_frames: int) -> torch.Tensor:
    query, key, value = module.to_q(rows), module.to_k(rows), module.to_v(rows)
    return module.to_out[0](temporal_attention(query, key, value, module.heads, num_frames))
