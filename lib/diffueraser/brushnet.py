"""BrushNet: the branch that looks at what is known of each frame (Ju et al. 2024, 3.2).

A whole UNet without head on 9 channels (noisy latent, latent of the masked frame, mask); every feature map leaves
through a 1x1 convolution as a residual for the motion UNet. Frames do not see each other here.
"""

from dataclasses import dataclass

import torch
from torch import nn

from lib.diffueraser.blocks import down_blocks, mid_block, up_blocks
from lib.diffueraser.config import NetConfig
from lib.diffueraser.layers import Modules, TimeEmbedding, pointwise
from lib.diffueraser.ops import picture, tokens

INPUT_CHANNELS = 4 + 4 + 1


@dataclass(frozen=True)
class Residuals:
    """What BrushNet adds to the UNet's feature maps, in the order in which they arise: each (n, C, h, w)."""

    down: tuple[torch.Tensor, ...]
    mid: torch.Tensor
    up: tuple[torch.Tensor, ...]


class BrushNet(nn.Module):
    """Keys are those of the published `brushnet` weights."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.block_out_channels
        self.conv_in_condition = nn.Conv2d(INPUT_CHANNELS, channels[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(channels[0], config.time_channels)
        self.down_blocks: Modules = down_blocks(config, motion=False)
        self.mid_block = mid_block(config, motion=False)
        self.up_blocks: Modules = up_blocks(config, motion=False)
        self.brushnet_down_blocks: Modules = _zero_convs(
            [channels[0], *_map_channels(channels, config.layers_per_block)]
        )
        self.brushnet_mid_block = nn.Conv2d(channels[-1], channels[-1], 1)
        self.brushnet_up_blocks: Modules = _zero_convs(_map_channels(channels[::-1], config.layers_per_block + 1))

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | int,
        text: torch.Tensor,
        cond: torch.Tensor,
        scale: float = 1.0,
    ) -> Residuals:
        """The residuals of n frames.

        Args:
            sample: (n, 4, h, w), noisy latents.
            timestep: one for all frames, 0..999.
            text: (r, 77, D); n is a multiple of r, each row serves n / r neighbouring frames.
            cond: (n, 5, h, w): the masked frame's latent, and the mask (1 = known, 0 = hole).
            scale: factor of all residuals.
        """
        temb = self.time_embedding(timestep)
        joined = torch.cat([sample, cond], dim=1).contiguous(memory_format=torch.channels_last)
        down = self._down(self.conv_in_condition(joined), temb, text)
        x = self.mid_block.resnets[1](self.mid_block.layer(0, down[-1], temb, text), temb)
        up = self._up(x, list(down), temb, text)
        return Residuals(
            tuple(_leave(conv, y, scale) for conv, y in zip(self.brushnet_down_blocks, down, strict=True)),
            _leave(self.brushnet_mid_block, x, scale),
            tuple(_leave(conv, y, scale) for conv, y in zip(self.brushnet_up_blocks, up, strict=True)),
        )

    def _down(self, x: torch.Tensor, temb: torch.Tensor, text: torch.Tensor) -> list[torch.Tensor]:
        maps = [x]
        for block in self.down_blocks:
            for index in range(len(block.resnets)):
                x = block.layer(index, x, temb, text)
                maps.append(x)
            if block.downsamplers is not None:
                x = block.downsamplers[0](x)
                maps.append(x)
        return maps

    def _up(
        self, x: torch.Tensor, skips: list[torch.Tensor], temb: torch.Tensor, text: torch.Tensor
    ) -> list[torch.Tensor]:
        maps = []
        for block in self.up_blocks:
            for index in range(len(block.resnets)):
                x = block.layer(index, torch.cat([x, skips.pop()], dim=1), temb, text)
                maps.append(x)
            if block.upsamplers is not None:
                x = block.upsamplers[0](x, (skips[-1].shape[2], skips[-1].shape[3]))
                maps.append(x)
        return maps


def _map_channels(channels: tuple[int, ...], layers: int) -> list[int]:
    """Channels of the maps of all blocks: one for each layer, and one behind each change of size."""
    counts = [[width] * (layers + 1) for width in channels]
    return [width for block in counts for width in block][:-1]  # the last block does not change the size


def _zero_convs(channels: list[int]) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(width, width, 1) for width in channels)


def _leave(conv: nn.Conv2d, x: torch.Tensor, scale: float) -> torch.Tensor:
    residual = picture(pointwise(conv, tokens(x)), *x.shape[2:])
    return residual if scale == 1 else residual * scale
