"""The denoising network: SD 1.5's UNet with motion modules, to which BrushNet's residuals are added.

It has the parameters of diffusers' UNetMotionModel and computes something else: residuals come between attention and
motion, and the middle block's second resnet runs before and behind its motion module. The weights were trained so.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from lib.diffueraser.blocks import RESNET_EPS, down_blocks, mid_block, up_blocks
from lib.diffueraser.brushnet import Residuals
from lib.diffueraser.config import NetConfig
from lib.diffueraser.layers import Modules, TimeEmbedding
from lib.diffueraser.ops import group_norm

Adds = Sequence[torch.Tensor]  # what BrushNet adds, in order; empty: nothing is added
LATENT_CHANNELS = 4


class MotionUNet(nn.Module):
    """Keys are those of the published `unet_main` weights."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.block_out_channels
        self.conv_in = nn.Conv2d(LATENT_CHANNELS, channels[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(channels[0], config.time_channels)
        self.down_blocks: Modules = down_blocks(config, motion=True)
        self.mid_block = mid_block(config, motion=True)
        self.up_blocks: Modules = up_blocks(config, motion=True)
        self.conv_norm_out = nn.GroupNorm(config.norm_num_groups, channels[0], eps=RESNET_EPS)
        self.conv_out = nn.Conv2d(channels[0], LATENT_CHANNELS, 3, padding=1)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | int,
        text: torch.Tensor,
        num_frames: int,
        residuals: Residuals | None = None,
    ) -> torch.Tensor:
        """The predicted noise of B clips of T = num_frames frames: (B * T, 4, h, w).

        Args:
            sample: (B * T, 4, h, w), noisy latents, item b * T + t.
            timestep: one for all frames, 0..999.
            text: (B, 77, D), one row a clip.
            residuals: of BrushNet for the same frames.

        Raises:
            ValueError: T is more than the motion modules have positions for.
        """
        temb = self.time_embedding(timestep)
        x = self.conv_in(sample.contiguous(memory_format=torch.channels_last))
        skips = [x]  # before the first residual
        adds = residuals.down if residuals else ()
        if adds:
            x = x + adds[0]
        taken = 1
        for level, block in enumerate(self.down_blocks):
            x, more = self.run_down(level, x, temb, text, num_frames, adds[taken:])
            taken += len(block.resnets) + (block.downsamplers is not None)
            skips += more
        x = self.run_mid(x, temb, text, num_frames, (residuals.mid,) if residuals else ())
        x = self._run_all_up(x, skips, temb, text, num_frames, residuals.up if residuals else ())
        return self.conv_out(group_norm(x, self.conv_norm_out, silu=True))

    def run_down(
        self, level: int, x: torch.Tensor, temb: torch.Tensor, text: torch.Tensor, num_frames: int, adds: Adds
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Down block `level`: its output, and what it adds to the skips."""
        block, following = self.down_blocks[level], iter(adds)
        skips = []
        for index, motion in enumerate(block.motion_modules):
            x = _add(block.layer(index, x, temb, text), following)
            x = motion(x, num_frames)
            skips.append(x)
        if block.downsamplers is not None:
            x = _add(block.downsamplers[0](x), following)
            skips.append(x)
        return x, tuple(skips)

    def run_mid(
        self, x: torch.Tensor, temb: torch.Tensor, text: torch.Tensor, num_frames: int, adds: Adds
    ) -> torch.Tensor:
        """The middle block; its second resnet runs twice."""
        second, motion = self.mid_block.resnets[1], self.mid_block.motion_modules[0]
        x = _add(second(self.mid_block.layer(0, x, temb, text), temb), iter(adds))
        return second(motion(x, num_frames), temb)

    def run_up(
        self,
        level: int,
        x: torch.Tensor,
        skips: Sequence[torch.Tensor],
        temb: torch.Tensor,
        text: torch.Tensor,
        num_frames: int,
        adds: Adds,
        size: tuple[int, int] | None,
    ) -> torch.Tensor:
        """Up block `level`. skips: one for each of its layers, the last is used first; size: (h, w) behind it."""
        block, following = self.up_blocks[level], iter(adds)
        waiting = list(skips)
        for index, motion in enumerate(block.motion_modules):
            x = _add(block.layer(index, torch.cat([x, waiting.pop()], dim=1), temb, text), following)
            x = motion(x, num_frames)
        if block.upsamplers is not None:
            x = _add(block.upsamplers[0](x, size), following)
        return x

    def _run_all_up(
        self,
        x: torch.Tensor,
        skips: list[torch.Tensor],
        temb: torch.Tensor,
        text: torch.Tensor,
        num_frames: int,
        adds: Adds,
    ) -> torch.Tensor:
        taken = 0
        for level, block in enumerate(self.up_blocks):
            layers = len(block.resnets)
            mine, skips = skips[-layers:], skips[:-layers]
            size = (skips[-1].shape[2], skips[-1].shape[3]) if skips else None
            x = self.run_up(level, x, mine, temb, text, num_frames, adds[taken:], size)
            taken += layers + (block.upsamplers is not None)
        return x


def _add(x: torch.Tensor, following: Iterator[torch.Tensor]) -> torch.Tensor:
    """`x` plus the next residual, if there is one."""
    residual = next(following, None)
    return x if residual is None else x + residual
