import numpy as np
import pytest
from video_inputs import box_masks, moving_frames

from lib.video.sizes import crop_back, fit_longer_side, pad_to_multiple, processing_size, resize_frames, resize_masks


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ((480, 854), (), (480, 854)),
        ((480, 854), (240, -1), (240, 427)),
        ((480, 854), (-1, 427), (240, 427)),
        ((480, 854), (100, 300), (100, 300)),
        ((1080, 1920), (-1, -1, 1280), (720, 1280)),
        ((1920, 1080), (-1, -1, 1280), (1280, 720)),
        ((720, 1280), (-1, -1, 1280), (720, 1280)),
        ((1080, 1920), (540, -1, 480), (270, 480)),
        ((1, 5000), (-1, -1, 1280), (1, 1280)),
    ],
)
def test_processing_size(source, options, expected):
    assert processing_size(source, *options) == expected


def test_sizes_of_no_pixels_are_refused():
    for options in ((0, -1), (-1, -2), (-1, -1, 0)):
        with pytest.raises(ValueError, match="positive number of pixels"):
            processing_size((10, 10), *options)


def test_fit_longer_side_never_enlarges():
    assert fit_longer_side((100, 50), 200) == (100, 50)
    assert fit_longer_side((100, 50), 10) == (10, 5)


def test_resizing_to_the_same_size_copies_nothing():
    frames, masks = moving_frames(2), box_masks(2, 48, 64)
    assert resize_frames(frames, (48, 64)) is frames
    assert resize_masks(masks, (48, 64)) is masks


def test_resized_frames_keep_their_picture():
    frames = moving_frames(2)
    small = resize_frames(frames, (24, 32))
    assert np.abs(small.astype(int) - frames.reshape(2, 24, 2, 32, 2, 3).mean(axis=(2, 4))).max() <= 1
    assert np.abs(resize_frames(small, (48, 64)).astype(int) - frames).mean() < 1.5


def test_resized_masks_are_nearest():
    masks = box_masks(2, 48, 64)
    doubled = resize_masks(masks, (96, 128))
    assert np.array_equal(doubled, masks.repeat(2, axis=1).repeat(2, axis=2))
    assert np.array_equal(resize_masks(doubled, (48, 64)), masks)


@pytest.mark.parametrize("size", [(47, 61), (48, 61), (3, 9), (1, 1), (1, 30)])
def test_padding_reflects_and_is_undone(size):
    frames, masks = moving_frames(2, *size), np.ones((2, *size), bool)
    padded, padded_masks, crop = pad_to_multiple(frames, masks)
    assert padded.shape[1] % 8 == padded.shape[2] % 8 == 0
    assert padded.shape[1] - size[0] < 8
    assert padded.shape[:3] == padded_masks.shape
    assert padded_masks.sum() == masks.sum()
    assert np.array_equal(crop_back(padded, crop), frames)
    assert np.array_equal(crop_back(padded_masks, crop), masks)
    if size == (47, 61):
        assert np.array_equal(padded[:, 47, :61], frames[:, 45])
        assert np.array_equal(padded[:, :47, 62], frames[:, :, 58])


def test_padding_of_fitting_frames_copies_nothing():
    frames, masks = moving_frames(2), box_masks(2, 48, 64)
    padded, padded_masks, _ = pad_to_multiple(frames, masks)
    assert padded is frames
    assert padded_masks is masks
