"""Windows of any clip: they hold every frame, in order, and their results blend into one."""

from itertools import pairwise

import numpy as np
import pytest

from lib.diffueraser.windows import Windows, new_window_weights, pre_inference_indices, window_lists

LENGTHS = range(1, 33)
COUNTS = (1, 2, 3, 5, 7, 21, 22, 23, 33, 44, 45, 60, 100, 257)


@pytest.mark.parametrize("length", LENGTHS)
def test_every_frame_is_in_a_window_of_every_step(length):
    for count in COUNTS:
        windows = window_lists(count, length)
        for step in (0, 1, 2):
            of_step = windows.of_step(step)
            assert of_step[0].start == 0
            assert of_step[-1].stop == count
            assert {len(window) for window in of_step} == {min(count, length)}
            for earlier, later in pairwise(of_step):
                assert earlier.start < later.start <= earlier.stop < later.stop


def test_lists_take_turns():
    windows = window_lists(60, 22)
    assert windows.even != windows.odd
    assert [windows.of_step(step) for step in range(3)] == [windows.even, windows.odd, windows.even]


@pytest.mark.parametrize("count", [1, 4, 21, 22])
def test_a_clip_no_longer_than_a_window_is_one(count):
    assert window_lists(count, 22) == Windows((range(count),), (range(count),))


def test_windows_of_one_frame():
    assert window_lists(3, 1) == Windows(*((range(1), range(1, 2), range(2, 3)),) * 2)


@pytest.mark.parametrize(("count", "length"), [(0, 22), (-1, 22), (10, 0), (10, 33)])
def test_impossible_windows(count, length):
    with pytest.raises(ValueError, match=str(count if count < 1 else length)):
        window_lists(count, length)
    with pytest.raises(ValueError, match=str(count if count < 1 else length)):
        pre_inference_indices(count, length)


def test_the_last_shared_frame_is_replaced():
    assert new_window_weights(3, 5).tolist() == pytest.approx([1 / 4, 2 / 4, 1, 1, 1])
    assert new_window_weights(5, 22)[:5].tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 1])


def test_smooth_blends_the_last_shared_frame_too_and_nothing_else():
    for covered in range(23):
        reference, smooth = new_window_weights(covered, 22), new_window_weights(covered, 22, smooth=True)
        differs = np.flatnonzero(reference != smooth).tolist()
        assert differs == ([covered - 1] if covered else [])
        assert np.all(np.diff(smooth[:covered]) > 0)
        assert np.all(smooth[:covered] < 1)
        assert np.all(smooth[covered:] == 1)


@pytest.mark.parametrize("covered", [0, 1])
def test_one_shared_frame_is_not_blended(covered):
    weights = new_window_weights(covered, 4)
    assert weights.tolist() == [1, 1, 1, 1]
    assert weights.dtype == np.float32


@pytest.mark.parametrize("covered", [-1, 5])
def test_a_window_cannot_share_more_than_it_has(covered):
    with pytest.raises(ValueError, match=f"{covered} frames"):
        new_window_weights(covered, 4)


@pytest.mark.parametrize("length", LENGTHS)
def test_pre_inference_takes_a_window_of_frames_from_the_whole_clip(length):
    for count in COUNTS:
        indices = pre_inference_indices(count, length)
        if count <= 2 * length:
            assert indices == ()
            continue
        assert len(indices) == length
        assert indices[0] == 0
        assert count - 1 - count / length <= indices[-1] < count
        gaps = np.diff(indices)
        assert length == 1 or (gaps.min() >= 2 and gaps.max() - gaps.min() <= 1)


def test_pre_inference_of_60_frames():
    assert pre_inference_indices(44, 22) == ()
    expected = (0, 2, 5, 8, 10, 13, 16, 19, 21, 24, 27, 29, 32, 35, 38, 40, 43, 46, 49, 51, 54, 57)
    assert pre_inference_indices(60, 22) == expected
