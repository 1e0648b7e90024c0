"""Inputs prepared as the published program prepares them."""

import numpy as np
import pytest

from lib.diffueraser.reference_inputs import fit_size, frames_to_read, masked_images, process_masks
from lib.errors import InputError

SIZE = (20, 16)  # width, height


def picture(*rows_columns, value=255):
    frame = np.zeros((16, 20, 3), np.uint8)
    for rows, columns in rows_columns:
        frame[rows, columns] = value
    return frame


def test_specks_vanish_and_what_remains_is_widened():
    speck, square = (slice(2, 4), slice(2, 4)), (slice(6, 9), slice(8, 11))
    masks = process_masks([picture(speck, square)] * 2, SIZE, dilation=2)
    expected = np.zeros((16, 20), np.uint8)
    expected[5:10, 7:12] = 255
    assert np.array_equal(masks, [expected] * 2)
    assert masks.dtype == np.uint8


def test_the_border_neither_erodes_nor_dilates():
    corner = process_masks([picture((slice(0, 4), slice(0, 4)))], SIZE, dilation=0)[0]
    assert corner.sum() == 255 * 9
    assert corner[:3, :3].all()


@pytest.mark.parametrize(("value", "found"), [((0, 0, 4), True), ((4, 0, 0), False)])
def test_any_gray_above_black_is_hole(value, found):
    """OpenCV's blue comes first, and gray is 30 % red and 11 % blue."""
    assert process_masks([picture((slice(4, 9), slice(4, 9)), value=value)], SIZE, dilation=1).any() == found


def test_masks_take_the_size_of_the_frames():
    mask = process_masks([picture((slice(4, 12), slice(5, 15)))], (10, 8), dilation=1)[0]
    assert mask.shape == (8, 10)
    assert mask[2:6, 3:7].all()


def test_holes_are_black_and_the_rest_is_untouched():
    frames = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    masks = np.zeros((2, 4, 5), np.uint8)
    masks[0, 1:3, 2] = 255
    images = masked_images(frames, masks)
    assert not images[0, 1:3, 2].any()
    assert np.array_equal(images[masks == 0], frames[masks == 0])
    assert images.dtype == np.uint8


def test_sizes_within_the_limit_only_lose_what_is_over_8():
    assert fit_size(641, 367, 960) == (640, 360)
    assert fit_size(1920, 1080, 960) == (960, 536)


@pytest.mark.parametrize("sizes", [(255, 100, 960), (4097, 300, 960), (640, 360, 255), (640, 360, 1921)])
def test_refused_sizes(sizes):
    with pytest.raises(InputError, match=r"give|must have"):
        fit_size(*sizes)


def test_lengths():
    assert frames_to_read(10, 29.97) == 299
