"""The tools of the other tests: every golden is found and has a test, and weights are those of the reference run."""

import hashlib

import numpy as np
import pytest
from eraser_goldens import COPIES, GOLDENS, KINDS, find_goldens
from hashed_weights import normal, weight


def test_every_golden_has_a_test():
    assert find_goldens(), f"{GOLDENS} holds no goldens"
    unknown = {str(path): kind for path, kind in find_goldens() if kind not in KINDS}
    assert unknown == {}


def test_there_are_goldens_of_every_kind():
    """In this repository; another folder may hold some kinds only."""
    assert {kind for _, kind in find_goldens(COPIES)} == set(KINDS)


def test_a_golden_of_an_unknown_kind_is_found(tmp_path):
    (tmp_path / "deeper").mkdir()
    np.savez(tmp_path / "deeper" / "new.npz", meta='{"kind": "telepathy"}')
    (tmp_path / "notes.json").write_text("{}")
    assert [kind for _, kind in find_goldens(tmp_path)] == ["telepathy", "unknown"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (normal("latents", [2, 3], 7), "54999ac5f61fbc2c"),
        (weight("conv_in.weight", (4, 3, 3, 3), 5), "af42857e70538d89"),
        (weight("brushnet_mid_block.weight", (4, 4, 1, 1), 5), "64414dd5e1b243b6"),
        (weight("brushnet_mid_block.bias", (4,), 5), "6f1673a0b62b18e2"),
        (weight("norm.weight", (4,), 5), "3fd64bf0ba802500"),
        (weight("norm.bias", (4,), 5), "b8694f4fd7958cce"),
    ],
    ids=["input", "matrix", "zero-conv", "zero-conv-bias", "norm", "bias"],
)
def test_numbers_are_those_of_the_reference_run(numbers, expected):
    assert hashlib.sha256(numbers.tobytes()).hexdigest()[:16] == expected
