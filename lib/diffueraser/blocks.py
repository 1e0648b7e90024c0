"""The blocks that BrushNet and the motion UNet are made of, with published names; each network orders its own steps."""

import torch
from torch import nn

from lib.diffueraser.config import NetConfig
from lib.diffueraser.layers import Downsample, Modules, ResnetBlock, SpatialTransformer, Upsample
from lib.diffueraser.motion import MotionModule

RESNET_EPS = 1e-5
MOTION_GROUPS_WITHOUT_ATTENTION = 32  # of the first up block's motion modules, whatever the config says


class Block(nn.Module):
    """Layers of one level. Keys: resnets, attentions, motion_modules, downsamplers, upsamplers, as far as it has them.

    resnets: (in, out) channels of each. The middle block has one attention and one motion module for two resnets.
    """

    def __init__(
        self,
        config: NetConfig,
        resnets: list[tuple[int, int]],
        *,
        attends: bool,
        motion: bool,
        motion_groups: int | None = None,
        parts: int | None = None,
        resample: type[Downsample] | type[Upsample] | None = None,
    ) -> None:
        """parts: how many attentions and motion modules, one for each resnet unless given."""
        super().__init__()
        channels = resnets[0][1]
        self.resnets: Modules = nn.ModuleList(
            ResnetBlock(*sizes, config.norm_num_groups, RESNET_EPS, config.time_channels) for sizes in resnets
        )
        count = parts or len(resnets)
        groups, text = config.norm_num_groups, config.cross_attention_dim
        attentions = (SpatialTransformer(channels, config.heads, text, groups) for _ in range(count))
        self.attentions: Modules = nn.ModuleList(attentions) if attends else None
        motions = (
            MotionModule(channels, config.motion_heads, motion_groups or groups, config.motion_max_seq_length)
            for _ in range(count)
        )
        self.motion_modules: Modules = nn.ModuleList(motions if motion else ())
        self.downsamplers: Modules = nn.ModuleList([Downsample(channels)]) if resample is Downsample else None
        self.upsamplers: Modules = nn.ModuleList([Upsample(channels)]) if resample is Upsample else None

    def layer(self, index: int, x: torch.Tensor, temb: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Layer `index`: its resnet, then its attention if it has one."""
        x = self.resnets[index](x, temb)
        return x if self.attentions is None else self.attentions[index](x, text)


def down_blocks(config: NetConfig, *, motion: bool) -> nn.ModuleList:
    """From fine to coarse; all but the last attend to the text and halve the size."""
    blocks, before = nn.ModuleList(), config.block_out_channels[0]
    for level, channels in enumerate(config.block_out_channels):
        inner = level < len(config.block_out_channels) - 1
        resnets = [(before, channels)] + [(channels, channels)] * (config.layers_per_block - 1)
        blocks.append(Block(config, resnets, attends=inner, motion=motion, resample=Downsample if inner else None))
        before = channels
    return blocks


def mid_block(config: NetConfig, *, motion: bool) -> Block:
    """Two resnets around one attention at the coarsest level."""
    channels = config.block_out_channels[-1]
    return Block(config, [(channels, channels)] * 2, attends=True, motion=motion, parts=1)


def up_blocks(config: NetConfig, *, motion: bool) -> nn.ModuleList:
    """From coarse to fine; all but the first attend to the text, all but the last double the size."""
    blocks, widths = nn.ModuleList(), config.block_out_channels[::-1]
    before = widths[0]
    for level, channels in enumerate(widths):
        last = level == len(widths) - 1
        skips = [channels] * config.layers_per_block + [widths[min(level + 1, len(widths) - 1)]]
        inputs = [before] + [channels] * config.layers_per_block
        resnets = [(width + skip, channels) for width, skip in zip(inputs, skips, strict=True)]
        groups = MOTION_GROUPS_WITHOUT_ATTENTION if level == 0 else None
        resample = None if last else Upsample
        block = Block(config, resnets, attends=level > 0, motion=motion, motion_groups=groups, resample=resample)
        blocks.append(block)
        before = channels
    return blocks
