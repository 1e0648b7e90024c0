"""Clips that break simple engines: cuts, violent motion, drifting light, things never seen, odd shapes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lib.metrics.psnr import masked_psnr
from lib.propagation.engine import propagate
from lib.propagation.settings import PropagationSettings
from lib.scenes import Scene, SceneOptions, render_scene

SIZE, FRAMES = (160, 288), 30


def _scene(kind="pan", frames=FRAMES, **options) -> Scene:
    return render_scene(kind, SIZE, frames, options=SceneOptions(**options))


def _score(scene: Scene, frames: np.ndarray) -> float:
    assert np.array_equal(frames[~scene.masks], scene.frames[~scene.masks])
    return masked_psnr(scene.clean, frames, scene.masks)


@pytest.mark.parametrize("kind", ["static", "pan", "parallax"])
def test_two_runs_are_byte_equal_whatever_the_thread_count_and_opencvs_random_state(kind):
    scene = _scene(kind, 12)
    first = propagate(scene.frames, scene.masks).frames
    threads = cv2.getNumThreads()
    cv2.setRNGSeed(99)
    cv2.setNumThreads(1 if threads > 1 else 2)
    changed = cv2.getNumThreads()
    try:
        second = propagate(scene.frames, scene.masks).frames
        assert cv2.getNumThreads() == changed
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(first, second)


def test_writing_into_the_input_gives_the_same_result_without_a_copy():
    scene = _scene(frames=12)
    apart = propagate(scene.frames, scene.masks).frames
    frames = scene.frames.copy()
    done = propagate(frames, scene.masks, out=frames)
    assert done.frames is frames and np.array_equal(frames, apart)


def test_a_cut_breaks_the_chain_and_nothing_crosses_it():
    scene = _scene(cut_at=15)
    done = propagate(scene.frames, scene.masks)
    assert done.shots == 2
    assert _score(scene, done.frames) > 35
    alone = propagate(scene.frames[:15], scene.masks[:15]).frames
    assert np.array_equal(done.frames[:15], alone)


def test_violent_motion_is_followed_or_honestly_broken():
    scene = _scene(speed=24.0, frames=16)  # about 40 px a frame here, 60 at 432x240
    done = propagate(scene.frames, scene.masks)
    assert _score(scene, done.frames) > 30


def test_motion_beyond_the_overlap_breaks_the_chain_and_leaves_no_shards():
    scene = _scene(speed=180.0, frames=6)  # neighbouring frames share nothing
    done = propagate(scene.frames, scene.masks)
    assert done.shots == 6
    assert done.anchored_pixels + done.crumb_pixels == done.hole_pixels
    assert _score(scene, done.frames) > 18


def test_exposure_drift_is_compensated():
    scene = _scene(exposure_drift=0.35)
    assert _score(scene, propagate(scene.frames, scene.masks).frames) > 38
    still = _scene("static", exposure_drift=0.35)
    assert _score(still, propagate(still.frames, still.masks).frames) > 42


def test_what_no_frame_shows_is_painted_once_and_carried_along():
    scene = _scene(object_follows_scene=True)
    painted: list[int] = []

    def inpaint(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        painted.append(int(mask.sum()))
        return np.where(mask[..., None], np.uint8([10, 200, 30]), frame)

    done = propagate(scene.frames, scene.masks, inpaint=inpaint, first_anchor=7)
    assert len(painted) <= 3
    assert done.anchored_pixels > 0.6 * done.hole_pixels
    core = np.stack([cv2.erode(mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0 for mask in scene.masks])
    colours = done.frames[core].astype(float)
    assert np.abs(np.median(colours, axis=0) - (10, 200, 30)).max() < 25


def test_the_anchor_frame_is_painted_first_from_the_frame_already_filled():
    scene = _scene(object_follows_scene=True)
    seen: list[np.ndarray] = []

    def inpaint(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        seen.append(frame.copy())
        return frame

    propagate(scene.frames, scene.masks, inpaint=inpaint, first_anchor=7)
    outside = ~scene.masks[7]
    assert np.array_equal(seen[0][outside], scene.frames[7][outside])


def test_a_still_object_before_a_still_camera_leaves_one_picture_without_flicker():
    scene = _scene("static", frames=12, object_follows_scene=True, noise=0)
    done = propagate(scene.frames, scene.masks)
    always = cv2.erode(scene.masks.all(axis=0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert always.any()
    steps = np.abs(np.diff(done.frames[:, always].astype(int), axis=0))
    assert steps.mean() < 1.0


@pytest.mark.parametrize("count", [1, 2])
def test_the_shortest_clips_are_filled(count):
    scene = _scene(frames=count)
    done = propagate(scene.frames, scene.masks)
    assert _score(scene, done.frames) > 18
    assert (done.anchored_pixels + done.crumb_pixels > 0) == (count == 1)


def test_frames_without_a_hole_are_sources_and_empty_masks_change_nothing():
    scene = _scene()
    masks = scene.masks.copy()
    masks[::3] = False
    some = replace(scene, frames=np.where(masks[..., None], scene.frames, scene.clean), masks=masks)
    assert _score(some, propagate(some.frames, some.masks).frames) > 36
    nothing = np.zeros_like(masks)
    assert np.array_equal(propagate(scene.frames, nothing).frames, scene.frames)


def test_a_hole_over_whole_frames_does_not_spoil_the_others():
    scene = _scene(frames=14)
    masks = scene.masks.copy()
    masks[6:8] = True
    done = propagate(scene.frames, masks)
    kept = [*range(6), *range(8, 14)]
    assert masked_psnr(scene.clean[kept], done.frames[kept], scene.masks[kept]) > 20
    assert done.frames[6].std() > 0 or done.frames[6].mean() > 0


def test_a_clip_that_is_all_hole_ends():
    scene = _scene(frames=3)
    done = propagate(scene.frames, np.ones_like(scene.masks))
    assert done.frames.shape == scene.frames.shape
    assert done.hole_pixels == scene.masks.size


def test_tiny_odd_frames():
    scene = render_scene("pan", (33, 35), 5)
    done = propagate(scene.frames, scene.masks)
    assert np.array_equal(done.frames[~scene.masks], scene.frames[~scene.masks])


def test_one_pass_is_allowed_and_near_two():
    scene = _scene(frames=16)
    one = _score(scene, propagate(scene.frames, scene.masks, PropagationSettings(passes=1)).frames)
    assert one > 36


def test_an_output_that_numpy_cannot_write_through_is_refused():
    wide = np.zeros((2, 40, 50, 3), np.uint8)
    with pytest.raises(ValueError, match="not contiguous"):
        propagate(wide[:, :, :40], np.zeros((2, 40, 40), bool), out=wide[:, :, :40])


def test_a_view_of_a_larger_array_can_be_read():
    scene = _scene(frames=8)
    wide = np.pad(scene.frames, ((0, 0), (0, 0), (0, 9), (0, 0)))[:, :, : SIZE[1]]
    wide_masks = np.pad(scene.masks, ((0, 0), (0, 0), (0, 9)))[:, :, : SIZE[1]]
    expected = propagate(scene.frames, scene.masks).frames
    assert np.array_equal(propagate(wide, wide_masks).frames, expected)


def test_progress_grows_to_one():
    scene = _scene(frames=8, cut_at=4)
    shares: list[float] = []
    propagate(scene.frames, scene.masks, report=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) > 8


@pytest.mark.parametrize(
    ("frames", "masks"),
    [
        (np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), bool)),
        (np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8), bool)),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((3, 8, 8), bool)),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8)),
        (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((0, 8, 8), bool)),
    ],
)
def test_shapes_and_types_that_do_not_fit_are_refused(frames, masks):
    with pytest.raises(ValueError, match="must be"):
        propagate(frames, masks)
