"""The synthetic scenes are exact, repeatable and hard."""

import cv2
import numpy as np
import pytest

from lib.metrics.psnr import masked_psnr
from lib.metrics.ssim import masked_ssim
from lib.propagation.anchor_fill import paint_with_telea
from lib.scenes import Scene, SceneOptions, render_scene

KINDS = ("static", "pan", "zoom", "parallax")


@pytest.fixture(scope="module", params=KINDS)
def kind_and_scene(request) -> tuple[str, Scene]:
    return request.param, render_scene(request.param)


def test_frames_equal_the_clean_plate_outside_the_masks_and_only_there(kind_and_scene):
    _, scene = kind_and_scene
    assert scene.frames.shape == scene.clean.shape == (60, 240, 432, 3)
    assert scene.masks.shape == (60, 240, 432) and scene.masks.dtype == bool
    assert np.array_equal(scene.frames[~scene.masks], scene.clean[~scene.masks])
    assert masked_psnr(scene.clean, scene.frames, scene.masks) < 19
    assert (scene.masks.mean(axis=(1, 2)) > 0.03).all() and 0.04 < scene.masks.mean() < 0.065


def test_a_scene_is_hard_for_telea(kind_and_scene):
    _, scene = kind_and_scene
    frames, masks, clean = scene.frames[::5], scene.masks[::5], scene.clean[::5]
    telea = np.stack([paint_with_telea(*pair) for pair in zip(frames, masks, strict=True)])
    assert masked_psnr(clean, telea, masks) < 26.8
    assert masked_ssim(clean, telea, masks) < 0.85


def test_where_the_camera_moves_the_temporal_median_fails(kind_and_scene):
    kind, scene = kind_and_scene
    pixels = scene.masks.any(axis=0)
    samples = np.ma.array(scene.frames[:, pixels], mask=np.repeat(scene.masks[:, pixels][..., None], 3, axis=2))
    plate = scene.clean[0].copy()
    plate[pixels] = np.ma.median(samples, axis=0).filled(128)
    score = masked_psnr(scene.clean, np.broadcast_to(plate, scene.clean.shape), scene.masks)
    assert score > 50 if kind == "static" else score < 25.8


def test_the_same_arguments_give_the_same_bytes_and_another_seed_gives_others():
    one, two, other = (render_scene("parallax", (64, 96), 3, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.frames, two.frames) and np.array_equal(one.masks, two.masks)
    assert not np.array_equal(one.clean, other.clean)


def test_the_camera_moves_by_fractions_of_a_pixel_without_aliasing():
    scene = render_scene("pan", frames=2, options=SceneOptions(noise=0))
    first, second = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in scene.clean[:2])
    (x, y), response = cv2.phaseCorrelate(first, second, cv2.createHanningWindow((432, 240), cv2.CV_32F))
    assert response > 0.5 and abs(x - round(x)) + abs(y - round(y)) > 0.1
    shift, flags = np.array([[1, 0, x], [0, 1, y]]), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(second, shift, (432, 240), flags=flags)
    assert np.abs(moved - first)[8:-8, 8:-8].mean() < 1.5


def test_a_cut_changes_the_place():
    scene = render_scene("pan", (64, 96), 6, options=SceneOptions(cut_at=3, noise=0))
    steps = [np.abs(np.diff(scene.clean[pair : pair + 2].astype(int), axis=0)).mean() for pair in range(5)]
    assert steps[2] > 1.5 * max(steps[0], steps[1], steps[3], steps[4])


def test_exposure_drift_brightens_the_plate_and_the_frames_alike():
    scene = render_scene("static", (64, 96), 5, options=SceneOptions(exposure_drift=0.3, noise=0))
    assert scene.clean[-1].mean() / scene.clean[0].mean() == pytest.approx(1.3, abs=0.03)
    assert np.array_equal(scene.frames[~scene.masks], scene.clean[~scene.masks])


def test_an_object_that_follows_the_scene_hides_the_same_place_in_a_static_shot():
    scene = render_scene("static", (64, 96), 8, options=SceneOptions(object_follows_scene=True))
    assert scene.masks.all(axis=0).sum() > 0.5 * scene.masks[0].sum()


@pytest.mark.parametrize(("size", "frames"), [((240, 432), 0), ((16, 432), 5)])
def test_impossible_sizes_are_refused(size, frames):
    with pytest.raises(ValueError, match="at least"):
        render_scene("pan", size, frames)
