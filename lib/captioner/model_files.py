"""Where a vision-language model lies, and whether its folder is whole. Nothing is read but small files and headers."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import InputError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_PICTURE_CONFIGS = ("preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_GIT_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class ModelFiles:
    """A model that is there and whole."""

    folder: Path
    name: str  # as prompt files say it: the folder's, or the last part of its name on the hub
    model_type: str  # transformers' name of the family
    quantisation: str = ""  # "awq", "gptq" …; "" if its weights are plain


def find_model(spec: str) -> ModelFiles:
    """The model that a folder holds, or the hub's copy of it in the local cache. Nothing is downloaded.

    Args:
        spec: a folder, or a name on the hub such as "Qwen/Qwen2.5-VL-7B-Instruct".

    Raises:
        InputError: there is none, or everything that its folder lacks.
    """
    folder = _folder(spec)
    problems = [*_missing(folder), *_broken_json(folder), *_weight_problems(folder)]
    config = _read_json(folder / "config.json") or {}
    if (folder / "config.json").is_file() and not isinstance(config.get("model_type"), str):
        problems.append("config.json names no model_type")
    if problems:
        lines = "\n  - ".join([f"{folder}: not a whole vision-language model; fetch it again:", *problems])
        raise InputError(lines)
    method = config.get("quantization_config", {}).get("quant_method", "")
    return ModelFiles(folder, spec.rstrip("/").rpartition("/")[2], config["model_type"], str(method))


def small_files(folder: Path) -> list[Path]:
    """The files that say what the model is and how it is spoken to, without its weights."""
    kinds = {".json", ".jinja", ".txt", ".model"}
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in kinds)


def _folder(spec: str) -> Path:
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return folder.absolute()
    is_hub_id = _HUB_ID.fullmatch(spec) is not None
    if is_hub_id and (cached := _cached(spec)):
        return cached
    name = spec if is_hub_id else "Qwen/Qwen2.5-VL-7B-Instruct"
    looked = f"{folder.absolute()} and the hub's cache {_hub_cache()}" if is_hub_id else str(folder.absolute())
    raise InputError(
        f"{spec}: no vision-language model there (looked in {looked}). Nothing is downloaded by itself: run "
        f"`hf download {name} --local-dir {name.rpartition('/')[2]}` and give that folder as --caption_model_path"
    )


def _hub_cache() -> Path:
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home) / "hub")


def _cached(name: str) -> Path | None:
    repository = _hub_cache() / f"models--{name.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    snapshot = repository / "snapshots" / revision
    return snapshot if snapshot.is_dir() else None


def _missing(folder: Path) -> list[str]:
    wanted = (("config.json",), _TOKENIZERS, _PICTURE_CONFIGS)
    return [f"no {' or '.join(names)}" for names in wanted if not any((folder / name).is_file() for name in names)]


def _broken_json(folder: Path) -> list[str]:
    return [f"{path.name} is not JSON" for path in sorted(folder.glob("*.json")) if _read_json(path) is None]


def _read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; {} if there is no file, None if it holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _weight_problems(folder: Path) -> list[str]:
    for name in _WEIGHTS:
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = (_read_json(index) or {}).get("weight_map", {})
            return [problem for shard in sorted(set(shards.values())) for problem in _file_problems(folder / shard)]
        if (folder / name).is_file():
            return _file_problems(folder / name)
    return [f"no weights: {' or '.join(_WEIGHTS)}, whole or in parts with an index"]


def _file_problems(path: Path) -> list[str]:
    """What is wrong with a weight file as far as its first bytes and its size tell."""
    if not path.is_file():
        return [f"{path.name} is missing"]
    with path.open("rb") as file:
        head = file.read(len(_GIT_LFS))
    if head.startswith(_GIT_LFS):
        return [f"{path.name} is a Git LFS pointer, not the file itself"]
    return _header_problems(path) if path.suffix == ".safetensors" else [] if head else [f"{path.name} is empty"]


def _header_problems(path: Path) -> list[str]:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length < size else None
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"] if header else []
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        return [f"{path.name} has no safetensors header ({type(error).__name__})"]
    if not ends:
        return [f"{path.name} has no safetensors header"]
    expected = 8 + length + max(ends)
    return [] if size == expected else [f"{path.name} has {size} bytes, expected {expected}"]
