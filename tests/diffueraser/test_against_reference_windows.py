"""Windows of a clip, and what each of them weighs in the frames that it shares."""

import numpy as np
import pytest
from eraser_goldens import each_golden, load_table

from lib.diffueraser.windows import new_window_weights, window_lists


@each_golden("windows")
def test_windows(golden_path):
    for sizes, expected in load_table(golden_path).items():
        windows = window_lists(*(int(size) for size in sizes.split("/")))
        for name, of_step in (("even", windows.even), ("odd", windows.odd)):
            check(of_step, expected[name], f"{sizes} {name}")


def check(windows, expected, name):
    assert [[window.start, window.stop] for window in windows] == expected["windows"], name
    weights, overlaps = blend_weights(windows)
    assert overlaps == expected["overlaps"], name
    for got, pairs in zip(weights, expected["weights"], strict=True):
        partial = {frame: float(weight) for frame, weight in enumerate(got) if 0 < weight < 1}
        assert partial == pytest.approx(dict(pairs), abs=1e-6), name


def blend_weights(windows):
    """What each window weighs in every frame of the step's result, and how many of its frames it shares."""
    count = windows[-1].stop
    weights, overlaps, covered_to = np.zeros((len(windows), count)), [], 0
    for index, window in enumerate(windows):
        overlaps.append(covered_to - window.start)
        new = new_window_weights(overlaps[-1], len(window))
        weights[:index, window.start : window.stop] *= 1 - new
        weights[index, window.start : window.stop] = new
        covered_to = window.stop
    assert np.allclose(weights.sum(0), 1)
    return weights, overlaps
