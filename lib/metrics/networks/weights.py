"""Where the weights of the metrics' networks are, and whether they look whole, found out without torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib.errors import InputError, check_all
from lib.runtime.fingerprints import fingerprint_weights
from lib.tensor_file import check_by_suffix

BACKBONE_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's AlexNet
HEADS_FILE = "lpips_alex.pth"  # the linear heads of LPIPS v0.1
PUBLISHED_HEADS_FILE = "alex.pth"  # their name where they are published, below weights/v0.1; as good
_SUFFIXES = (".json", ".safetensors")  # whatever else a file is called, torch has saved it
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
            raise InputError(
                f"{path}: found {found}, expected the file of {name}; `make weights WEIGHTS=--metrics` fetches it"
            )
        try:
            check_by_suffix(path, path.suffix if path.suffix in _SUFFIXES else ".pt")
        except InputError as error:
            raise InputError(f"{error}; expected the file of {name}; fetch it again") from error

    return check
