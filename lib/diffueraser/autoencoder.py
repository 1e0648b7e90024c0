"""Stable Diffusion's autoencoder (Rombach et al. 2022, 3.1) between pictures and latents, on diffusers' parameters."""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from lib.diffueraser.blocks import Container
from lib.diffueraser.layers import resnet, self_attention, upsample
from lib.diffueraser.ops import group_norm, picture, tokens

CELL = 8  # pixels a side that one latent cell stands for


class Autoencoder:
    """Encodes and decodes batches of pictures; each picture by itself."""

    def __init__(self, vae: AutoencoderKL) -> None:
        self._vae: Container = vae
        self.scaling = float(self._vae.config.scaling_factor)

    def moments(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the latents' posterior, unscaled: (n, 4, H/8, W/8) each.

        Args:
            images: (n, 3, H, W) in -1..1; H and W are multiples of 8.
        """
        encoder = self._vae.encoder
        x = encoder.conv_in(images.contiguous(memory_format=torch.channels_last))
        for block in encoder.down_blocks:
            for module in block.resnets:
                x = resnet(module, x)
            if block.downsamplers is not None:
                x = block.downsamplers[0].conv(F.pad(x, (0, 1, 0, 1)))
        x = self._middle(encoder.mid_block, x)
        x = encoder.conv_out(group_norm(x, encoder.conv_norm_out, silu=True))
        mean, log_variance = self._vae.quant_conv(x).float().chunk(2, dim=1)
        return mean, torch.exp(0.5 * log_variance.clamp(-30, 20))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Unscaled latents (n, 4, h, w) -> pictures (n, 3, 8 h, 8 w), about -1..1, float32."""
        decoder = self._vae.decoder
        x = self._vae.post_quant_conv(latents.contiguous(memory_format=torch.channels_last))
        x = self._middle(decoder.mid_block, decoder.conv_in(x))
        for block in decoder.up_blocks:
            for module in block.resnets:
                x = resnet(module, x)
            if block.upsamplers is not None:
                x = upsample(block.upsamplers[0], x, None)
        return decoder.conv_out(group_norm(x, decoder.conv_norm_out, silu=True)).float()

    def _middle(self, block: Container, x: torch.Tensor) -> torch.Tensor:
        x = resnet(block.resnets[0], x)
        for module, following in zip(block.attentions, block.resnets[1:], strict=True):
            x = resnet(following, _attend(module, x))
        return x


def _attend(module: Container, x: torch.Tensor) -> torch.Tensor:
    rows = self_attention(module, tokens(group_norm(x, module.group_norm)))
    return x + picture(rows, *x.shape[2:])
