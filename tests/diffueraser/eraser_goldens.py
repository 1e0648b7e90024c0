"""Goldens: what the reference DiffuEraser computed from inputs and weights that anybody can make again.

A golden is an .npz file with "meta" (JSON: its kind, parameters, seeds of the weights, tolerances) and arrays, inputs
and outputs side by side; meta["gen"] says how inputs that are not stored are made. Two goldens are JSON files: tables
of windows and of sizes.

GOLDENS_DIR in the environment names another folder; everything below its subfolder diffueraser/ is then used instead.
"""

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hashed_weights import fill, normal

from lib.diffueraser.autoencoder import Autoencoder, AutoencoderConfig
from lib.diffueraser.brushnet import BrushNet
from lib.diffueraser.config import NetConfig
from lib.diffueraser.unet import MotionUNet

COPIES = Path(__file__).parent / "goldens"
OTHER_GOLDENS = os.environ.get("GOLDENS_DIR")
GOLDENS = Path(OTHER_GOLDENS) / "diffueraser" if OTHER_GOLDENS else COPIES
KINDS = (
    "block", "brushnet", "clip_text", "forward", "lora", "loop", "mask", "motion", "scheduler", "unet", "vae",
    "windows", "sizing",
)  # fmt: skip

Value = torch.Tensor | np.ndarray


class Golden:
    """One golden; see the module's docstring."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with np.load(path, allow_pickle=False) as stored:
            self._stored = {name: stored[name] for name in stored.files}
        self.meta: dict[str, Any] = json.loads(str(self._stored.pop("meta")))
        self._made = {
            name: normal(recipe["key"], recipe["shape"], recipe["seed"]) * np.float32(recipe["scale"])
            for name, recipe in self.meta["gen"].items()
        }
        self._taken: set[str] = set()

    @property
    def config(self) -> NetConfig:
        """Of the networks."""
        content = self.meta["config"]
        return NetConfig(**content | {"block_out_channels": tuple(content["block_out_channels"])})

    def has(self, name: str) -> bool:
        return name in self._stored or name in self._made

    def array(self, name: str) -> np.ndarray:
        """An input, stored or made."""
        self._taken.add(name)
        return self._made[name] if name in self._made else self._stored[name]

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.array(name))

    def tensors(self, prefix: str) -> list[torch.Tensor]:
        """All inputs named <prefix>_00, <prefix>_01 ..., in order."""
        names = {name for name in (*self._stored, *self._made) if re.fullmatch(rf"{prefix}_\d+", name)}
        return [self.tensor(name) for name in sorted(names)]

    def check_all(self, values: dict[str, Value]) -> None:
        """Assert that values are the reference's; every array that was not taken as an input has to be given."""
        missing = set(self._stored) - self._taken - set(values)
        assert not missing, f"{self.path.name}: nothing to compare with {sorted(missing)}"
        for name, value in values.items():
            self.check(name, value)

    def check(self, name: str, value: Value) -> None:
        """Assert that an output is the reference's, within its tolerance; prints how close it is."""
        expected = self._stored[name]
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        assert array.shape == expected.shape, f"{self.path.name}: {name} is {array.shape}, not {expected.shape}"
        difference = np.abs(array.astype(np.float64) - expected.astype(np.float64))
        difference[~np.isfinite(difference)] = np.inf
        worst, share = difference.max(initial=0), float(np.mean(difference > 0))
        limit, most = self._tolerance(name, expected)
        report = f"{self.path.stem} {name}: max abs {worst:.2e} for {limit:.1e}, {share:.1e} differ for {most:.1e}"
        print(report)
        assert worst <= limit, report
        assert share <= most, report

    def _tolerance(self, name: str, expected: np.ndarray) -> tuple[float, float]:
        """Greatest difference, and greatest share of values that may differ at all."""
        rule = self.meta.get("uint8_rule")
        if rule and name in rule["applies_to"]:
            return rule["max_abs"], rule["max_fraction"]
        return (self.meta["atol"], 1.0) if np.issubdtype(expected.dtype, np.floating) else (0, 0)


def each_golden(kind: str) -> pytest.MarkDecorator:
    """Runs a test once for every golden of a kind, as its parameter `golden_path`."""
    paths = [path for path, found in find_goldens() if found == kind]
    missing = pytest.param(None, marks=pytest.mark.skip(f"{GOLDENS} holds no golden of kind {kind}"), id="none")
    return pytest.mark.parametrize("golden_path", [pytest.param(path, id=path.stem) for path in paths] or [missing])


@lru_cache
def find_goldens(folder: Path = GOLDENS) -> list[tuple[Path, str]]:
    """Every golden below a folder and its kind."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".npz", ".json"))
    return [(path, _kind(path)) for path in paths]


def load_table(path: Path) -> Any:
    """A golden that is a JSON file."""
    return json.loads(path.read_text())


@lru_cache(maxsize=4)
def brushnet(config: NetConfig, seed: int) -> BrushNet:
    """With the weights of a seed; shared, so do not change it."""
    return fill(BrushNet(config), seed)


@lru_cache(maxsize=4)
def motion_unet(config: NetConfig, seed: int) -> MotionUNet:
    """With the weights of a seed; shared, so do not change it."""
    return fill(MotionUNet(config), seed)


def autoencoder(config: dict[str, Any], seed: int) -> Autoencoder:
    return fill(Autoencoder(AutoencoderConfig.from_published(config)), seed)


def _kind(path: Path) -> str:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            return json.loads(str(stored["meta"]))["kind"] if "meta" in stored.files else "unknown"
    content = load_table(path)
    if isinstance(content, dict) and content and all(re.fullmatch(r"\d+/\d+", key) for key in content):
        return "windows"
    return "sizing" if isinstance(content, list) else "unknown"
