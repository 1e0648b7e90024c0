"""The three published weight files, loaded without unpickling anything but tensors."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from lib.errors import InputError
from lib.propainter.flow_completion import FlowCompletion
from lib.propainter.generator import InpaintGenerator
from lib.propainter.raft import RAFT
from lib.propainter.weight_files import FLOW_COMPLETION_FILE, GENERATOR_FILE, RAFT_FILE, SOURCE, damaged

# Keys of the files that no result depends on.
NOT_FOR_INFERENCE = {
    RAFT_FILE: r".*\.norm3\..*",  # second names of downsample.1, which counts where they differ
    FLOW_COMPLETION_FILE: r"edgeDetector\..*",  # a loss of the training
    GENERATOR_FILE: r"(?!)",  # none
}
MAY_BE_MISSING = r".*\.num_batches_tracked"
LISTED_KEYS = 5
_Net = TypeVar("_Net", bound=nn.Module)


def load_raft(path: Path) -> RAFT:
    """RAFT with the weights of `raft-things.pth`, on the CPU, ready for inference."""
    return _load(RAFT(), path, RAFT_FILE)


def load_flow_completion(path: Path) -> FlowCompletion:
    """The completion network with the weights of `recurrent_flow_completion.pth`, on the CPU, ready for inference."""
    return _load(FlowCompletion(), path, FLOW_COMPLETION_FILE)


def load_generator(path: Path) -> InpaintGenerator:
    """The generator with the weights of `ProPainter.pth`, on the CPU, ready for inference."""
    return _load(InpaintGenerator(), path, GENERATOR_FILE)


def _load(net: _Net, path: Path, published_name: str) -> _Net:
    weights = _read_tensors(path)
    weights = {key.removeprefix("module."): value for key, value in weights.items()}
    not_needed = re.compile(NOT_FOR_INFERENCE[published_name])
    weights = {key: value for key, value in weights.items() if not not_needed.fullmatch(key)}
    _check_keys(net.state_dict(), weights, path)
    net.load_state_dict(weights, strict=False)
    return net.eval().requires_grad_(False)


def _read_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; get it from {SOURCE}") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise damaged(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise damaged(path, f"it holds {type(content).__name__}, not a dictionary of tensors")
    return content


def _check_keys(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], path: Path) -> None:
    missing = [key for key in expected if key not in found and not re.fullmatch(MAY_BE_MISSING, key)]
    unexpected = [key for key in found if key not in expected]
    reshaped = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    if said := [f"{_listed(keys)} {what}" for what, keys in problems.items() if keys]:
        raise InputError(f"{path}: not the published weights: {'; '.join(said)}; download it again from {SOURCE}")


def _listed(keys: list[str]) -> str:
    more = len(keys) - LISTED_KEYS
    return ", ".join(keys[:LISTED_KEYS]) + (f" and {more} more" if more > 0 else "")
