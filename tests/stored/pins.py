"""What stands in for everything that differs between machines while keys are made: packages, weights, GPUs.

Everything else of a key is the project's own: an upgrade of a package changes no stored key, a changed job does.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import batch
from lib.anchor import sd_inpaint
from lib.anchor.patch import PatchAnchorInpainter
from lib.anchor.sd_inpaint import SDInpaintAnchorInpainter
from lib.captioner import readiness
from lib.captioner.environment import CaptionEnv
from lib.captioner.model.files import ModelFiles
from lib.removers.diffueraser import DiffuEraserRemover
from lib.removers.propagation import PropagationRemover
from lib.removers.propainter import PropainterRemover

# Of the environment that the stored output folder was made in.
VERSIONS = {
    "diffusers": "0.42.1",
    "numpy": "2.4.6",
    "opencv": "5.0.0",
    "pillow": "13.0.0",
    "pypatchmatch": "2.2.0",
    "tokenizers": "0.23.3",
    "torch": "2.13.0",
    "transformers": "5.23.0",
}
_VERSIONED = (
    DiffuEraserRemover,
    PropagationRemover,
    PropainterRemover,
    PatchAnchorInpainter,
    SDInpaintAnchorInpainter,
)
_OURS = ("flows.", "lib.", "tasks.")


def pin_versions(patch: pytest.MonkeyPatch) -> None:
    """Engines and anchors tell the versions above in their fingerprints, whatever is installed."""
    for made in _VERSIONED:
        patch.setattr(made, "fingerprint", _with_versions(made.fingerprint))


def pin_everything(patch: pytest.MonkeyPatch, gpus: int) -> None:
    """The versions above, weights that need not be there, a caption environment that is not looked for.

    gpus: how many this machine appears to have.
    """
    pin_versions(patch)
    _everywhere(patch, "fingerprint_weights", lambda path, *_: f"content of {Path(path).name}")
    _everywhere(patch, "gpu_count", lambda: gpus)
    patch.setattr(sd_inpaint, "find_model", Path)
    patch.setattr(sd_inpaint, "inpainting_files", lambda folder: {"unet/weights": folder / "unet.safetensors"})
    patch.setattr(readiness, "find_model", lambda spec: ModelFiles(Path(spec), Path(spec).name, "qwen2_5_vl", 0, 0))
    patch.setattr(batch, "resolve_caption_env", lambda *_: _caption_env(gpus))


def _with_versions(fingerprint: Callable[[Any], dict[str, str]]) -> Callable[[Any], dict[str, str]]:
    def pinned(self: Any) -> dict[str, str]:
        return {name: VERSIONS.get(name.rpartition(" ")[2], value) for name, value in fingerprint(self).items()}

    return pinned


def _everywhere(patch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    """Replace a function wherever the project's modules have it, so that moving a call changes nothing here."""
    found = [module for key, module in sys.modules.items() if key.startswith(_OURS) and name in vars(module)]
    assert found, f"no module has {name}"
    for module in found:
        patch.setattr(module, name, value)


def _caption_env(gpus: int) -> CaptionEnv:
    modules = frozenset(("prefect", "pydantic", "torch", "transformers", "accelerate", "PIL", "yaml", "numpy", "av"))
    return CaptionEnv(Path("python"), "caption-env", "3.11.2", modules, VERSIONS, (9, 0) if gpus else None, 2**36)
