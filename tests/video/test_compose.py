import numpy as np
import pytest
from video_inputs import box_masks, moving_frames

from lib.video.compose import Feather, GaussianBlend, compose, feather
from lib.video.sizes import resize_frames

COUNT, SIZE = 3, (48, 64)
SOURCE, MASKS = moving_frames(COUNT, *SIZE), box_masks(COUNT, *SIZE)
FILL = np.full_like(SOURCE, 250)


def distance_to(mask):
    """Distance of every pixel to the mask, by trying all pairs."""
    rows, columns = np.indices(mask.shape)
    inside = np.argwhere(mask)
    return np.sqrt((rows[..., None] - inside[:, 0]) ** 2 + (columns[..., None] - inside[:, 1]) ** 2).min(axis=-1)


@pytest.mark.parametrize("radius", [0, 1, 4])
def test_only_hole_and_band_change(radius):
    for source, mask, composed in zip(SOURCE, MASKS, compose(SOURCE, FILL, MASKS, Feather(radius)), strict=True):
        outside = distance_to(mask) > radius
        assert np.array_equal(composed[outside], source[outside])
        assert (composed[mask] == 250).all()
        assert (composed[~mask & ~outside] > source[~mask & ~outside]).all()


def test_alpha_falls_smoothly_from_one_to_zero():
    alpha = feather(MASKS[0], 6)
    assert alpha.dtype == np.float32
    assert (alpha[MASKS[0]] == 1).all()
    ramp = alpha[16, 27:36]  # leaves the box's right side
    assert ramp[0] == 1
    assert (np.diff(ramp[:8]) < 0).all()
    assert (ramp[7:] == 0).all()
    assert np.abs(np.diff(ramp)).max() < 0.25


def test_source_is_untouched_and_an_empty_mask_gives_it_back():
    before = SOURCE.copy()
    composed = list(compose(SOURCE, FILL, np.zeros_like(MASKS), Feather(4)))
    assert np.array_equal(composed, before)
    composed[0][:] = 0
    assert np.array_equal(SOURCE, before)


def test_small_fill_is_scaled_into_the_hole():
    fine = resize_frames(SOURCE, (96, 128))
    composed = np.stack(list(compose(fine, SOURCE // 2, MASKS, Feather(3))))
    hole = MASKS.repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(composed[hole] - fine[hole] / 2.0).max() < 6
    for index in range(COUNT):
        outside = distance_to(hole[index]) > 3
        assert np.array_equal(composed[index][outside], fine[index][outside])


def test_mask_over_the_whole_frame_and_at_the_corner():
    whole = np.ones_like(MASKS)
    assert np.array_equal(np.stack(list(compose(SOURCE, FILL, whole, Feather(4)))), FILL)
    corner = np.zeros_like(MASKS)
    corner[:, 0, 0] = corner[:, -1, -1] = True
    composed = np.stack(list(compose(SOURCE, FILL, corner, Feather(2))))
    assert (composed[:, 0, 0] == 250).all()
    assert np.array_equal(composed[:, 10:30], SOURCE[:, 10:30])


def test_frames_come_one_by_one_and_lengths_must_agree():
    taken = []
    frames = (taken.append(index) or frame for index, frame in enumerate(SOURCE))
    composed = compose(frames, FILL, MASKS, Feather(2))
    next(composed)
    assert taken == [0]
    with pytest.raises(ValueError, match="shorter"):
        list(compose(SOURCE, FILL[:2], MASKS, Feather(2)))


@pytest.mark.parametrize("blend", [Feather(4), GaussianBlend()], ids=["feather", "gaussian"])
def test_weights_are_what_the_blend_mixes_by(blend):
    weights, mask = blend.weights(MASKS[0]), MASKS[0]
    assert weights.dtype == np.float32
    assert (weights[mask] == 1).all()
    assert (weights[distance_to(mask) > np.sqrt(2) * blend.reach] == 0).all()
    black, white = np.zeros_like(FILL[0]), np.full_like(FILL[0], 255)
    assert np.abs(blend.mix(black, white, mask)[..., 0] - 255 * weights).max() < 1
