"""Random weights and inputs that depend on (seed, key, place in the tensor) only: the same on every machine.

SHA-256 of "<seed>|<key>" starts a splitmix64 sequence, whose top 53 bits give uniform numbers in -1..1 (float64); they
are scaled so that activations keep their size, and rounded once to float32. The goldens of the reference DiffuEraser
were made with these, and know their weights by seed.
"""

import hashlib
from typing import TypeVar

import numpy as np
import torch

_STRIDE = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# Tables and counters keep what the module computed; the factors of a LoRA are set by whoever writes it.
_KEPT = (".pe", "position_ids", "num_batches_tracked", "running_mean", "running_var", ".alpha")

Module = TypeVar("Module", bound=torch.nn.Module)
Shape = tuple[int, ...] | list[int]


def uniform(key: str, count: int, seed: int = 0) -> np.ndarray:
    """float64 numbers in -1..1, without 1."""
    start = np.frombuffer(hashlib.sha256(f"{seed}|{key}".encode()).digest()[:8], dtype="<u8")[0]
    with np.errstate(over="ignore"):
        words = start + np.arange(1, count + 1, dtype=np.uint64) * _STRIDE
        words = (words ^ (words >> np.uint64(30))) * _MIX_1
        words = (words ^ (words >> np.uint64(27))) * _MIX_2
        words = words ^ (words >> np.uint64(31))
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def normal(key: str, shape: Shape, seed: int = 0) -> np.ndarray:
    """float32 numbers, nearly N(0, 1)."""
    numbers = uniform("normal:" + key, 12 * int(np.prod(shape)), seed).reshape(12, -1)
    return (numbers.sum(0) / 2.0).reshape(shape).astype(np.float32)


def weight(key: str, shape: Shape, seed: int = 0) -> np.ndarray | None:
    """The float32 tensor of a key; None where it stays as it is."""
    if key.endswith(_KEPT):
        return None
    numbers = uniform(key, int(np.prod(shape)) if shape else 1, seed)
    if len(shape) >= 2:
        numbers = numbers * np.sqrt(3.0 / np.prod(shape[1:]))
    if key.startswith("brushnet_"):  # its zero convolutions, which have learnt something
        numbers = numbers * (0.5 if len(shape) >= 2 else 0.02)
    elif len(shape) == 1 and key.endswith(".weight"):  # of a normalisation
        numbers = 1.0 + 0.1 * numbers
    elif len(shape) < 2:
        numbers = 0.05 * numbers
    return numbers.reshape(shape).astype(np.float32)


def fill(module: Module, seed: int = 0, prefix: str = "") -> Module:
    """Sets every floating tensor of a module's state; `prefix` stands before its keys. Returns the module, in eval."""
    with torch.no_grad():
        for key, tensor in module.state_dict(keep_vars=True).items():
            values = weight(prefix + key, tuple(tensor.shape), seed) if tensor.is_floating_point() else None
            if values is not None:
                tensor.copy_(torch.from_numpy(values))
    return module.eval().requires_grad_(False)
