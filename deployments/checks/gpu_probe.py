"""Looks at the GPUs: `python -m deployments.checks.gpu_probe driver|torch`, as a child; a line of JSON a fact.

`driver` asks NVIDIA's libraries and needs nothing installed; `torch` imports torch and computes. Judging is
`deployments.checks.gpu`'s business.
"""

from __future__ import annotations

import ctypes
import glob
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CUDA, NVML = "libcuda.so.1", "libnvidia-ml.so.1"
_CAPABILITY = (75, 76)  # the driver's numbers of the two halves of a GPU's compute capability
_NAME_BYTES, _BUS_BYTES, _MOST_PROCESSES = 96, 32, 64
Load = Callable[[str], Any]


class Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Process(ctypes.Structure):
    """nvmlProcessInfo_t."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def driver_facts(load: Load = ctypes.CDLL) -> Iterator[dict[str, Any]]:
    """First the driver, then each GPU that CUDA_VISIBLE_DEVICES shows."""
    nodes = len(glob.glob("/dev/nvidia[0-9]*"))  # noqa: PTH207 - a pattern below /dev, nothing to join
    try:
        cuda = load(CUDA)
    except OSError:
        yield {"kind": "driver", "cuda": None, "nodes": nodes}
        return
    nvml = _nvml(load)
    code, version = cuda.cuInit(0), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    yield {"kind": "driver", "cuda": version.value, "nodes": nodes, "error": code, "version": _driver_version(nvml)}
    count = ctypes.c_int()
    if code == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0:
        for number in range(count.value):
            yield {"kind": "gpu", "number": number, **_device(cuda, nvml, number)}


def torch_facts() -> Iterator[dict[str, Any]]:
    """First torch's build, then each GPU after something was computed on it, then whether fused kernels can be built.

    Before each step that may hang or crash a line says so: the last one tells where it did.
    """
    yield {"kind": "step", "name": "importing torch"}
    import torch

    yield {"kind": "step", "name": "starting CUDA"}
    available = torch.cuda.is_available()
    archs = torch.cuda.get_arch_list()
    yield {
        "kind": "torch",
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "archs": archs,
        "available": available,
    }
    for number in range(torch.cuda.device_count() if available else 0):
        yield {"kind": "step", "name": f"computing on GPU {number}"}
        yield {"kind": "computed", "number": number, **_compute(number)}
    if available:
        yield {"kind": "step", "name": "building fused kernels"}
        yield {"kind": "kernels", **_kernels()}
    yield {"kind": "step", "name": ""}


def _device(cuda: Any, nvml: Any, number: int) -> dict[str, Any]:
    device, half, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name, bus = (ctypes.create_string_buffer(length) for length in (_NAME_BYTES, _BUS_BYTES))
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(name, _NAME_BYTES, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    cuda.cuDeviceGetPCIBusId(bus, _BUS_BYTES, device)
    capability = []
    for attribute in _CAPABILITY:
        cuda.cuDeviceGetAttribute(ctypes.byref(half), attribute, device)
        capability.append(half.value)
    facts = {"name": name.value.decode(errors="replace"), "total": size.value, "capability": capability}
    return facts | (_usage(nvml, bus) if nvml else {})


def _nvml(load: Load) -> Any:
    """NVIDIA's management library, ready; None where it is missing or does not work."""
    try:
        nvml = load(NVML)
    except OSError:
        return None
    return nvml if nvml.nvmlInit_v2() == 0 else None


def _driver_version(nvml: Any) -> str:
    text = ctypes.create_string_buffer(_NAME_BYTES)
    if nvml is None or nvml.nvmlSystemGetDriverVersion(text, _NAME_BYTES) != 0:
        return ""
    return text.value.decode(errors="replace")


def _usage(nvml: Any, bus: Any) -> dict[str, Any]:
    """Free bytes of the GPU at this bus address, and the processes that compute on it."""
    handle, memory = ctypes.c_void_p(), Memory()
    if nvml.nvmlDeviceGetHandleByPciBusId_v2(bus, ctypes.byref(handle)) != 0:
        return {}
    facts: dict[str, Any] = {}
    if nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0:
        facts["free"] = memory.free
    count, running = ctypes.c_uint(_MOST_PROCESSES), (Process * _MOST_PROCESSES)()
    if hasattr(nvml, "nvmlDeviceGetComputeRunningProcesses_v3") and (
        nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle, ctypes.byref(count), running) == 0
    ):
        facts["processes"] = [_process(running[index]) for index in range(count.value)]
    return facts


def _process(found: Process) -> dict[str, Any]:
    unknown = found.used >= 2**63  # what NVML says where it may not look
    return {"pid": found.pid, "used": None if unknown else found.used, "name": _command(found.pid)}


def _command(pid: int) -> str:
    """The first words of a process's command line; "" where it is not visible from here."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return " ".join(word for word in words[:3] if word)[:60]


def _compute(number: int) -> dict[str, Any]:
    """A product and a convolution, which load cuBLAS and cuDNN, in half precision."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info(number)
        ones = torch.ones(1, 8, 16, 16, device=f"cuda:{number}", dtype=torch.float16)
        product = float((ones[0, 0] @ ones[0, 0]).sum())
        convolved = float(torch.nn.functional.conv2d(ones, ones[:, :, :3, :3]).sum())
    except RuntimeError as error:
        return {"error": str(error).strip().splitlines()[0]}
    right = product == 16.0**3 and convolved == 72.0 * 14**2
    return {"error": "" if right else f"wrong results ({product}, {convolved})", "free": free, "total": total}


def _kernels() -> dict[str, Any]:
    import logging

    import torch

    from lib.diffueraser.fused import fused_kernels

    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("lib.diffueraser.fused").addHandler(listener)
    built = fused_kernels(torch.zeros(1, device="cuda", dtype=torch.float16)) is not None
    return {"built": built, "reason": (said or ["triton is not installed"])[0].splitlines()[0] if not built else ""}


def main() -> None:
    """Print the facts of the way that the command line names."""
    for fact in {"driver": driver_facts, "torch": torch_facts}[sys.argv[1]]():
        print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main()
