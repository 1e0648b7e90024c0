"""Names and shapes of every published tensor, worked out from the configs.

What a file holds can so be checked, and read, before any network is built; nothing here imports torch.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lib.diffueraser.config import NetConfig

Shapes = dict[str, tuple[int, ...]]
LATENT_CHANNELS = 4
LORA_PREFIX = "lora_unet_"


def brushnet_shapes(config: NetConfig) -> Shapes:
    """Of the published `brushnet` weights."""
    widths, count = config.block_out_channels, config.layers_per_block
    zero_convs = {
        "down": [widths[0], *_map_widths(widths, count)],
        "up": _map_widths(widths[::-1], count + 1),
    }
    shapes = _conv("conv_in_condition", 2 * LATENT_CHANNELS + 1, widths[0]) | _trunk(config, motion=False)
    for name, of_maps in zero_convs.items():
        for index, width in enumerate(of_maps):
            shapes |= _conv(f"brushnet_{name}_blocks.{index}", width, width, 1)
    return shapes | _conv("brushnet_mid_block", widths[-1], widths[-1], 1)


def unet_shapes(config: NetConfig, in_channels: int = LATENT_CHANNELS, *, motion: bool = True) -> Shapes:
    """Of the published `unet_main` weights; without motion, of Stable Diffusion's own UNet."""
    first = config.block_out_channels[0]
    return (
        _conv("conv_in", in_channels, first)
        | _trunk(config, motion=motion)
        | _norm("conv_norm_out", first)
        | _conv("conv_out", first, LATENT_CHANNELS)
    )


def vae_shapes(content: Mapping[str, Any]) -> Shapes:
    """Of an AutoencoderKL. content: its `config.json`."""
    widths, count = tuple(content["block_out_channels"]), int(content.get("layers_per_block", 1))
    latent = int(content.get("latent_channels", LATENT_CHANNELS))
    return (
        _vae_half("encoder", int(content.get("in_channels", 3)), 2 * latent, widths, count)
        | _vae_half("decoder", latent, int(content.get("out_channels", 3)), widths, count)
        | _conv("quant_conv", 2 * latent, 2 * latent, 1)
        | _conv("post_quant_conv", latent, latent, 1)
    )


def text_encoder_shapes(content: Mapping[str, Any]) -> Shapes:
    """Of a CLIP text model, without the prefix `text_model.`. content: its `config.json`."""
    width, inner = int(content["hidden_size"]), int(content["intermediate_size"])
    shapes: Shapes = {
        "embeddings.token_embedding.weight": (int(content["vocab_size"]), width),
        "embeddings.position_embedding.weight": (int(content["max_position_embeddings"]), width),
    }
    for index in range(int(content["num_hidden_layers"])):
        layer = f"encoder.layers.{index}"
        for name in "qkv":
            shapes |= _linear(f"{layer}.self_attn.{name}_proj", width, width)
        shapes |= _linear(f"{layer}.self_attn.out_proj", width, width)
        shapes |= _norm(f"{layer}.layer_norm1", width) | _norm(f"{layer}.layer_norm2", width)
        shapes |= _linear(f"{layer}.mlp.fc1", width, inner) | _linear(f"{layer}.mlp.fc2", inner, width)
    return shapes | _norm("final_layer_norm", width)


def lora_targets(unet: Shapes) -> Shapes:
    """The modules that a PCM LoRA changes, with the shapes of their weights: all layers of the blocks but motion's."""
    return {
        key.removesuffix(".weight"): shape
        for key, shape in unet.items()
        if key.endswith(".weight") and len(shape) > 1 and "_block" in key and "motion_modules" not in key
    }


def lora_shapes(targets: Shapes, rank: int = 64) -> Shapes:
    """Of a LoRA in kohya's naming for these modules."""
    shapes: Shapes = {}
    for module, (out_width, *inputs) in targets.items():
        name = LORA_PREFIX + module.replace(".", "_")
        shapes[f"{name}.alpha"] = ()
        shapes[f"{name}.lora_down.weight"] = (rank, *inputs)
        shapes[f"{name}.lora_up.weight"] = (out_width, rank, *(1 for _ in inputs[1:]))
    return shapes


def _trunk(config: NetConfig, *, motion: bool) -> Shapes:
    """Time embedding, down, middle and up blocks."""
    widths = config.block_out_channels
    shapes = _linear("time_embedding.linear_1", widths[0], config.time_channels)
    shapes |= _linear("time_embedding.linear_2", config.time_channels, config.time_channels)
    for prefix, inputs, width, attends in _blocks(widths, config.layers_per_block):
        for index, in_width in enumerate(inputs):
            shapes |= _resnet(f"{prefix}.resnets.{index}", in_width, width, config.time_channels)
            if attends:
                shapes |= _transformer(f"{prefix}.attentions.{index}", width, config.cross_attention_dim)
            if motion:
                shapes |= _motion(f"{prefix}.motion_modules.{index}", width, config.motion_max_seq_length)
    shapes |= _resamplers(widths)
    shapes |= _resnet("mid_block.resnets.0", widths[-1], widths[-1], config.time_channels)
    shapes |= _resnet("mid_block.resnets.1", widths[-1], widths[-1], config.time_channels)
    shapes |= _transformer("mid_block.attentions.0", widths[-1], config.cross_attention_dim)
    if motion:
        shapes |= _motion("mid_block.motion_modules.0", widths[-1], config.motion_max_seq_length)
    return shapes


def _blocks(widths: tuple[int, ...], count: int) -> Iterator[tuple[str, list[int], int, bool]]:
    """Of each down and up block: name, input channels of its resnets, output channels, whether it attends to text."""
    last = len(widths) - 1
    for level, width in enumerate(widths):
        before = widths[max(level - 1, 0)]
        yield f"down_blocks.{level}", [before] + [width] * (count - 1), width, level < last
    upward = widths[::-1]
    for level, width in enumerate(upward):
        before, shallower = upward[max(level - 1, 0)], upward[min(level + 1, last)]
        # Each resnet gets what comes from below and one skip; the last skip is from the shallower level.
        inputs = [below + width for below in [before] + [width] * (count - 1)] + [width + shallower]
        yield f"up_blocks.{level}", inputs, width, level > 0


def _resamplers(widths: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {}
    for level, width in enumerate(widths[:-1]):
        shapes |= _conv(f"down_blocks.{level}.downsamplers.0.conv", width, width)
    for level, width in enumerate(widths[:0:-1]):
        shapes |= _conv(f"up_blocks.{level}.upsamplers.0.conv", width, width)
    return shapes


def _map_widths(widths: tuple[int, ...], count: int) -> list[int]:
    """Channels of all feature maps: one for each layer, and one behind each change of size."""
    return [width for width in widths for _ in range(count + 1)][:-1]


def _vae_half(prefix: str, inputs: int, outputs: int, widths: tuple[int, ...], count: int) -> Shapes:
    """The encoder, or the decoder, whose blocks run the other way and have one layer more."""
    encoder = prefix == "encoder"
    order = widths if encoder else widths[::-1]
    blocks, resampler = ("down_blocks", "downsamplers") if encoder else ("up_blocks", "upsamplers")
    shapes = _conv(f"{prefix}.conv_in", inputs, order[0])
    for level, width in enumerate(order):
        block = f"{prefix}.{blocks}.{level}"
        for index in range(count if encoder else count + 1):
            shapes |= _resnet(f"{block}.resnets.{index}", order[max(level - 1, 0)] if index == 0 else width, width)
        if level < len(order) - 1:
            shapes |= _conv(f"{block}.{resampler}.0.conv", width, width)
    middle = f"{prefix}.mid_block"
    for index in range(2):
        shapes |= _resnet(f"{middle}.resnets.{index}", widths[-1], widths[-1])
    shapes |= _norm(f"{middle}.attentions.0.group_norm", widths[-1])
    for name in ("to_q", "to_k", "to_v", "to_out.0"):
        shapes |= _linear(f"{middle}.attentions.0.{name}", widths[-1], widths[-1])
    return shapes | _norm(f"{prefix}.conv_norm_out", order[-1]) | _conv(f"{prefix}.conv_out", order[-1], outputs)


def _resnet(name: str, in_width: int, width: int, time_width: int | None = None) -> Shapes:
    shapes = _norm(f"{name}.norm1", in_width) | _conv(f"{name}.conv1", in_width, width)
    if time_width is not None:
        shapes |= _linear(f"{name}.time_emb_proj", time_width, width)
    shapes |= _norm(f"{name}.norm2", width) | _conv(f"{name}.conv2", width, width)
    return shapes | (_conv(f"{name}.conv_shortcut", in_width, width, 1) if in_width != width else {})


def _transformer(name: str, width: int, text_width: int) -> Shapes:
    shapes = _norm(f"{name}.norm", width) | _conv(f"{name}.proj_in", width, width, 1)
    shapes |= _transformer_block(f"{name}.transformer_blocks.0", width, text_width)
    return shapes | _conv(f"{name}.proj_out", width, width, 1)


def _motion(name: str, width: int, length: int) -> Shapes:
    shapes = _norm(f"{name}.norm", width) | _linear(f"{name}.proj_in", width, width)
    shapes |= _transformer_block(f"{name}.transformer_blocks.0", width, width)
    shapes[f"{name}.transformer_blocks.0.pos_embed.pe"] = (1, length, width)
    return shapes | _linear(f"{name}.proj_out", width, width)


def _transformer_block(name: str, width: int, text_width: int) -> Shapes:
    shapes: Shapes = {}
    for attention, source in (("attn1", width), ("attn2", text_width)):
        shapes[f"{name}.{attention}.to_q.weight"] = (width, width)
        shapes[f"{name}.{attention}.to_k.weight"] = shapes[f"{name}.{attention}.to_v.weight"] = (width, source)
        shapes |= _linear(f"{name}.{attention}.to_out.0", width, width)
    for index in (1, 2, 3):
        shapes |= _norm(f"{name}.norm{index}", width)
    return shapes | _linear(f"{name}.ff.net.0.proj", width, 8 * width) | _linear(f"{name}.ff.net.2", 4 * width, width)


def _conv(name: str, in_width: int, width: int, side: int = 3) -> Shapes:
    return {f"{name}.weight": (width, in_width, side, side), f"{name}.bias": (width,)}


def _linear(name: str, in_width: int, width: int) -> Shapes:
    return {f"{name}.weight": (width, in_width), f"{name}.bias": (width,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
