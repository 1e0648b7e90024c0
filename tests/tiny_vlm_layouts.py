"""The published layouts of four families of vision-language models, at tiny sizes: all files but the weights."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tiny_vlm_tokenizer import tokenizer_file, words_and_merges

Family = Literal["qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm"]
WIDTH, LAYERS, HEADS, KV_HEADS = 64, 2, 4, 2
HEAD_WIDTH = WIDTH // HEADS
Vocabulary = Mapping[str, int]
_Config = dict[str, Any]

_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_QWEN_PICTURE = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_SMOL_TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5))
_TEXT: _Config = {
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "use_cache": True,
    "tie_word_embeddings": False,
}
_QWEN_VISION: _Config = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": WIDTH,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
_QWEN2_5_VISION: _Config = {
    **_QWEN_VISION,
    "hidden_act": "silu",
    "in_chans": 3,
    "patch_size": 14,
    "spatial_patch_size": 14,
    "window_size": 112,
    "fullatt_block_indexes": [1],
    "tokens_per_second": 2,
}
_QWEN3_VISION: _Config = {
    **_QWEN_VISION,
    "model_type": "qwen3_vl",
    "hidden_act": "gelu_pytorch_tanh",
    "in_channels": 3,
    "patch_size": 16,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0],
}
_INTERN_VISION: _Config = {
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
_SMOL_VISION: _Config = {
    "model_type": "smolvlm_vision",
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}
_CLIP_COLOURS = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
_HALF_COLOURS = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
_STEPS = dict.fromkeys(("do_convert_rgb", "do_normalize", "do_rescale", "do_resize"), True)
_QWEN2_5_PICTURES: _Config = {
    **_CLIP_COLOURS,
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
_QWEN3_PICTURES: _Config = {
    **_HALF_COLOURS,
    "size": {"longest_edge": 16777216, "shortest_edge": 4096},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "processor_class": "Qwen3VLProcessor",
}
_INTERN_PICTURES: _Config = {
    **_STEPS,
    "crop_to_patches": False,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "max_patches": 12,
    "min_patches": 1,
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 56, "width": 56},
    "image_processor_type": "GotOcr2ImageProcessorFast",
    "processor_class": "InternVLProcessor",
}
_SMOL_PICTURES: _Config = {
    **_STEPS,
    **_HALF_COLOURS,
    "do_image_splitting": True,
    "do_pad": True,
    "max_image_size": {"longest_edge": 56},
    "resample": 1,
    "rescale_factor": 0.00392156862745098,
    "size": {"longest_edge": 112},
    "image_processor_type": "SmolVLMImageProcessor",
    "processor_class": "SmolVLMProcessor",
}
_INTERN_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
_SMOL_TOKENS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}
_CHATML_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}PICTURE"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


@dataclass(frozen=True)
class Layout:
    """What tells one family's folder from another's."""

    config: Callable[[Vocabulary], _Config]
    pictures: _Config  # preprocessor_config.json
    specials: tuple[str, ...]
    generation: _Config
    template: str
    template_file: str  # where the family publishes it
    tokenizer: str = "Qwen2Tokenizer"
    named_tokens: Mapping[str, str] | None = None
    processor: _Config | None = None  # processor_config.json
    end: str = "<|im_end|>"
    padding: str = "<|endoftext|>"
    last_of_prompt: str = "\n"  # the token before the answer, as in "<|im_start|>assistant\n"


def write_layout(folder: Path, family: Family, tokens: Iterable[str], phrases: Iterable[str]) -> dict[str, int]:
    """Write config, tokenizer, template, preparation of pictures and generation config.

    Args:
        tokens: what the model can say besides single bytes.
        phrases: what it hears as one token, wherever it stands in a conversation.

    Returns:
        the number of each token, tokens of `tokens` in the letters of byte-level BPE.
    """
    layout = LAYOUTS[family]
    words, merges = words_and_merges(tokens)
    special = {token: len(words) + place for place, token in enumerate(layout.specials)}
    heard = {phrase: len(words) + len(special) + place for place, phrase in enumerate(phrases)}
    vocabulary = {**words, **special, **heard}
    _write_json(folder / "tokenizer.json", tokenizer_file(words, merges, special, heard))
    _write_tokenizer_config(folder, layout, special, heard)
    _write_json(folder / "config.json", layout.config(vocabulary))
    _write_json(folder / "preprocessor_config.json", layout.pictures)
    if layout.processor:
        _write_json(folder / "processor_config.json", layout.processor)
    ends = {"bos_token_id": vocabulary[layout.padding], "pad_token_id": vocabulary[layout.padding]}
    eos = {"eos_token_id": [vocabulary[layout.end], vocabulary[layout.padding]]}
    _write_json(folder / "generation_config.json", {**layout.generation, **ends, **eos})
    return vocabulary


def _write_tokenizer_config(folder: Path, layout: Layout, special: Vocabulary, heard: Vocabulary) -> None:
    decoder = {
        str(number): {"content": token, "special": token in special} for token, number in {**special, **heard}.items()
    }
    config: _Config = {
        "tokenizer_class": layout.tokenizer,
        "added_tokens_decoder": decoder,
        "bos_token": None,
        "eos_token": layout.end,
        "pad_token": layout.padding,
        "unk_token": None,
        "model_max_length": 32768,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "processor_class": layout.pictures["processor_class"],
        **({"extra_special_tokens": dict(layout.named_tokens)} if layout.named_tokens else {}),
    }
    if layout.template_file == "tokenizer_config.json":
        config["chat_template"] = layout.template
    elif layout.template_file.endswith(".json"):
        _write_json(folder / layout.template_file, {"chat_template": layout.template})
    else:
        (folder / layout.template_file).write_text(layout.template, encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", config)


def _qwen_tokens(vocabulary: Vocabulary) -> _Config:
    return {
        "image_token_id": vocabulary["<|image_pad|>"],
        "video_token_id": vocabulary["<|video_pad|>"],
        "vision_start_token_id": vocabulary["<|vision_start|>"],
        "vision_end_token_id": vocabulary["<|vision_end|>"],
    }


def _qwen2_5_config(vocabulary: Vocabulary) -> _Config:
    """Flat, as published."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        **_TEXT,
        "vocab_size": len(vocabulary),
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vision_config": _QWEN2_5_VISION,
        **_qwen_tokens(vocabulary),
        "bos_token_id": vocabulary["<|endoftext|>"],
        "eos_token_id": vocabulary["<|im_end|>"],
        "torch_dtype": "bfloat16",
    }


def _qwen3_config(vocabulary: Vocabulary) -> _Config:
    rope = {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"}
    text = {"model_type": "qwen3_vl_text", **_TEXT, "head_dim": HEAD_WIDTH, "attention_bias": False}
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "text_config": {**text, "rope_scaling": rope, "dtype": "bfloat16", "vocab_size": len(vocabulary)},
        "vision_config": _QWEN3_VISION,
        **_qwen_tokens(vocabulary),
        "tie_word_embeddings": False,
    }


def _intern_config(vocabulary: Vocabulary) -> _Config:
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


def _smol_config(vocabulary: Vocabulary) -> _Config:
    text = {"model_type": "llama", **_TEXT, "vocab_size": len(vocabulary), "pad_token_id": vocabulary["<|im_end|>"]}
    return {
        "architectures": ["SmolVLMForConditionalGeneration"],
        "model_type": "smolvlm",
        "text_config": text,
        "vision_config": _SMOL_VISION,
        "image_token_id": vocabulary["<image>"],
        "scale_factor": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


_QWEN_TEMPLATE = _CHATML_TEMPLATE.replace("PICTURE", "<|vision_start|><|image_pad|><|vision_end|>")
_SAMPLED = {"do_sample": True, "temperature": 0.1, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.05}
LAYOUTS: dict[Family, Layout] = {
    "qwen2_5_vl": Layout(
        config=_qwen2_5_config,
        pictures=_QWEN2_5_PICTURES,
        specials=(*_CHATML, *_QWEN_PICTURE),
        generation=_SAMPLED,
        template=_QWEN_TEMPLATE,
        template_file="tokenizer_config.json",
    ),
    "qwen3_vl": Layout(
        config=_qwen3_config,
        pictures=_QWEN3_PICTURES,
        specials=(*_CHATML, *_QWEN_PICTURE),
        generation={"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8},
        template=_QWEN_TEMPLATE,
        template_file="tokenizer_config.json",
    ),
    "internvl": Layout(
        config=_intern_config,
        pictures=_INTERN_PICTURES,
        specials=(*_CHATML, *_INTERN_TOKENS.values()),
        generation=_SAMPLED,
        template=_CHATML_TEMPLATE.replace("PICTURE", "<IMG_CONTEXT>\n"),
        template_file="chat_template.jinja",
        named_tokens=_INTERN_TOKENS,
        processor={"image_seq_length": 4, "processor_class": "InternVLProcessor"},
    ),
    "smolvlm": Layout(
        config=_smol_config,
        pictures=_SMOL_PICTURES,
        specials=(*_CHATML, *_SMOL_TOKENS.values(), *_SMOL_TILES),
        generation={},
        template=_SMOL_TEMPLATE,
        template_file="chat_template.json",
        tokenizer="GPT2Tokenizer",
        named_tokens=_SMOL_TOKENS,
        processor={"image_seq_len": 4, "processor_class": "SmolVLMProcessor"},
        end="<end_of_utterance>",
        padding="<|im_end|>",
        last_of_prompt=":",
    ),
}
