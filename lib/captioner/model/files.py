"""Where a vision-language model lies, and whether its folder is whole. Only small files and headers are read."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.captioner.backend import DEFAULT_MODEL
from lib.errors import InputError
from lib.runtime.user_folders import expanded

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_CACHED = re.compile(r"models--.+?--(?P<name>.+)/snapshots/[^/]+")  # the hub's layout of its cache
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_PICTURE_CONFIGS = ("preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in the order in which transformers looks for them
_GIT_LFS = b"version https://git-lfs"
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


@dataclass(frozen=True)
class ModelFiles:
    """A model that is there and whole."""

    folder: Path
    name: str  # as prompt files say it: the folder's, or the last part of its name on the hub
    model_type: str  # transformers' name of the family
    weight_bytes: int  # of all files that are loaded
    numbers: int  # how many there are in all tensors; 0 in old formats, which do not say
    quantisation: str = ""  # "awq", "gptq" …; "" if its weights are plain
    own_code: bool = False  # whether it brings code along, which is never run


def find_model(spec: str) -> ModelFiles:
    """The model that a folder holds, or the hub's copy of it in the local cache. Nothing is downloaded.

    Args:
        spec: a folder, or a name on the hub such as "Qwen/Qwen2.5-VL-7B-Instruct".

    Raises:
        InputError: there is none, or everything that its folder lacks.
    """
    folder = _folder(spec)
    try:
        weights = _weight_files(folder)
        problems = [*_missing(folder), *_json_problems(folder), *_weight_problems(folder, weights)]
    except PermissionError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions") from None
    config = _read_object(folder / "config.json") or {}
    if problems:
        raise InputError("\n  - ".join([f"{folder}: not a whole vision-language model; fetch it again:", *problems]))
    return ModelFiles(
        folder,
        _name(folder),
        config["model_type"],
        weight_bytes=sum(path.stat().st_size for path in weights),
        numbers=sum(_count(path) for path in weights),
        quantisation=_quantisation(config),
        own_code=bool(config.get("auto_map")),
    )


def small_files(folder: Path) -> list[Path]:
    """The files that say what the model is and how it is spoken to, without its weights."""
    kinds = {".json", ".jinja", ".txt", ".model"}
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in kinds)


def _folder(spec: str) -> Path:
    folder = expanded(Path(spec))
    if folder.is_dir():
        return Path(os.path.abspath(folder))  # noqa: PTH100 - "." and ".." go, and a link keeps its own name
    is_hub_id = _HUB_ID.fullmatch(spec) is not None
    if is_hub_id and (cached := _cached(spec)):
        return cached
    name = spec if is_hub_id else DEFAULT_MODEL
    looked = f"{folder.absolute()} and the hub's cache {_hub_cache()}" if is_hub_id else str(folder.absolute())
    kind = "a file, not a folder" if folder.is_file() else "no vision-language model there"
    raise InputError(
        f"{spec}: {kind} (looked in {looked}). Nothing is downloaded by itself: run "
        f"`hf download {name} --local-dir {name.rpartition('/')[2]}` and give that folder as --caption_model_path"
    )


def _hub_cache() -> Path:
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home, "hub")
    return expanded(Path(cache))


def _cached(name: str) -> Path | None:
    repository = _hub_cache() / f"models--{name.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    snapshot = repository / "snapshots" / revision
    return snapshot if snapshot.is_dir() else None


def _name(folder: Path) -> str:
    cached = _CACHED.fullmatch("/".join(folder.parts[-3:]))
    return cached["name"] if cached else folder.name


def _quantisation(config: dict[str, Any]) -> str:
    """How the weights are quantised, if they are."""
    settings = config.get("quantization_config")
    return str(settings.get("quant_method") or "in an unknown way") if isinstance(settings, dict) else ""


def _missing(folder: Path) -> list[str]:
    wanted = (("config.json",), _TOKENIZERS, _PICTURE_CONFIGS)
    return [f"no {' or '.join(names)}" for names in wanted if not any((folder / name).is_file() for name in names)]


def _json_problems(folder: Path) -> list[str]:
    found = {path.name: _read_object(path) for path in sorted(folder.glob("*.json")) if path.is_file()}
    problems = [f"{name} is empty, unreadable or no JSON object" for name, content in found.items() if content is None]
    if (config := found.get("config.json")) is not None and not isinstance(config.get("model_type"), str):
        problems.append("config.json names no model_type")
    return problems


def _read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in the file; None if there is no such thing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _weight_files(folder: Path) -> list[Path]:
    """The files that are loaded, whether they are there or not; none if nothing says which."""
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            parts = (_read_object(folder / f"{name}.index.json") or {}).get("weight_map")
            names = set(parts.values()) if isinstance(parts, dict) else set()
            return [folder / part for part in sorted(map(str, names))]
    return []


def _weight_problems(folder: Path, weights: Iterable[Path]) -> list[str]:
    problems = [_weight_problem(path) for path in weights]
    if not problems:
        listed = [f"{name}.index.json" for name in _WEIGHTS if (folder / f"{name}.index.json").is_file()]
        return [f"{listed[0]} names no parts" if listed else f"no weights: {' or '.join(_WEIGHTS)}, whole or in parts"]
    return [problem for problem in problems if problem]


def _weight_problem(path: Path) -> str:
    """What is wrong with a weight file as far as its first bytes and its size tell; "" if nothing."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(_GIT_LFS))
        if head == _GIT_LFS:
            return f"{path.name} is a Git LFS pointer, not the file itself"
        if path.suffix != ".safetensors":
            return "" if head else f"{path.name} is empty"
        length, tensors = _header(path)
        expected = 8 + length + max(int(entry["data_offsets"][1]) for entry in tensors.values())
        _count(path)
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return f"{path.name} has no safetensors header; it is damaged or something else"
    return "" if size == expected else f"{path.name} has {size} bytes, expected {expected}"


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Its length in bytes, and what a safetensors file says of each tensor."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(path.stat().st_size, _LONGEST_HEADER):
            raise ValueError(length)
        tensors = json.loads(file.read(length))
    return length, {name: entry for name, entry in tensors.items() if name != "__metadata__"}


def _count(path: Path) -> int:
    """How many numbers a safetensors file holds."""
    if path.suffix != ".safetensors":
        return 0
    return sum(math.prod(map(int, entry["shape"])) for entry in _header(path)[1].values())
