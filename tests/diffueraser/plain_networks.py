"""Both networks written down once more, as plainly as can be, on diffusers' modules and their own forwards."""

from typing import Any

import torch
from diffusers import UNet2DConditionModel, UNetMotionModel

from lib.diffueraser.brushnet import BrushNet, Residuals
from lib.diffueraser.config import NetConfig
from lib.diffueraser.unet import MotionUNet


def run_brushnet(
    brushnet: BrushNet, sample: torch.Tensor, timestep: int, text: torch.Tensor, cond: torch.Tensor, scale: float
) -> Residuals:
    """text: one row a frame."""
    net = UNet2DConditionModel(in_channels=9, **_options(brushnet.config, "2D"))
    state = {key.replace("conv_in_condition", "conv_in"): value for key, value in brushnet.state_dict().items()}
    shared = {key: value for key, value in state.items() if not key.startswith("brushnet_")}
    missing, unexpected = net.load_state_dict(shared, strict=False)
    assert not unexpected
    assert {key.split(".")[0] for key in missing} == {"conv_norm_out", "conv_out"}
    temb = _embed(net, timestep, len(sample))
    x = net.conv_in(torch.cat([sample, cond], dim=1))
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
        tuple(scale * conv(y) for conv, y in zip(brushnet.brushnet_down_blocks, down, strict=True)),
        scale * brushnet.brushnet_mid_block(middle),
        tuple(scale * conv(y) for conv, y in zip(brushnet.brushnet_up_blocks, up, strict=True)),
    )


def run_unet(
    unet: MotionUNet, sample: torch.Tensor, timestep: int, text: torch.Tensor, num_frames: int, residuals: Residuals
) -> torch.Tensor:
    """text: one row a clip."""
    net = _motion_model(unet)
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


def _motion_model(unet: MotionUNet) -> UNetMotionModel:
    """diffusers' model with the same tensors, all of them."""
    config = unet.config
    net = UNetMotionModel(
        **_options(config, "Motion"),
        motion_num_attention_heads=config.motion_heads,
        motion_max_seq_length=config.motion_max_seq_length,
        use_motion_mid_block=True,
    )
    net.load_state_dict(unet.state_dict())
    for module in net.up_blocks[0].motion_modules:
        module.norm.num_groups = 32  # there, whatever the config says
    return net


def _options(config: NetConfig, suffix: str) -> dict[str, Any]:
    inner = len(config.block_out_channels) - 1
    heads = "num_attention_heads" if suffix == "Motion" else "attention_head_dim"  # which means the same
    return {
        "block_out_channels": config.block_out_channels,
        "layers_per_block": config.layers_per_block,
        "norm_num_groups": config.norm_num_groups,
        "cross_attention_dim": config.cross_attention_dim,
        heads: config.heads,
        "down_block_types": [f"CrossAttnDownBlock{suffix}"] * inner + [f"DownBlock{suffix}"],
        "up_block_types": [f"UpBlock{suffix}"] + [f"CrossAttnUpBlock{suffix}"] * inner,
    }


def _embed(net: UNet2DConditionModel | UNetMotionModel, timestep: int, count: int) -> torch.Tensor:
    return net.time_embedding(net.time_proj(torch.full((count,), timestep)))


def _attend(block: torch.nn.Module, index: int, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    attentions = getattr(block, "attentions", None)
    return x if attentions is None else attentions[index](x, encoder_hidden_states=text, return_dict=False)[0]
