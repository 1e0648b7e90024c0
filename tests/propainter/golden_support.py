"""Goldens: what the reference implementation computed from inputs and weights that anybody can make again.

A golden is an .npz file with "meta" (JSON) and arrays: in/<name>, a whole input; out/<name>, a whole output;
smp/<name>, every n-th value of an output. meta has the weights' seed, the parameters, and for each output its shape,
the n, and the tolerance: atol, rtol, and the share of elements that may lie outside (ties of rounding).

GOLDENS_DIR in the environment names another folder; what is in its subfolder propainter/ is then used instead.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from weight_filler import FLOW_COMPLETION, GENERATOR, RAFT

from lib.propainter.checkpoints import load_flow_completion, load_generator, load_raft

LOADERS = {RAFT: load_raft, FLOW_COMPLETION: load_flow_completion, GENERATOR: load_generator}
OTHER_GOLDENS = os.environ.get("GOLDENS_DIR")
GOLDENS = Path(OTHER_GOLDENS) / "propainter" if OTHER_GOLDENS else Path(__file__).parent / "goldens"
KINDS = ("align", "dcn", "driver", "flowcomp", "gen", "helpers", "imgprop", "raft_bi", "raft_pair")  # name prefixes

Value = torch.Tensor | np.ndarray


class Golden:
    """One golden; see the module's docstring."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with np.load(path, allow_pickle=False) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        self.meta: dict[str, Any] = json.loads(str(self._arrays.pop("meta")))
        self.params: dict[str, Any] = self.meta["params"]

    @property
    def seed(self) -> int:
        """Of the weights."""
        return self.meta["seed"]

    @property
    def outputs(self) -> list[str]:
        return sorted(self.meta["outputs"])

    def input(self, name: str) -> np.ndarray:
        return self._arrays[f"in/{name}"]

    def inputs(self) -> dict[str, np.ndarray]:
        return {name.removeprefix("in/"): array for name, array in self._arrays.items() if name.startswith("in/")}

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.input(name))

    def check(self, name: str, value: Value) -> None:
        """Assert that an output is the reference's, within its tolerance; prints how close it is."""
        expected = self.meta["outputs"][name]
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        assert list(array.shape) == expected["shape"], f"{self.path.name}: {name}: wrong shape"
        tolerance = expected["tol"]
        difference, limit = self._difference(name, array)
        outside = float(np.mean(difference > limit)) if difference.size else 0.0
        report = (
            f"{self.path.stem} {name}: max abs {difference.max(initial=0):.2e} for atol {tolerance['atol']:.1e}, "
            f"{outside:.1e} of elements outside for {tolerance['max_bad_frac']:.0e}"
        )
        print(report)
        assert outside <= tolerance["max_bad_frac"], report

    def check_all(self, values: dict[str, Value]) -> None:
        """Assert every output of the golden; all of them have to be given."""
        missing = set(self.outputs) - set(values)
        assert not missing, f"{self.path.name}: nothing to compare with {sorted(missing)}"
        for name in self.outputs:
            self.check(name, values[name])

    def _difference(self, name: str, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Absolute differences from the reference's values, and what each may be."""
        meta = self.meta["outputs"][name]
        if meta["stride"] == 1:
            reference = self._arrays[f"out/{name}"]
        else:
            reference, array = self._arrays[f"smp/{name}"], array.reshape(-1)[:: meta["stride"]]
        reference = reference.astype(np.float64)
        difference = np.abs(array.astype(np.float64) - reference)
        difference[~np.isfinite(difference)] = np.inf
        return difference, meta["tol"]["atol"] + meta["tol"]["rtol"] * np.abs(reference)


def each_golden(kind: str) -> pytest.MarkDecorator:
    """Runs a test once for every golden of a kind, as its parameter `golden_path`."""
    paths = find_goldens(kind)
    missing = pytest.param(None, marks=pytest.mark.skip(f"{GOLDENS} holds no golden of kind {kind}"), id="none")
    return pytest.mark.parametrize("golden_path", [pytest.param(path, id=path.stem) for path in paths] or [missing])


def find_goldens(kind: str) -> list[Path]:
    return [path for path in sorted(GOLDENS.glob("*.npz")) if path.name.startswith(kind)]


def images_in_range(pictures: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) uint8 as (T, 3, H, W) in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 * 2 - 1


def holes(masks: np.ndarray) -> torch.Tensor:
    """(T, H, W) as (T, 1, H, W): 1 where nonzero, else 0."""
    return torch.from_numpy(masks != 0)[:, None].float()


class Taps:
    """Outputs of inner modules, recorded while a network runs."""

    def __init__(self) -> None:
        self.calls: dict[str, list[torch.Tensor]] = {}

    @contextmanager
    def watching(self, net: torch.nn.Module, names: Iterable[str]) -> Iterator[None]:
        hooks = [net.get_submodule(name).register_forward_hook(self._recorder(name)) for name in names]
        yield
        for hook in hooks:
            hook.remove()

    def first(self, name: str) -> torch.Tensor:
        return self.calls[name][0]

    def _recorder(self, name: str) -> Callable[..., None]:
        def record(_module: torch.nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            self.calls.setdefault(name, []).append(output.clone())  # later layers may write in place

        return record


def digest(array: np.ndarray) -> str:
    """sha256 of type, shape and values, as in the goldens' meta."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(str(array.dtype).encode() + str(array.shape).encode() + array.tobytes()).hexdigest()


def random_words(seed: int, tag: str, count: int) -> np.ndarray:
    """uint64 random numbers that depend on (seed, tag) only, on no platform."""
    key = hashlib.sha256(f"{seed}/{tag}".encode()).digest()[:16]
    return np.random.Philox(key=int.from_bytes(key, "little")).random_raw(count)


def uniform_noise(seed: int, tag: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """float32 values on a grid of 4096 levels."""
    levels = (random_words(seed, tag, int(np.prod(shape))) >> np.uint64(52)).astype(np.float64)
    return (low + (high - low) * (levels + 0.5) / 4096).astype(np.float32).reshape(shape)


def make_clip(
    seed: int,
    frame_count: int,
    height: int,
    width: int,
    vx4: int = 3,
    vy4: int = 1,
    radius: int | None = None,
    static: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """A disc moving over a panning background; computed in integers, so that every platform makes the same clip.

    Args:
        vx4, vy4: the pan, quarter pixels a frame.
        radius: of the disc, pixels; None is a seventh of the shorter side.
        static: the disc stays where it is.

    Returns:
        uint8 frames (T, H, W, 3), and uint8 masks (T, H, W), 255 on the disc.
    """
    radius = radius or max(4, min(height, width) // 7)
    margin_x, margin_y = abs(vx4) * frame_count // 4 + 4, abs(vy4) * frame_count // 4 + 4
    background = _texture(seed, "bg", height + margin_y + 2, width + margin_x + 2)
    disc = 255 - _texture(seed, "fg", height + 2, width + 2)[:height, :width]
    start = random_words(seed, "obj", 4)
    start_x = int(start[0] % np.uint64(width // 2)) + width // 4
    start_y = int(start[1] % np.uint64(height // 2)) + height // 4
    rows, columns = np.mgrid[:height, :width]
    frames, masks = [], []
    for index in range(frame_count):
        pan_x, pan_y = (speed * index if speed >= 0 else -speed * (frame_count - 1 - index) for speed in (vx4, vy4))
        step = 0 if static else index
        centre_x = (start_x + 2 * step) % (width + radius) - radius // 2
        centre_y = start_y + (3 * ((step * 7) % 21) // 7) - 4
        inside = (columns - centre_x) ** 2 + (rows - centre_y) ** 2 <= radius * radius
        frame = np.where(inside[..., None], disc, _crop(background, pan_y, pan_x, height, width))
        frames.append(frame.astype(np.uint8))
        masks.append((inside * 255).astype(np.uint8))
    return np.stack(frames), np.stack(masks)


def _texture(seed: int, tag: str, height: int, width: int) -> np.ndarray:
    """(H, W, 3) values 0..255 with detail of 32, 11 and 4 pixels."""
    parts = ((4, "a", 32), (3, "b", 11), (1, "c", 4))
    return sum(weight * _lattice(seed, tag + part, height, width, cell) for weight, part, cell in parts) // 8


def _lattice(seed: int, tag: str, height: int, width: int, cell: int) -> np.ndarray:
    """Random values on a lattice of the given cell, interpolated linearly."""
    lattice_shape = (height // cell + 2, width // cell + 2, 3)
    values = (random_words(seed, tag, int(np.prod(lattice_shape))) >> np.uint64(56)).astype(np.int64)
    values = values.reshape(lattice_shape)
    (row, down), (column, right) = (np.divmod(np.arange(length), cell) for length in (height, width))
    down, right = down[:, None, None], right[None, :, None]
    top = values[row][:, column] * (cell - right) + values[row][:, column + 1] * right
    bottom = values[row + 1][:, column] * (cell - right) + values[row + 1][:, column + 1] * right
    return (top * (cell - down) + bottom * down) // (cell * cell)


def _crop(texture: np.ndarray, top4: int, left4: int, height: int, width: int) -> np.ndarray:
    """A window whose corner is given in quarter pixels, interpolated linearly."""
    (top, down), (left, right) = divmod(top4, 4), divmod(left4, 4)
    shifted = [[texture[y : y + height, x : x + width] for x in (left, left + 1)] for y in (top, top + 1)]
    upper = shifted[0][0] * (4 - right) + shifted[0][1] * right
    lower = shifted[1][0] * (4 - right) + shifted[1][1] * right
    return (upper * (4 - down) + lower * down) // 16
