"""The sizes of the text model, as its published `config.json` states them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = ("quick_gelu", "gelu")


@dataclass(frozen=True)
class TextConfig:
    """Sizes of a text model; the defaults are Stable Diffusion 1.5's."""

    vocab_size: int = 49408
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    @classmethod
    def from_published(cls, content: Mapping[str, Any]) -> "TextConfig":
        """The config of a `config.json`; fields that no result depends on are ignored.

        Raises:
            ValueError: the activation is none that is known here.
        """
        config = cls(**{name: content[name] for name in cls.__dataclass_fields__ if name in content})
        if config.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act is {config.hidden_act!r}; known are {', '.join(ACTIVATIONS)}")
        return config
