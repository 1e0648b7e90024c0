"""How a step that is repeated many times is run: directly, or as a CUDA graph (see `graphs.py`)."""

from typing import Protocol

import torch


class Steps(Protocol):
    """Runs `getattr(module, method)(*inputs)`; the result belongs to the caller."""

    def __call__(self, module: object, method: str, *inputs: torch.Tensor | int) -> torch.Tensor: ...


def run_directly(module: object, method: str, *inputs: torch.Tensor | int) -> torch.Tensor:
    """Just call it."""
    return getattr(module, method)(*inputs)
