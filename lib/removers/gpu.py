"""Which GPU a process works on, found out without importing torch: that takes seconds, and a plan never computes."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from lib.errors import InputError
from lib.runtime.slots import current_gpu

if TYPE_CHECKING:
    import torch

    from lib.removers.base import RemovalRequest

_DRIVER = "libcuda.so.1"
# How torch, cuBLAS, cuDNN and Triton begin the message of an error after which a process can use its GPU no more.
_LOSSES = ("CUDA error", "CUDA driver error", "CUBLAS_STATUS_", "cuDNN error", "CUDNN_STATUS_", "Triton Error [CUDA]")
_NO_LOSSES = ("out of memory", "ALLOC_FAILED", "NOT_SUPPORTED")
HOW_TO_USE_THE_CPU = "hide the GPU (CUDA_VISIBLE_DEVICES= in front of the command) to work on the CPU"


class GpuLostError(RuntimeError):
    """The GPU, or this process's hold on it, is lost: whatever this process does next fails as well."""


def gpu_loss(error: BaseException) -> GpuLostError | None:
    """What an error of the networks says about the GPU: the loss of it, or None. Too little memory is no loss."""
    said = str(error)
    lost = isinstance(error, RuntimeError) and any(words in said for words in _LOSSES)
    if not lost or any(words in said for words in _NO_LOSSES):
        return None
    gpu = current_gpu()
    return GpuLostError(f"{'the GPU' if gpu is None else f'GPU {gpu}'} was lost ({said.splitlines()[0]})")


@contextmanager
def naming_gpu_loss() -> Iterator[None]:
    """Raise errors that mean the loss of the GPU as `GpuLostError`, others as they are."""
    try:
        yield
    except RuntimeError as error:
        if loss := gpu_loss(error):
            raise loss from error
        raise


@lru_cache
def gpu_count() -> int:
    """GPUs that networks run on, CUDA_VISIBLE_DEVICES minded; 0 if there is none or torch is built without CUDA."""
    driver = _load_driver() if torch_cuda_version() else None
    count = ctypes.c_int()
    if driver is None or driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def check_gpu() -> None:
    """See that the GPUs that are there can be used.

    Raises:
        InputError: torch needs a newer driver.
    """
    driver = _load_driver()
    if gpu_count() == 0 or driver is None:
        return
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    needed = torch_cuda_version() or "0"
    if version.value // 1000 < int(needed.partition(".")[0]):
        known = f"{version.value // 1000}.{version.value % 1000 // 10}"
        raise InputError(
            f"the GPU's driver knows CUDA up to {known} and the installed torch is built for CUDA {needed}; "
            f"update the driver, install another torch, or {HOW_TO_USE_THE_CPU}"
        )


def torch_device() -> torch.device:
    """The device of this process: the GPU that it was given (the first if nobody gave it one), else the CPU.

    Raises:
        InputError: there is a GPU that torch cannot use.
    """
    import torch

    count = gpu_count()
    if count == 0:
        # A pool tells OpenCV how many of the cores each of its processes may use; torch would take them all.
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cv2.getNumThreads())))
        return torch.device("cpu")
    # Clips of all sizes pass through one process: without this, memory breaks into pieces that fit no later clip.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    if not torch.cuda.is_available():
        raise InputError(f"torch {torch.__version__} cannot use the GPU that is there; {HOW_TO_USE_THE_CPU}")
    device = torch.device("cuda", current_gpu() or 0)
    torch.cuda.set_device(device)
    return device


def does_not_fit(request: RemovalRequest, error: Exception, advice: str) -> InputError:
    """The error for a clip whose work ran out of the GPU's memory; `advice`: what this engine's user may lower."""
    count, height, width = request.frames.shape[:3]
    reason = ". ".join(str(error).splitlines()[0].split(". ")[:3])  # what follows is about the allocator
    return InputError(
        f"{request.video_name or 'the clip'}: {count} frames of {width}x{height} do not fit into the GPU's memory "
        f"({reason}); {advice}, work at a smaller size (--max_img_size, --height, --width) "
        "or cut the clip (--video_length)"
    )


def torch_cuda_version() -> str | None:
    """The CUDA version that the installed torch is built for, from the one file of it that says so."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    return runpy.run_path(str(Path(spec.origin).with_name("version.py"))).get("cuda")


def _load_driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(_DRIVER)
    except OSError:
        return None
