"""What the goldens do not show of sizes and masks."""

import numpy as np
import pytest
from golden_support import make_clip

from lib.propainter.sizes import prepare_masks, resize_frames_bicubic, resize_frames_bilinear, size_rule

FRAMES, MASKS = make_clip(5, 2, 40, 48)


@pytest.mark.parametrize(("width", "height"), [(480, -1), (-1, 320)])
def test_one_side_alone_changes_no_size(width, height):
    assert size_rule((640, 360), 1.0, width, height) == size_rule((640, 360), 1.0)


@pytest.mark.parametrize("resize", [resize_frames_bicubic, resize_frames_bilinear])
def test_frames_of_that_size_are_not_copied(resize):
    assert resize(FRAMES, (48, 40)) is FRAMES
    assert resize(FRAMES, (24, 16)).shape == (2, 16, 24, 3)


@pytest.mark.parametrize("radius", [0, 1, 5])
def test_masks_grow_to_a_diamond_that_the_border_cuts(radius):
    masks = np.zeros((2, 20, 30), np.uint8)
    masks[0, 10, 15] = masks[1, 0, 29] = 7
    rows, columns = np.mgrid[:20, :30]
    expected = [abs(rows - row) + abs(columns - column) <= radius for row, column in ((10, 15), (0, 29))]
    assert np.array_equal(prepare_masks(masks, (30, 20), radius), expected)


def test_masks_may_have_any_size_and_type():
    mixed = [MASKS[0] > 0, MASKS[0].repeat(2, axis=0).repeat(3, axis=1)]
    small, large = prepare_masks(mixed, (48, 40), 0)
    assert np.array_equal(small, MASKS[0] > 0)
    assert np.array_equal(large, small)
