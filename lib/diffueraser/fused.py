"""Whether the fused GPU kernels can be used; they need Triton, which comes with torch's CUDA builds."""

import importlib.util
import logging
import os
from functools import lru_cache
from types import ModuleType

import torch

from lib.runtime.fingerprints import default_cache_dir


def fused_kernels(x: torch.Tensor) -> ModuleType | None:
    """The kernels where they fit `x` (half precision on CUDA), else None: plain torch does the same."""
    if not x.is_cuda or x.dtype not in (torch.float16, torch.bfloat16):
        return None
    return _load_kernels()


@lru_cache
def _load_kernels() -> ModuleType | None:
    if importlib.util.find_spec("triton") is None:
        return None
    os.environ.setdefault("TRITON_CACHE_DIR", str(default_cache_dir() / "triton"))
    try:
        from lib.diffueraser import kernels

        kernels.try_out()
    except Exception as error:  # noqa: BLE001 (no C compiler, a read-only cache ...: slower, not broken)
        logging.getLogger(__name__).warning("fused kernels cannot be built, plain torch is used: %s", error)
        return None
    return kernels
