"""provenance.json: from what, with what and how a result was made."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FILE_NAME = "provenance.json"
_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "av",
    "pypatchmatch",
    "torch",
    "tokenizers",
    "diffusers",
    "transformers",
    "prefect",
)


def software_versions() -> dict[str, str]:
    """Versions of Python and of every package that can decide a pixel or a word."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far.

    Not getrusage's maximum, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) * 1024


def write_json(path: Path, content: Any) -> Path:
    """Write JSON for people (indented, UTF-8) in one step: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)
    return path
