"""Which numbers a model computes in: one rule for the run and for the key of its captions."""

from __future__ import annotations

BFLOAT16_CAPABILITY = (8, 0)  # older GPUs emulate bfloat16, slowly


def choose_dtype(device: str, capability: tuple[int, int] | None, wanted: str = "auto") -> str:
    """The name of torch's type.

    Args:
        device: "cuda" or "cpu".
        capability: the GPU's compute capability, None without one.
        wanted: "auto", "bfloat16", "float16" or "float32".
    """
    if wanted != "auto":
        return wanted
    if device == "cpu":
        return "float32"
    return "bfloat16" if capability is None or capability >= BFLOAT16_CAPABILITY else "float16"


def choose_attention(wanted: str = "auto") -> str:
    """The name of transformers' attention code; flash attention only on request, since it is a package of its own."""
    return "sdpa" if wanted == "auto" else wanted
