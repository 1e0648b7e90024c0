"""The blocks that both networks are made of: diffusers' modules as containers of parameters, with published names.

Their own forwards are never called: BrushNet and the motion UNet compute something else with the same weights.
"""

from typing import Any

from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d_blocks import (
    CrossAttnDownBlock2D,
    CrossAttnUpBlock2D,
    DownBlock2D,
    UNetMidBlock2DCrossAttn,
    UpBlock2D,
)
from diffusers.models.unets.unet_motion_model import (
    CrossAttnDownBlockMotion,
    CrossAttnUpBlockMotion,
    DownBlockMotion,
    UNetMidBlockCrossAttnMotion,
    UpBlockMotion,
)
from torch import nn

from lib.diffueraser.config import NetConfig

Container = Any  # a module of diffusers; its parts go by their published names, which no type tells

RESNET_EPS = 1e-5
MOTION_GROUPS_WITHOUT_ATTENTION = 32  # of the first up block's motion modules, whatever the config says


def time_modules(config: NetConfig) -> tuple[Container, Container]:
    """The sinusoids of a timestep, and the two layers that make the time embedding of them."""
    channels = config.block_out_channels[0]
    sinusoids = Timesteps(channels, flip_sin_to_cos=True, downscale_freq_shift=0)
    return sinusoids, TimestepEmbedding(channels, config.time_channels)


def down_blocks(config: NetConfig, *, motion: bool) -> Container:
    """From fine to coarse; all but the last attend to the text and halve the size."""
    channels = config.block_out_channels
    blocks: Container = nn.ModuleList()
    for level, out_channels in enumerate(channels):
        last = level == len(channels) - 1
        sizes = {"in_channels": channels[max(level - 1, 0)], "out_channels": out_channels}
        options: dict[str, Any] = _resnets(config, config.layers_per_block) | {"add_downsample": not last}
        if last:
            block: Container = DownBlockMotion if motion else DownBlock2D
        else:
            block = CrossAttnDownBlockMotion if motion else CrossAttnDownBlock2D
            options |= _attention(config)
        blocks.append(block(**sizes, **options, **(_motion(config) if motion else {})))
    return blocks


def mid_block(config: NetConfig, *, motion: bool) -> Container:
    """Two resnets around one attention at the coarsest level."""
    options: dict[str, Any] = _resnets(config, 1) | _attention(config) | {"in_channels": config.block_out_channels[-1]}
    return UNetMidBlockCrossAttnMotion(**options, **_motion(config)) if motion else UNetMidBlock2DCrossAttn(**options)


def up_blocks(config: NetConfig, *, motion: bool) -> Container:
    """From coarse to fine; all but the first attend to the text, all but the last double the size."""
    channels = config.block_out_channels[::-1]
    blocks: Container = nn.ModuleList()
    for level, out_channels in enumerate(channels):
        last = level == len(channels) - 1
        sizes = {
            "in_channels": channels[min(level + 1, len(channels) - 1)],
            "prev_output_channel": channels[max(level - 1, 0)],
            "out_channels": out_channels,
        }
        options = _resnets(config, config.layers_per_block + 1) | {"add_upsample": not last}
        if level == 0:
            block: Container = UpBlockMotion if motion else UpBlock2D
        else:
            block = CrossAttnUpBlockMotion if motion else CrossAttnUpBlock2D
            options |= _attention(config)
        blocks.append(block(**sizes, **options, **(_motion(config) if motion else {})))
    for module in blocks[0].motion_modules if motion else ():
        module.norm.num_groups = MOTION_GROUPS_WITHOUT_ATTENTION
    return blocks


def _resnets(config: NetConfig, layers: int) -> dict[str, Any]:
    return {
        "num_layers": layers,
        "temb_channels": config.time_channels,
        "resnet_eps": RESNET_EPS,
        "resnet_groups": config.norm_num_groups,
    }


def _attention(config: NetConfig) -> dict[str, Any]:
    return {"num_attention_heads": config.heads, "cross_attention_dim": config.cross_attention_dim}


def _motion(config: NetConfig) -> dict[str, Any]:
    return {
        "temporal_num_attention_heads": config.motion_heads,
        "temporal_max_seq_length": config.motion_max_seq_length,
    }
