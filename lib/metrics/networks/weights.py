"""Where the weights of the metrics' networks are, and whether they look whole, found out without torch."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import InputError, check_all
from lib.runtime.fingerprints import fingerprint_weights

BACKBONE_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's AlexNet
HEADS_FILE = "lpips_alex.pth"  # the linear heads of LPIPS v0.1
PUBLISHED_HEADS_FILE = "alex.pth"  # their name where they are published, below weights/v0.1; as good
CLIP_CONFIG, CLIP_WEIGHTS = "config.json", ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class MetricWeights:
    """Weights of the networks that there are."""

    lpips: Path | None = None  # folder with AlexNet and the heads
    i3d: Path | None = None  # file i3d_rgb_imagenet.pt
    clip: Path | None = None  # folder of a CLIP model, transformers' layout
    raft: Path | None = None  # file raft-things.pth

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return bool(self.files)

    @property
    def files(self) -> dict[str, Path]:
        """All weight files by name."""
        found: dict[str, Path] = {}
        if self.lpips:
            found |= {"lpips backbone": self.lpips / BACKBONE_FILE, "lpips heads": heads_file(self.lpips)}
        if self.i3d:
            found["i3d"] = self.i3d
        if self.clip:
            found |= {"clip config": self.clip / CLIP_CONFIG, "clip": _clip_weights(self.clip)}
        if self.raft:
            found["raft"] = self.raft
        return found

    def check(self) -> None:
        """See that every file is there and looks whole; reads only their ends and headers.

        Raises:
            InputError: each one that is missing or damaged, and what it should be.
        """
        check_all(*[_soundness(name, path) for name, path in self.files.items()])

    def fingerprint(self) -> dict[str, str]:
        """A hash of each file's content, by name."""
        return {name: fingerprint_weights(path) for name, path in self.files.items()}

    def unavailable(self) -> dict[str, str]:
        """Why there are numbers that cannot be had, by metric."""
        missing = {
            "lpips": "" if self.lpips else "no weights of LPIPS (--lpips_path)",
            "vfid": "" if self.i3d else "no weights of I3D (--i3d_path)",
            "temporal_consistency": "" if self.clip else "no CLIP model (--clip_path)",
        }
        return {key: why for key, why in missing.items() if why}


def heads_file(folder: Path) -> Path:
    """The heads of LPIPS in a folder, under either name."""
    return _first_there(folder, (HEADS_FILE, PUBLISHED_HEADS_FILE))


def _clip_weights(folder: Path) -> Path:
    return _first_there(folder, CLIP_WEIGHTS)


def _first_there(folder: Path, names: tuple[str, ...]) -> Path:
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[0])


def _soundness(name: str, path: Path) -> Callable[[], None]:
    def check() -> None:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing"
            raise InputError(f"{path}: found {found}, expected the file of {name}; see the README on metrics")
        looks_whole = _FORMATS.get(path.suffix, _is_saved_by_torch)
        if not looks_whole(path):
            size = path.stat().st_size
            raise InputError(f"{path}: found {size} bytes that are no whole file of {name}; fetch it again")

    return check


def _is_saved_by_torch(path: Path) -> bool:
    """A whole zip archive or, from old versions of torch, a pickle, which begins with a protocol mark."""
    with path.open("rb") as file:
        start = file.read(2)
    return zipfile.is_zipfile(path) if start == b"PK" else start[:1] == b"\x80"


def _is_safetensors(path: Path) -> bool:
    """The size of the header, the header, and as many bytes as it announces."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            return False
        header = _json_object(file.read(length))
    tensors = [value for key, value in header.items() if key != "__metadata__"]
    try:
        end = max(value["data_offsets"][1] for value in tensors)
    except (KeyError, TypeError, IndexError, ValueError):
        return False
    return path.stat().st_size == 8 + length + end


def _is_json(path: Path) -> bool:
    return bool(_json_object(path.read_bytes()))


def _json_object(content: bytes) -> dict[str, Any]:
    """Empty for anything else."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


_FORMATS = {".json": _is_json, ".safetensors": _is_safetensors}
