"""What an interpreter is and can import, as one line of JSON. Started as a file, in the environment that is looked at.

Nothing heavy is imported: torch's version file and the GPU's driver say what torch itself would take seconds for. It
has to run on any Python, so that too old ones can be told from broken ones.
"""

import sys

if __name__ == "__main__":  # neither this folder nor the present one belongs to the environment
    sys.path = [folder for folder in sys.path[1:] if folder]

import ctypes
import importlib.util
import json
import platform
import runpy
from pathlib import Path

DRIVER = "libcuda.so.1"
CAPABILITY = (75, 76)  # the driver's numbers of the two halves of a GPU's compute capability


def look(modules):
    """Python's version and prefix, the versions of all packages, those of `modules` that are there, and the GPU."""
    specs = {module: importlib.util.find_spec(module) for module in modules}
    found = {module: spec.origin for module, spec in specs.items() if spec and spec.origin}  # not an empty folder
    return {
        "version": platform.python_version(),
        "prefix": sys.prefix,
        "versions": versions(),
        "modules": list(found),
        "gpu": gpu(ctypes.CDLL) if "torch" in found and built_for_cuda(found["torch"]) else None,
    }


def versions():
    """Name in lower case -> version of each installed package; of two installations the first on the path counts."""
    try:
        from importlib.metadata import distributions
    except ImportError:
        return {}
    found = {}
    for package in distributions():
        if package.metadata["Name"]:
            found.setdefault(package.metadata["Name"].lower(), package.version)
    return found


def built_for_cuda(torch):
    """Whether the torch with this `__init__.py` can use a GPU at all."""
    return bool(runpy.run_path(str(Path(torch).with_name("version.py"))).get("cuda"))


def gpu(load_library):
    """The first GPU that CUDA_VISIBLE_DEVICES shows: its compute capability and its memory in bytes; None without."""
    try:
        driver = load_library(DRIVER)
    except OSError:
        return None
    device, count, half, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return None
    driver.cuDeviceGet(ctypes.byref(device), 0)
    capability = []
    for number in CAPABILITY:
        driver.cuDeviceGetAttribute(ctypes.byref(half), number, device)
        capability.append(half.value)
    driver.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    return {"capability": capability, "bytes": size.value}


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1:])))
