"""The quality bars of `benchmarks/propagation.py` on the synthetic scenes, with a little slack."""

from dataclasses import dataclass

import numpy as np
import pytest

from lib.metrics.psnr import masked_psnr
from lib.metrics.ssim import masked_ssim
from lib.metrics.warp_error import warp_error
from lib.propagation.anchor_fill import paint_with_telea
from lib.propagation.engine import Propagation, propagate
from lib.scenes import Scene, render_scene


@dataclass(frozen=True)
class Bars:
    psnr: float
    over_telea: float
    ssim: float
    warp_over_truth: float


BARS = {
    "static": Bars(50, 14, 0.96, 0.6),
    "pan": Bars(41, 14, 0.96, 0.6),
    "zoom": Bars(38, 10, 0.95, 0.6),
    "parallax": Bars(34.7, 8, 0.93, 0.8),
}


@dataclass(frozen=True)
class Case:
    bars: Bars
    scene: Scene
    done: Propagation


@pytest.fixture(scope="module", params=list(BARS))
def case(request) -> Case:
    scene = render_scene(request.param)
    return Case(BARS[request.param], scene, propagate(scene.frames, scene.masks))


def test_psnr_in_the_hole(case):
    every = slice(None, None, 6)
    clean, frames, masks = case.scene.clean[every], case.scene.frames[every], case.scene.masks[every]
    telea = np.stack([paint_with_telea(*pair) for pair in zip(frames, masks, strict=True)])
    reached = masked_psnr(case.scene.clean, case.done.frames, case.scene.masks)
    assert reached >= case.bars.psnr
    assert reached >= masked_psnr(clean, telea, masks) + case.bars.over_telea


def test_ssim_in_the_hole(case):
    every = slice(None, None, 3)
    reached = masked_ssim(case.scene.clean[every], case.done.frames[every], case.scene.masks[every])
    assert reached >= case.bars.ssim


def test_the_hole_does_not_flicker(case):
    clean, masks = case.scene.clean[20:50], case.scene.masks[20:50]
    truth = warp_error(clean, clean, masks)
    assert warp_error(clean, case.done.frames[20:50], masks) <= truth + case.bars.warp_over_truth


def test_pixels_outside_the_masks_keep_their_bytes_and_the_input_is_untouched(case):
    outside = ~case.scene.masks
    assert np.array_equal(case.done.frames[outside], case.scene.clean[outside])
    assert not np.shares_memory(case.done.frames, case.scene.frames)


def test_everything_is_taken_from_other_frames_of_one_shot(case):
    assert case.done.shots == 1
    assert case.done.anchored_pixels + case.done.crumb_pixels < 0.001 * case.done.hole_pixels
