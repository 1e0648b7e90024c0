"""Both networks written down once more, as plainly as can be, on diffusers' own forwards of the parts."""

import torch

from lib.diffueraser.brushnet import BrushNet, Residuals
from lib.diffueraser.unet import MotionUNet


def run_brushnet(
    net: BrushNet, sample: torch.Tensor, timestep: int, text: torch.Tensor, cond: torch.Tensor, scale: float = 1.0
) -> Residuals:
    """text: one row a frame."""
    temb = _embed(net, timestep, len(sample))
    x = net.conv_in_condition(torch.cat([sample, cond], dim=1))
    down, up = [x], []
    for block in net.down_blocks:
        for index, resnet in enumerate(block.resnets):
            x = _attend(block, index, resnet(x, temb), text)
            down.append(x)
        for downsample in block.downsamplers or ():
            x = downsample(x)
            down.append(x)
    x = net.mid_block.resnets[0](x, temb)
    x = net.mid_block.resnets[1](_attend(net.mid_block, 0, x, text), temb)
    middle, skips = x, list(down)
    for block in net.up_blocks:
        for index, resnet in enumerate(block.resnets):
            x = _attend(block, index, resnet(torch.cat([x, skips.pop()], dim=1), temb), text)
            up.append(x)
        for upsample in block.upsamplers or ():
            x = upsample(x, tuple(skips[-1].shape[2:]))
            up.append(x)
    return Residuals(
        tuple(scale * conv(y) for conv, y in zip(net.brushnet_down_blocks, down, strict=True)),
        scale * net.brushnet_mid_block(middle),
        tuple(scale * conv(y) for conv, y in zip(net.brushnet_up_blocks, up, strict=True)),
    )


def run_unet(
    net: MotionUNet, sample: torch.Tensor, timestep: int, text: torch.Tensor, num_frames: int, residuals: Residuals
) -> torch.Tensor:
    """text: one row a clip."""
    temb, text = _embed(net, timestep, len(sample)), text.repeat_interleave(num_frames, dim=0)
    down, up = iter(residuals.down), iter(residuals.up)
    x = net.conv_in(sample)
    skips = [x]
    x = x + next(down)
    for block in net.down_blocks:
        for index, resnet in enumerate(block.resnets):
            x = _attend(block, index, resnet(x, temb), text) + next(down)
            x = block.motion_modules[index](x, num_frames=num_frames)
            skips.append(x)
        for downsample in block.downsamplers or ():
            x = downsample(x) + next(down)
            skips.append(x)
    first, second = net.mid_block.resnets
    x = second(_attend(net.mid_block, 0, first(x, temb), text), temb) + residuals.mid
    x = second(net.mid_block.motion_modules[0](x, num_frames=num_frames), temb)
    for block in net.up_blocks:
        for index, resnet in enumerate(block.resnets):
            x = _attend(block, index, resnet(torch.cat([x, skips.pop()], dim=1), temb), text) + next(up)
            x = block.motion_modules[index](x, num_frames=num_frames)
        for upsample in block.upsamplers or ():
            x = upsample(x, tuple(skips[-1].shape[2:])) + next(up)
    assert next(down, None) is None
    assert next(up, None) is None
    return net.conv_out(torch.nn.functional.silu(net.conv_norm_out(x)))


def _embed(net: BrushNet | MotionUNet, timestep: int, count: int) -> torch.Tensor:
    return net.time_embedding(net.time_proj(torch.full((count,), timestep)))


def _attend(block: torch.nn.Module, index: int, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    attentions = getattr(block, "attentions", None)
    return x if attentions is None else attentions[index](x, encoder_hidden_states=text, return_dict=False)[0]
