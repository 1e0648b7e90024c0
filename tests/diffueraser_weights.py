"""Tiny random networks in the published layout: everything that DiffuEraser and its anchor load, in a few megabytes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hashed_weights import weight
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel

from lib.diffueraser.config import NetConfig
from lib.diffueraser.tensor_shapes import (
    Shapes,
    brushnet_shapes,
    lora_shapes,
    lora_targets,
    text_encoder_shapes,
    unet_shapes,
    vae_shapes,
)
from lib.diffueraser.weight_files import PCM_STEPS, TEXT_MARKS, WeightPaths

WIDTHS, GROUPS, HEADS, TEXT_WIDTH, LORA_RANK, LORA_ALPHA = (8, 16, 32, 32), 4, 2, 16, 4, 0.5
TINY = NetConfig(
    block_out_channels=WIDTHS,
    norm_num_groups=GROUPS,
    cross_attention_dim=TEXT_WIDTH,
    heads=HEADS,
    motion_heads=HEADS,
)
MERGES = ("t h", "th e</w>", "a n", "o n</w>", "i n", "w a", "l l</w>", "wa ll</w>", "s t", "e r</w>")
_SIZES = {
    "block_out_channels": list(WIDTHS),
    "layers_per_block": 2,
    "norm_num_groups": GROUPS,
    "cross_attention_dim": TEXT_WIDTH,
    "attention_head_dim": HEADS,
    "in_channels": 4,
    "norm_eps": 1e-05,
    "use_linear_projection": False,
}
UNET_CONFIG = {
    **_SIZES,
    "_class_name": "UNetMotionModel",
    "_diffusers_version": "0.29.2",
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "motion_max_seq_length": 32,
    "motion_num_attention_heads": HEADS,
    "num_attention_heads": HEADS,
    "time_cond_proj_dim": None,
    "use_motion_mid_block": True,
}
BRUSHNET_CONFIG = {**_SIZES, "_class_name": "BrushNetModel", "conditioning_channels": 5, "num_attention_heads": None}
VAE_CONFIG = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [8, 8, 8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": GROUPS,
    "sample_size": 64,
}
TEXT_CONFIG = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "vocab_size": 2 * 256 + len(MERGES) + 2,
    "hidden_size": TEXT_WIDTH,
    "intermediate_size": 2 * TEXT_WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-05,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
SCHEDULER_CONFIG = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
INPAINTING_UNET_CONFIG = {
    **_SIZES,
    "_class_name": "UNet2DConditionModel",
    "in_channels": 9,
    "out_channels": 4,
    "sample_size": 64,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
_PIPELINE = {
    "_diffusers_version": "0.6.0",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_diffueraser_weights(folder: Path, seed: int = 0) -> Path:
    """All folders of the published layout but ProPainter's; the same bytes each time. Returns `folder`.

    stable-diffusion-v1-5, sd-vae-ft-mse, diffuEraser, PCM_Weights and stable-diffusion-inpainting.
    """
    base, inpainting = folder / "stable-diffusion-v1-5", folder / "stable-diffusion-inpainting"
    for model in (base, inpainting):
        _write_text_side(model, seed)
    vae = tensors_of(vae_shapes(VAE_CONFIG), seed)
    write_net(folder / "sd-vae-ft-mse", VAE_CONFIG, vae)
    write_net(inpainting / "vae", VAE_CONFIG, vae)
    write_net(inpainting / "unet", INPAINTING_UNET_CONFIG, tensors_of(unet_shapes(TINY, 9, motion=False), seed))
    write_net(folder / "diffuEraser" / "brushnet", BRUSHNET_CONFIG, tensors_of(brushnet_shapes(TINY), seed))
    write_net(folder / "diffuEraser" / "unet_main", UNET_CONFIG, tensors_of(unet_shapes(TINY), seed))
    for steps in PCM_STEPS:
        write_lora(folder / "PCM_Weights", steps, lora_tensors(seed + steps))
    return folder


def weight_paths(folder: Path, pcm_steps: int = 2) -> WeightPaths:
    """The paths into what `write_diffueraser_weights` wrote."""
    base, vae = folder / "stable-diffusion-v1-5", folder / "sd-vae-ft-mse"
    return WeightPaths(base, vae, folder / "diffuEraser", folder / "PCM_Weights", pcm_steps)


def tensors_of(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random tensors by name; tables of positions are left out."""
    numbers = {name: weight(name, shape, seed) for name, shape in shapes.items()}
    return {name: torch.from_numpy(array) for name, array in numbers.items() if array is not None}


def lora_tensors(seed: int = 0, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """A LoRA of the tiny UNet in kohya's naming."""
    shapes = lora_shapes(lora_targets(unet_shapes(TINY)), LORA_RANK)
    alphas = {name: torch.tensor(LORA_ALPHA) for name in shapes if name.endswith(".alpha")}
    return {name: tensor.to(dtype) for name, tensor in (alphas | tensors_of(shapes, seed)).items()}


def write_lora(
    folder: Path, steps: int, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> Path:
    """A PCM LoRA of so many steps, where it is published."""
    path = folder / "sd15" / f"pcm_sd15_smallcfg_{steps}step_converted.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, metadata)
    return path


def write_net(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    name: str = "diffusion_pytorch_model.safetensors",
) -> Path:
    """One network's folder: config.json and its weights; .bin by the file's name. Returns the file of weights."""
    write_json(folder / "config.json", config)
    path = folder / name
    if path.suffix == ".bin":
        torch.save(dict(tensors), path)
    else:
        save_file(dict(tensors), path, {"format": "pt"})
    return path


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _write_text_side(folder: Path, seed: int) -> None:
    """What base model and inpainting model have in common."""
    kind = "StableDiffusionInpaintPipeline" if folder.name.endswith("inpainting") else "StableDiffusionPipeline"
    write_json(folder / "model_index.json", {"_class_name": kind, **_PIPELINE})
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER_CONFIG)
    write_json(folder / "feature_extractor" / "preprocessor_config.json", {"crop_size": 224, "size": 224})
    _write_tokenizer(folder / "tokenizer")
    tensors = tensors_of(
        {f"text_model.{name}": shape for name, shape in text_encoder_shapes(TEXT_CONFIG).items()}, seed
    )
    write_net(folder / "text_encoder", TEXT_CONFIG, tensors, "model.safetensors")


def _write_tokenizer(folder: Path) -> None:
    """CLIP's kind of vocabulary: all bytes, all bytes at the end of a word, merges, the two marks."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in MERGES)]
    write_json(folder / "vocab.json", {word: index for index, word in enumerate([*words, *TEXT_MARKS])})
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]), encoding="utf-8")
    start, end = TEXT_MARKS
    tokens = {"bos_token": start, "eos_token": end, "pad_token": end, "unk_token": end}
    write_json(folder / "special_tokens_map.json", tokens)
    write_json(
        folder / "tokenizer_config.json",
        {**tokens, "do_lower_case": True, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"},
    )
