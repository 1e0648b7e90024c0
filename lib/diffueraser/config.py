"""The sizes of both denoising networks, as their published `config.json` states them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NetConfig:
    """Sizes of BrushNet and of the motion UNet; the defaults are the published ones."""

    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)  # from the finest level to the coarsest
    layers_per_block: int = 2
    norm_num_groups: int = 32
    cross_attention_dim: int = 768  # width of a text row
    heads: int = 8  # of the spatial attention, on every level
    motion_heads: int = 8
    motion_max_seq_length: int = 32  # frames in a row that the motion modules can tell apart

    @classmethod
    def from_published(cls, content: Mapping[str, Any]) -> "NetConfig":
        """The config of a `config.json`; fields that no result depends on are ignored, missing ones are SD 1.5's."""
        heads = content.get("num_attention_heads") or content.get("attention_head_dim")
        fields = {
            "block_out_channels": tuple(content["block_out_channels"]) if "block_out_channels" in content else None,
            "layers_per_block": content.get("layers_per_block"),
            "norm_num_groups": content.get("norm_num_groups"),
            "cross_attention_dim": content.get("cross_attention_dim"),
            "heads": heads,
            "motion_heads": content.get("motion_num_attention_heads"),
            "motion_max_seq_length": content.get("motion_max_seq_length"),
        }
        return cls(**{name: value for name, value in fields.items() if value is not None})

    @property
    def time_channels(self) -> int:
        """Width of the time embedding."""
        return 4 * self.block_out_channels[0]
