"""Which numbers a model computes in, and with which attention: one rule for the run and for the key of its captions."""

from __future__ import annotations

from lib.errors import InputError

BFLOAT16_CAPABILITY = (8, 0)  # older GPUs emulate bfloat16, slowly
DTYPES = ("auto", "bfloat16", "float16", "float32")
ATTENTIONS = ("auto", "sdpa", "eager", "flash_attention_2")


def choose_dtype(device: str, capability: tuple[int, int] | None, wanted: str = "auto") -> str:
    """The name of torch's type.

    Args:
        device: "cuda" or "cpu".
        capability: the GPU's compute capability, None without one.
        wanted: one of `DTYPES`.

    Raises:
        InputError: an unknown type is wanted.
    """
    if wanted not in DTYPES:
        raise InputError(f"found the caption dtype {wanted!r}; expected one of: {', '.join(DTYPES)}")
    if wanted != "auto":
        return wanted
    if device == "cpu":
        return "float32"
    return "bfloat16" if capability is None or capability >= BFLOAT16_CAPABILITY else "float16"


def choose_attention(wanted: str = "auto") -> str:
    """The name of transformers' attention code; flash attention only on request, since it is a package of its own.

    Raises:
        InputError: an unknown one is wanted.
    """
    if wanted not in ATTENTIONS:
        raise InputError(f"found the caption attention {wanted!r}; expected one of: {', '.join(ATTENTIONS)}")
    return "sdpa" if wanted == "auto" else wanted
