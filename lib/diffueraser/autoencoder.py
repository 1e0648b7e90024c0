"""Stable Diffusion's autoencoder between pictures and latents (Rombach et al. 2022, 3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lib.diffueraser.layers import Attention, Downsample, Modules, ResnetBlock, Upsample
from lib.diffueraser.ops import group_norm, picture, tokens

CELL = 8  # pixels a side that one latent cell stands for
EPS = 1e-6


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder; the defaults are the published ones."""

    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)  # from the finest level to the coarsest
    layers_per_block: int = 2
    norm_num_groups: int = 32
    latent_channels: int = 4
    scaling_factor: float = 0.18215  # latents times this have a variance of about 1

    @classmethod
    def from_published(cls, content: Mapping[str, Any]) -> "AutoencoderConfig":
        """The config of a `config.json`; other fields are ignored, missing ones are the published VAE's."""
        given: dict[str, Any] = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        given["block_out_channels"] = tuple(given.get("block_out_channels", cls.block_out_channels))
        return cls(**given)


class Autoencoder(nn.Module):
    """Encodes and decodes batches of pictures, each by itself. Keys are those of the published `sd-vae-ft-mse`."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.scaling = config.scaling_factor
        channels = config.latent_channels
        self.encoder, self.decoder = _Encoder(config), _Decoder(config)
        self.quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.post_quant_conv = nn.Conv2d(channels, channels, 1)

    def moments(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the latents' posterior, unscaled float32: (n, 4, H/8, W/8) each.

        Args:
            images: (n, 3, H, W) in -1..1; H and W are multiples of 8.
        """
        mean, log_variance = self.quant_conv(self.encoder(images)).float().chunk(2, dim=1)
        return mean, torch.exp(0.5 * log_variance.clamp(-30, 20))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Unscaled latents (n, 4, h, w) -> pictures (n, 3, 8 h, 8 w), about -1..1, float32."""
        return self.decoder(self.post_quant_conv(latents)).float()


class _Level(nn.Module):
    """Keys: resnets, downsamplers or upsamplers."""

    def __init__(
        self, config: AutoencoderConfig, sizes: list[tuple[int, int]], resample: type[Downsample | Upsample] | None
    ) -> None:
        super().__init__()
        channels = sizes[-1][1]
        self.resnets: Modules = nn.ModuleList(ResnetBlock(*size, config.norm_num_groups, EPS) for size in sizes)
        self.downsamplers: Modules = (
            nn.ModuleList([Downsample(channels, symmetric=False)]) if resample is Downsample else ()
        )
        self.upsamplers: Modules = nn.ModuleList([Upsample(channels)]) if resample is Upsample else ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in (*self.resnets, *self.downsamplers, *self.upsamplers):
            x = module(x)
        return x


class _PictureAttention(Attention):
    """One head over all places of a picture. Keys: group_norm, to_q, to_k, to_v, to_out.0."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(channels, heads=1, bias=True)
        self.group_norm = nn.GroupNorm(groups, channels, EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return x + picture(super().forward(tokens(group_norm(x, self.group_norm))), *x.shape[2:])


class _Middle(nn.Module):
    """Keys: resnets.0, attentions.0, resnets.1."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.resnets: Modules = nn.ModuleList(ResnetBlock(channels, channels, groups, EPS) for _ in range(2))
        self.attentions: Modules = nn.ModuleList([_PictureAttention(channels, groups)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class _Encoder(nn.Module):
    """(n, 3, H, W) -> mean and logarithm of the variance, (n, 8, H/8, W/8)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks: Modules = nn.ModuleList()
        for level, channels in enumerate(widths):
            sizes = [(widths[max(level - 1, 0)], channels)] + [(channels, channels)] * (config.layers_per_block - 1)
            self.down_blocks.append(_Level(config, sizes, Downsample if level < len(widths) - 1 else None))
        self.mid_block = _Middle(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(images.contiguous(memory_format=torch.channels_last))
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(group_norm(self.mid_block(x), self.conv_norm_out, silu=True))


class _Decoder(nn.Module):
    """(n, 4, h, w) -> (n, 3, 8 h, 8 w)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels[::-1], config.norm_num_groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = _Middle(widths[0], groups)
        self.up_blocks: Modules = nn.ModuleList()
        for level, channels in enumerate(widths):
            sizes = [(widths[max(level - 1, 0)], channels)] + [(channels, channels)] * config.layers_per_block
            self.up_blocks.append(_Level(config, sizes, Upsample if level < len(widths) - 1 else None))
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = self.mid_block(self.conv_in(latents.contiguous(memory_format=torch.channels_last)))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(group_norm(x, self.conv_norm_out, silu=True))
