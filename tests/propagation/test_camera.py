"""The camera chain: exact where it can be, broken where it cannot, never silently the identity."""

import cv2
import numpy as np
import pytest

from lib.propagation.camera import Shot, find_shots
from lib.propagation.settings import PropagationSettings
from lib.scenes import SceneOptions, render_scene

SIZE = (160, 288)


def _shots(frames: np.ndarray, masks: np.ndarray | None = None) -> list[Shot]:
    return find_shots(frames, np.zeros(frames.shape[:3], bool) if masks is None else masks, PropagationSettings())


def _moved(picture: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The picture whose content moved by the homography, from a wide picture around it."""
    height, width = SIZE
    offset = np.array([[1, 0, 60], [0, 1, 40], [0, 0, 1.0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(picture, offset @ np.linalg.inv(motion), (width, height), flags=flags)


@pytest.fixture(scope="module")
def wide() -> np.ndarray:
    return render_scene("pan", (240, 408), 1).clean[0]


def _corner_error(homography: np.ndarray, truth: np.ndarray) -> float:
    height, width = SIZE
    corners = np.array([[[0, 0], [width, 0], [0, height], [width, height]]], np.float64)
    difference = cv2.perspectiveTransform(corners, homography) - cv2.perspectiveTransform(corners, truth)
    return float(np.abs(difference).max())


@pytest.mark.parametrize(
    "motion",
    [
        np.array([[1, 0, 3.4], [0, 1, -1.2], [0, 0, 1]]),
        np.array([[1.02, -0.01, 1.0], [0.01, 1.02, 2.0], [0, 0, 1]]),
        np.array([[1, 0.01, 5], [-0.01, 1, 2], [2e-5, -3e-5, 1]]),
        np.array([[1, 0, 48.0], [0, 1, 11.5], [0, 0, 1]]),
    ],
    ids=["shift", "zoom and turn", "perspective", "violent"],
)
def test_known_motion_is_found_to_a_fraction_of_a_pixel(wide, motion):
    (shot,) = _shots(np.stack([_moved(wide, np.eye(3)), _moved(wide, motion)]))
    assert _corner_error(shot.steps[0].homography, motion) < 0.25
    assert not shot.static


def test_what_moves_under_the_mask_is_ignored():
    scene = render_scene("static", SIZE, 8)
    (shot,) = _shots(scene.frames, scene.masks)
    assert shot.static
    assert all(np.array_equal(step.homography, np.eye(3)) for step in shot.steps)


def test_unrelated_frames_break_the_chain_and_are_not_called_still():
    rng = np.random.default_rng(0)
    frames = np.stack([render_scene("pan", SIZE, 1, seed=seed).clean[0] for seed in (1, 2, 3)])
    assert [(shot.start, shot.stop) for shot in _shots(frames)] == [(0, 1), (1, 2), (2, 3)]
    noise = rng.integers(0, 255, (3, *SIZE, 3), dtype=np.uint8)
    assert all(not shot.static and not shot.steps for shot in _shots(noise))
    assert len(_shots(noise)) == 3


def test_flat_frames_of_another_brightness_are_not_joined():
    frames = np.stack([np.full((*SIZE, 3), level, np.uint8) for level in (90, 90, 140)])
    shots = _shots(frames)
    assert [(shot.start, shot.stop) for shot in shots] == [(0, 2), (2, 3)]


def test_frames_that_are_all_hole_break_the_chain():
    scene = render_scene("pan", SIZE, 4)
    masks = scene.masks.copy()
    masks[2] = True
    assert [(shot.start, shot.stop) for shot in _shots(scene.frames, masks)] == [(0, 2), (2, 3), (3, 4)]


def test_a_camera_that_creeps_is_not_static_and_its_motion_adds_up(wide):
    step = np.array([[1, 0, 0.04], [0, 1, 0], [0, 0, 1]])
    count = 31
    frames = np.stack([_moved(wide, np.linalg.matrix_power(step, index)) for index in range(count)])
    (shot,) = _shots(frames)
    assert not shot.static
    total = np.eye(3)
    for each in shot.steps:
        total = each.homography @ total
    assert _corner_error(total, np.linalg.matrix_power(step, count - 1)) < 0.5


def test_exposure_is_followed_and_small_fluctuations_are_not():
    drifting = render_scene("pan", SIZE, 16, options=SceneOptions(exposure_drift=0.3))
    (shot,) = _shots(drifting.frames, drifting.masks)
    assert shot.gains[-1] == pytest.approx([1.3] * 3, abs=0.03)
    steady = render_scene("pan", SIZE, 16)
    (shot,) = _shots(steady.frames, steady.masks)
    assert np.array_equal(shot.gains, np.ones((16, 3)))


def test_large_frames_are_estimated_small_and_scaled_back():
    scene = render_scene("pan", (200, 360), 2)
    settings = PropagationSettings(camera_side=180)
    (small,) = find_shots(scene.frames, scene.masks, settings)
    (full,) = find_shots(scene.frames, scene.masks, PropagationSettings())
    assert _corner_error(small.steps[0].homography, full.steps[0].homography) < 0.5
