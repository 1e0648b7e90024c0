"""CLIP's text model (Radford et al. 2021), which Stable Diffusion reads words with."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lib.diffueraser.text_config import TextConfig

Modules = Any  # an nn.ModuleDict, which does not tell the types of its items


class TextModel(nn.Module):
    """Keys are the published ones without `text_model.` in front."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.embeddings: Modules = nn.ModuleDict(
            {
                "token_embedding": nn.Embedding(config.vocab_size, width),
                "position_embedding": nn.Embedding(config.max_position_embeddings, width),
            }
        )
        layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder: Modules = nn.ModuleDict({"layers": layers})
        self.final_layer_norm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Token numbers (n, S) -> the last hidden states behind the final norm (n, S, D)."""
        positions = self.embeddings["position_embedding"].weight[: ids.shape[1]]
        rows = self.embeddings["token_embedding"](ids) + positions
        for layer in self.encoder["layers"]:
            rows = layer(rows)
        return self.final_layer_norm(rows)


class _Layer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self._heads, self._quick = config.num_attention_heads, config.hidden_act == "quick_gelu"
        names = ("q_proj", "k_proj", "v_proj", "out_proj")
        self.self_attn = nn.ModuleDict({name: nn.Linear(width, width) for name in names})
        self.layer_norm1 = nn.LayerNorm(width, eps)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, config.intermediate_size), "fc2": nn.Linear(config.intermediate_size, width)}
        )
        self.layer_norm2 = nn.LayerNorm(width, eps)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        rows = rows + self._attend(self.layer_norm1(rows))
        inner = self.mlp["fc1"](self.layer_norm2(rows))
        inner = inner * torch.sigmoid(1.702 * inner) if self._quick else F.gelu(inner)
        return rows + self.mlp["fc2"](inner)

    def _attend(self, rows: torch.Tensor) -> torch.Tensor:
        """Every row to itself and those before it."""
        query, key, value = (
            self.self_attn[name](rows).unflatten(2, (self._heads, -1)).transpose(1, 2)  # (n, heads, S, D / heads)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.self_attn["out_proj"](mixed.transpose(1, 2).flatten(2))
