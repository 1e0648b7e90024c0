from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from golden_support import LOADERS
from weight_filler import random_state


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A folder of checkpoints with random weights, by seed; each is written once."""

    @lru_cache
    def write(seed: int) -> Path:
        folder = tmp_path_factory.mktemp(f"weights_{seed}_")
        for net in LOADERS:
            torch.save(random_state(net, seed), folder / f"{net}.pth")
        return folder

    return write


@pytest.fixture(scope="session")
def network(model_dir: Callable[[int], Path]) -> Callable[[str, int], torch.nn.Module]:
    """A network with random weights, by name and seed, as it is loaded from its file; shared, so do not change it."""

    @lru_cache
    def load(net: str, seed: int) -> torch.nn.Module:
        return LOADERS[net](model_dir(seed) / f"{net}.pth")

    return load


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield
