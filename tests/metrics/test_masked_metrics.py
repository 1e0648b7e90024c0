"""The metrics against values worked out by hand."""

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from lib.metrics.psnr import masked_psnr
from lib.metrics.ssim import masked_ssim
from lib.metrics.warp_error import warp_error


@pytest.fixture
def textured() -> np.ndarray:
    noise = np.random.default_rng(3).uniform(0, 255, (80, 120, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip((smooth - 127) * 5 + 127, 0, 255).astype(np.uint8)


def _half_mask(shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[..., 20:50, 30:70] = True
    return mask


def test_psnr_of_a_constant_error_has_a_closed_form(textured):
    reference = np.clip(textured, 0, 245)[None]
    mask = _half_mask(reference.shape[:3])
    result = np.where(mask[..., None], reference + 10, 0).astype(np.uint8)  # what lies outside must not matter
    assert masked_psnr(reference, result, mask) == pytest.approx(20 * np.log10(255 / 10))


def test_psnr_of_equal_clips_is_infinite(textured):
    assert masked_psnr(textured[None], textured[None], _half_mask((1, 80, 120))) == np.inf


def test_psnr_pools_the_pixels_of_all_frames():
    reference = np.zeros((2, 8, 8, 3), np.uint8)
    result = reference.copy()
    result[0] = 20
    mask = np.zeros((2, 8, 8), bool)
    mask[0, :2], mask[1] = True, True  # 16 pixels with error 20, 64 with none
    assert masked_psnr(reference, result, mask) == pytest.approx(10 * np.log10(255**2 / (400 * 16 / 80)))


@pytest.mark.parametrize("metric", [masked_psnr, masked_ssim])
def test_empty_masks_cannot_be_scored(metric, textured):
    with pytest.raises(ValueError, match="empty"):
        metric(textured[None], textured[None], np.zeros((1, 80, 120), bool))


def test_ssim_is_the_whole_frames_map_read_inside_the_hole(textured):
    result = cv2.GaussianBlur(textured, (0, 0), 1.5)
    mask = _half_mask((80, 120))
    whole = structural_similarity(textured, result, data_range=255, channel_axis=-1, full=True)[1]
    scored = masked_ssim(np.stack([textured] * 2), np.stack([result] * 2), np.stack([mask, np.zeros_like(mask)]))
    assert scored == pytest.approx(whole[mask].mean(), abs=1e-9)
    assert masked_ssim(textured[None], textured[None], mask[None]) == pytest.approx(1)


def test_warp_error_of_a_still_clip_is_the_change_itself(textured):
    reference = np.stack([np.clip(textured, 0, 250)] * 3)
    mask = _half_mask(reference.shape[:3])
    flickering = reference.copy()
    flickering[1] += 4
    assert warp_error(reference, reference, mask) == pytest.approx(0, abs=1e-3)
    assert warp_error(reference, flickering, mask) == pytest.approx(4, abs=0.05)


def test_warp_error_follows_the_motion(textured):
    wide = cv2.copyMakeBorder(textured, 0, 0, 20, 20, cv2.BORDER_REFLECT)
    panned = np.stack([wide[:, 20 + 3 * step : 140 + 3 * step] for step in range(4)])
    mask = _half_mask(panned.shape[:3])
    unmoved = np.abs(np.diff(panned.astype(int), axis=0))[mask[1:]].mean()
    assert warp_error(panned, panned, mask) < 0.1 * unmoved
    frozen = np.stack([panned[0]] * 4)
    assert warp_error(panned, frozen, mask) > 0.5 * unmoved


def test_warp_error_of_one_frame_is_zero(textured):
    assert warp_error(textured[None], textured[None], _half_mask((1, 80, 120))) == 0
