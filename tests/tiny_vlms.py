"""Tiny vision-language models in the published layout: what a model's folder holds, in about a megabyte.

`says` gives a model that answers with exactly this sentence, whatever it is asked: nothing in it mixes tokens, and its
last layer leads from each word to the next. Without it the weights are random, and another picture gives another text.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from hashed_weights import normal
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoConfig, AutoModelForImageTextToText

Family = Literal["qwen2_5_vl", "internvl"]
WIDTH, LAYERS, HEADS = 64, 2, 4
SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<video>",
)
END, PADDING = "<|im_end|>", "<|endoftext|>"
LAST_OF_PROMPT = "\n"  # behind "assistant"
# What a model with random weights answers in.
SCENERY = (
    "grass",
    "trees",
    "wall",
    "sky",
    "stone",
    "sand",
    "water",
    "snow",
    "road",
    "path",
    "field",
    "garden",
    "street",
    "brick",
    "wood",
    "metal",
    "light",
    "shade",
    "soft",
    "warm",
    "cold",
    "bright",
    "dim",
    "wet",
    "dry",
    "green",
    "blue",
    "brown",
    "white",
    "dark",
    "wide",
    "narrow",
    "rough",
    "smooth",
    "floor",
    "roof",
    "window",
    "door",
    "hill",
    "rock",
    "leaves",
    "fence",
)

_TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS // 2,
    "hidden_act": "silu",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "use_cache": True,
    "tie_word_embeddings": False,
}
_QWEN_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "hidden_act": "silu",
    "intermediate_size": 32,
    "num_heads": 2,
    "in_chans": 3,
    "out_hidden_size": WIDTH,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "spatial_patch_size": 14,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [1],
    "tokens_per_second": 2,
}
_INTERN_VISION = {
    "model_type": "internvl_vision",
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": [56, 56],
    "patch_size": [14, 14],
    "attention_bias": True,
    "use_qk_norm": False,
    "layer_norm_eps": 1e-06,
}
_QWEN_PICTURES = {
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
_INTERN_PICTURES = {
    "crop_to_patches": False,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "max_patches": 4,
    "min_patches": 1,
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 56, "width": 56},
    "image_processor_type": "GotOcr2ImageProcessor",
    "processor_class": "InternVLProcessor",
}
_GENERATION = {"do_sample": True, "temperature": 0.1, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.05}
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}PICTURE"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_vlm(folder: Path, family: Family = "qwen2_5_vl", *, says: str | None = None, seed: int = 0) -> Path:
    """Write the model's folder; the same bytes each time. Returns `folder`.

    Args:
        says: what it always answers, in words of which none comes twice; None: random weights.
        seed: of all weights; models of different seeds that say the same differ in their bytes.
    """
    folder.mkdir(parents=True)
    words = _pieces(says) if says else [f" {word}" for word in SCENERY]
    vocabulary = _write_tokenizer(folder, family, words)
    _write_json(folder / "config.json", _CONFIGS[family](vocabulary))
    ends = {"bos_token_id": vocabulary[PADDING], "pad_token_id": vocabulary[PADDING]}
    _write_json(folder / "generation_config.json", {**_GENERATION, **ends, "eos_token_id": [vocabulary[END]]})
    _write_weights(folder, [vocabulary[_as_bytes(word)] for word in words], vocabulary, bool(says), seed)
    return folder


def _pieces(says: str) -> list[str]:
    """The sentence cut before its spaces, so that each word has one number; none may come twice."""
    pieces = re.findall(r" ?[^ ]+", says)
    if len(set(pieces)) < len(pieces):
        raise ValueError(f"{says!r}: a word comes twice; a model without memory cannot know which word follows it")
    return pieces


def _write_tokenizer(folder: Path, family: Family, words: Iterable[str]) -> dict[str, int]:
    """Byte-level BPE whose only longer tokens are the words; returns the vocabulary."""
    letters = sorted(ByteLevel.alphabet())
    tokens, merges = dict.fromkeys(letters), []
    for word in map(_as_bytes, words):
        for end in range(2, len(word) + 1):
            if word[:end] not in tokens:
                tokens[word[:end]] = None
                merges.append([word[: end - 1], word[end - 1]])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    numbers = {token: len(vocabulary) + place for place, token in enumerate(SPECIALS)}
    added = [
        {"id": number, "content": token, "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for token, number in numbers.items()
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "byte_fallback": False}
    parts = {"added_tokens": added, "normalizer": None, "pre_tokenizer": byte_level, "decoder": byte_level}
    _write_json(folder / "tokenizer.json", {"version": "1.0", **parts, "post_processor": None, "model": model})
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(family, numbers))
    _write_json(folder / "preprocessor_config.json", _QWEN_PICTURES if family == "qwen2_5_vl" else _INTERN_PICTURES)
    if family == "internvl":
        processor = {"image_seq_length": 4, "processor_class": "InternVLProcessor"}
        _write_json(folder / "processor_config.json", processor)
    return {**vocabulary, **numbers}


def _tokenizer_config(family: Family, numbers: Mapping[str, int]) -> dict[str, Any]:
    intern = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    picture = {"qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>", "internvl": "<IMG_CONTEXT>\n"}[family]
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": _TEMPLATE.replace("PICTURE", picture),
        "added_tokens_decoder": {str(number): {"content": token, "special": True} for token, number in numbers.items()},
        "bos_token": None,
        "eos_token": END,
        "pad_token": PADDING,
        "unk_token": None,
        "model_max_length": 8192,
        "add_prefix_space": False,
        "processor_class": {"qwen2_5_vl": "Qwen2_5_VLProcessor", "internvl": "InternVLProcessor"}[family],
        **({"extra_special_tokens": intern} if family == "internvl" else {}),
    }


def _qwen_config(vocabulary: Mapping[str, int]) -> dict[str, Any]:
    """Flat, as published."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        **_TEXT,
        "vocab_size": len(vocabulary),
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vision_config": _QWEN_VISION,
        "image_token_id": vocabulary["<|image_pad|>"],
        "video_token_id": vocabulary["<|video_pad|>"],
        "vision_start_token_id": vocabulary["<|vision_start|>"],
        "vision_end_token_id": vocabulary["<|vision_end|>"],
        "bos_token_id": vocabulary[PADDING],
        "eos_token_id": vocabulary[END],
        "torch_dtype": "bfloat16",
    }


def _intern_config(vocabulary: Mapping[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": "internvl",
        "text_config": {"model_type": "qwen2", **_TEXT, "vocab_size": len(vocabulary)},
        "vision_config": _INTERN_VISION,
        "image_token_id": vocabulary["<IMG_CONTEXT>"],
        "image_seq_length": 4,
        "downsample_ratio": 0.5,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


_CONFIGS: dict[Family, Callable[[Mapping[str, int]], dict[str, Any]]] = {
    "qwen2_5_vl": _qwen_config,
    "internvl": _intern_config,
}


def _write_weights(folder: Path, words: list[int], vocabulary: Mapping[str, int], speaks: bool, seed: int) -> None:
    tensors = {name: _filled(name, tuple(tensor.shape), seed) for name, tensor in _published(folder).items()}
    head = next(name for name in tensors if name.endswith("lm_head.weight"))
    embedding = next(name for name in tensors if name.endswith("embed_tokens.weight"))
    if speaks:
        for name in tensors:
            if name.endswith(("self_attn.o_proj.weight", "mlp.down_proj.weight")):
                tensors[name].zero_()
        path = [vocabulary[_as_bytes(LAST_OF_PROMPT)], *words, vocabulary[END]]
        tensors[head].zero_()
        tensors[head][path[1:]] = torch.nn.functional.normalize(tensors[embedding][path[:-1]], dim=1) * 10
    else:
        silent = torch.ones(len(vocabulary), dtype=torch.bool)
        silent[words] = False
        tensors[head][silent] = 0
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")


def _published(folder: Path) -> dict[str, torch.Tensor]:
    """Names and shapes of the checkpoint's tensors, as transformers itself would publish them."""
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        return load_file(Path(place, "model.safetensors"))


def _filled(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    if "norm" in name or ".ln_q" in name:
        return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
    values = torch.from_numpy(normal(name, shape, seed)).float()
    if "embed_tokens" in name:
        return values
    return values * _loudness(name) / max(1, values[0].numel()) ** 0.5


def _loudness(name: str) -> float:
    """Pictures, and what attention makes of them, decide what a random model answers."""
    if name.startswith(("visual.merger", "multi_modal_projector")):
        return 6.0
    if name.startswith(("visual", "vision_tower")):
        return 1.0
    return 1.5 if "o_proj" in name else 2.0 if "q_proj" in name or "k_proj" in name else 1.0


def _as_bytes(word: str) -> str:
    """The word in the letters of byte-level BPE: a space is "Ġ"."""
    return "".join(piece for piece, _ in ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(word))


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
