"""Reading the metrics' weight files: tensors only, and only what fits."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from lib.errors import InputError

_LISTED = 4


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file that torch saved.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, torch's unpickler raises whatever it stumbles over
        raise InputError(f"{path}: cannot be read as weights ({_first_line(error)}); fetch it again") from error
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(f"{path}: found a {type(content).__name__}, expected a state dict of tensors; fetch it again")
    return dict(content)


def fill(net: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Give the net its weights.

    Raises:
        InputError: keys are missing or unknown, or a shape is another one.
    """
    wanted = net.state_dict()
    missing = [key for key in wanted if key not in tensors and not key.endswith("num_batches_tracked")]
    unknown = [key for key in tensors if key not in wanted]
    wrong = [key for key in wanted if key in tensors and tensors[key].shape != wanted[key].shape]
    problems = {"missing": missing, "unknown": unknown, "of another shape": wrong}
    if said := [f"{len(keys)} keys {what} ({', '.join(keys[:_LISTED])})" for what, keys in problems.items() if keys]:
        raise InputError(f"{path}: does not fit the network: {'; '.join(said)}; fetch the published file")
    net.load_state_dict(dict(tensors), strict=False)
    net.eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
