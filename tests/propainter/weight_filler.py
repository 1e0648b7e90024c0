"""Random weights for the three networks that depend on (seed, key, shape) only, so that goldens need no weight files.

Every tensor is an affine map of uniform numbers in -1..1 from a Philox generator keyed with the hash of seed and key,
computed in float64 and rounded once to float32; no platform's distributions are involved. The gains keep activations
and flows in a range where every part of the networks matters.
"""

import hashlib
import json
import math
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

MANIFESTS = Path(__file__).parent / "manifests"
RAFT, FLOW_COMPLETION, GENERATOR = "raft-things", "recurrent_flow_completion", "ProPainter"

# (pattern of the key, gain); the first that matches; the standard deviation is gain / sqrt(fan-in).
GAINS = [
    (r"^update_block\.flow_head\.conv2\.weight$", 0.02),
    (r"^update_block\.mask\.2\.weight$", 4.0),
    (r"^update_block\.gru\.", 1.0),
    (r"^update_block\.", 1.3),
    (r"^(fnet|cnet)\.conv2\.weight$", 1.5),
    (r"^(fnet|cnet)\.", 1.3),
    (r"^upsample\.2\.conv\.weight$", 20.0),
    (r"^edgeDetector\.", 1.0),
    (r"\.conv_offset\.6\.weight$", 2.5),
    (r"\.conv_offset\.\d\.weight$", 1.3),
    (r"^feat_prop_module\.deform_align\.", 1.0),
    (r"^feat_prop_module\.backbone\..*\.2\.weight$", 0.5),
    (r"\.attention\.(query|key)\.weight$", 1.6),
    (r"\.attention\.", 1.0),
    (r"\.mlp\.", 1.0),
    (r"^ss\.embedding\.weight$", 1.0),
    (r"^sc\.embedding\.weight$", 0.25),
    (r"^decoder\.6\.weight$", 0.7),
    (r".", 1.3),
]
BIAS_SCALE = 0.05
# The layers that predict flow: every 3x3 kernel sums to 0 and biases are small, so that flow does not drift.
FLOW_WEIGHTS = ("update_block.flow_head.conv2.weight", "upsample.2.conv.weight")
FLOW_BIASES = ("update_block.flow_head.conv2.bias", "upsample.2.conv.bias")


@lru_cache
def manifest(net: str) -> dict[str, list[int]]:
    """The shape of every tensor in a network's published file, by key."""
    return json.loads((MANIFESTS / f"{net}.json").read_text())


def random_state(net: str, seed: int) -> dict[str, torch.Tensor]:
    """A state dict with the keys and shapes of a network's published file."""
    shapes = manifest(net)
    return {key: torch.from_numpy(np.array(fill(key, tuple(shapes[key]), seed))) for key in sorted(shapes)}


def fill(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The tensor of one key; two keys that name the same parameter get the same."""
    key = key.removeprefix("module.").replace(".norm3.", ".downsample.1.")
    if key.endswith("num_batches_tracked"):
        return np.asarray(1, np.int64)
    if key.endswith("valid_ind_rolled"):
        return _neighbour_positions()
    unit = _uniform(seed, key, shape)
    if key.endswith("running_mean"):
        values = 0.2 * unit
    elif key.endswith("running_var"):
        values = 1.0 + 0.4 * unit
    elif key.endswith("pool_layer.weight"):
        values = (1.0 + 0.5 * unit) / 16.0
    elif len(shape) == 1 and key.endswith(".weight"):  # of a normalisation
        values = 1.0 + 0.2 * unit
    elif key.endswith(".bias"):
        values = (BIAS_SCALE / 50 if key in FLOW_BIASES else BIAS_SCALE) * unit
    else:
        values = _kernel(key, unit)
    return values.astype(np.float32)


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    """sha256 over keys and values, in order of key."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(state[key].numpy()).tobytes())
    return digest.hexdigest()


def _kernel(key: str, unit: np.ndarray) -> np.ndarray:
    gain = next(gain for pattern, gain in GAINS if re.search(pattern, key))
    fan_in = int(np.prod(unit.shape[1:], dtype=np.int64))
    if key in FLOW_WEIGHTS:
        unit = unit - unit.mean(axis=(2, 3), keepdims=True)
    return unit * (gain * math.sqrt(3.0) / math.sqrt(fan_in))


def _uniform(seed: int, key: str, shape: tuple[int, ...]) -> np.ndarray:
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()[:16]
    words = np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(int(np.prod(shape, dtype=np.int64)))
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)


def _neighbour_positions(height: int = 5, width: int = 9) -> np.ndarray:
    """Where windows shifted by half their size to the four corners do not overlap the window itself."""
    down, right = (height + 1) // 2, (width + 1) // 2
    row, column = np.arange(height)[:, None], np.arange(width)[None, :]
    corners = [
        (row >= height - down) | (column >= width - right),
        (row >= height - down) | (column < right),
        (row < down) | (column >= width - right),
        (row < down) | (column < right),
    ]
    return np.flatnonzero(np.stack(corners)).astype(np.int64)
