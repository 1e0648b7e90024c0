import numpy as np
import pytest

from lib.captioner.frames import caption_frame_indices, gray_out, hole_in_frame, resize_nearest
from lib.errors import InputError


@pytest.mark.parametrize(
    ("frame_count", "strategy", "samples", "expected"),
    [
        (1, "middle", 3, (0,)),
        (2, "middle", 3, (1,)),
        (60, "middle", 3, (30,)),
        (61, "middle", 3, (30,)),
        (60, "multi_sample", 3, (15, 30, 45)),
        (80, "multi_sample", 3, (20, 40, 60)),
        (60, "multi_sample", 1, (30,)),
        (10, "multi_sample", 4, (2, 4, 6, 8)),
        (3, "multi_sample", 3, (0,)),  # step 0: one frame, once
        (1, "multi_sample", 3, (0,)),
        (4, "multi_sample", 3, (1, 2, 3)),
    ],
)
def test_frame_choice(frame_count, strategy, samples, expected):
    assert caption_frame_indices(frame_count, strategy, samples) == expected


@pytest.mark.parametrize(
    ("arguments", "found"), [((0, "middle", 3), "0 frames"), ((9, "last", 3), "'last'"), ((9, "multi_sample", 0), "0")]
)
def test_impossible_choices_are_refused(arguments, found):
    with pytest.raises(InputError, match=found):
        caption_frame_indices(*arguments)


def test_gray_covers_the_hole_and_nothing_else():
    frame = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    hole = np.zeros((4, 6), bool)
    hole[1, 2:4] = True
    before = frame.copy()
    grayed = gray_out(frame, hole)
    assert (grayed[hole] == 128).all()
    assert (grayed[~hole] == frame[~hole]).all()
    assert (frame == before).all()


def test_gray_refuses_a_hole_of_another_size():
    with pytest.raises(ValueError, match=r"\(4, 6\)"):
        gray_out(np.zeros((4, 6, 3), np.uint8), np.zeros((5, 6), bool))


def test_mask_takes_the_frames_size_and_grows():
    mask = np.zeros((10, 20), bool)
    mask[4:6, 8:12] = True
    assert (resize_nearest(mask, (20, 40)) == mask.repeat(2, 0).repeat(2, 1)).all()
    hole = hole_in_frame(mask, (20, 40), 3)
    rows, columns = np.nonzero(hole)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8 - 3, 11 + 3, 16 - 3, 23 + 3)
    assert (hole_in_frame(mask, mask.shape, 0) == mask).all()
    small = resize_nearest(mask, (5, 10))
    assert small.shape == (5, 10)
    assert small.sum() == mask.sum() // 4
