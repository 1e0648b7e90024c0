"""Splitting long shots keeps the result."""

import itertools

import numpy as np
import pytest

from lib.metrics.psnr import masked_psnr
from lib.propagation.camera import CameraStep, Shot
from lib.propagation.chunks import chunks_of
from lib.propagation.engine import propagate
from lib.propagation.settings import PropagationSettings
from lib.scenes import SceneOptions, render_scene


def _shot(start: int, stop: int) -> Shot:
    step = CameraStep(np.eye(3), np.ones(3), still=True)
    return Shot(start, stop, (step,) * (stop - start - 1), np.ones((stop - start, 3)), static=True)


def test_a_shot_that_fits_is_one_chunk():
    (chunk,) = chunks_of(_shot(2, 9), np.ones((9, 4, 5), bool), PropagationSettings())
    assert (chunk.start, chunk.finished, chunk.stop, chunk.resumed) == (2, 9, 9, False)


@pytest.mark.parametrize(("budget", "overlap"), [(200, 3), (20, 40), (90, 40), (1, 40), (61, 1)])
def test_chunks_cover_a_shot_without_gaps_within_the_budget(budget, overlap):
    masks = np.ones((32, 4, 5), bool)
    chunks = chunks_of(_shot(3, 32), masks, PropagationSettings(max_tracked=budget, chunk_overlap=overlap))
    assert chunks[0].start == 3 and chunks[-1].finished == chunks[-1].stop == 32
    for before, after in itertools.pairwise(chunks):
        assert after.start == before.finished - 1 and after.resumed and after.finished > before.finished
    for chunk in chunks:
        assert chunk.finished <= chunk.stop
        assert (chunk.stop - chunk.start) * 20 <= max(budget, 40)


def test_a_resumed_chunk_takes_its_first_frame_as_visible_and_leaves_the_masks_alone():
    masks = np.ones((10, 4, 5), bool)
    chunk = chunks_of(_shot(0, 10), masks, PropagationSettings(max_tracked=100))[1]
    _, cut, shot = chunk.cut(np.zeros((10, 4, 5, 3), np.uint8), masks)
    assert not cut[0].any() and cut[1:].all() and masks.all()
    assert len(shot.steps) == len(cut) - 1 == len(shot.gains) - 1


def test_chunks_lose_little_quality():
    scene = render_scene("pan", (160, 288), 40)
    budget = int(scene.masks.sum() / 3)
    done = propagate(scene.frames, scene.masks, PropagationSettings(max_tracked=budget, chunk_overlap=6))
    assert masked_psnr(scene.clean, done.frames, scene.masks) > 38
    assert done.anchored_pixels + done.crumb_pixels < 0.01 * done.hole_pixels


def test_what_is_never_seen_is_handed_on_from_chunk_to_chunk():
    scene = render_scene("pan", (160, 288), 24, options=SceneOptions(object_follows_scene=True))
    painted: list[int] = []

    def inpaint(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        painted.append(int(mask.sum()))
        return np.where(mask[..., None], np.uint8([10, 200, 30]), frame)

    settings = PropagationSettings(max_tracked=int(scene.masks.sum() / 3), chunk_overlap=3)
    propagate(scene.frames, scene.masks, settings, inpaint=inpaint)
    assert sum(painted) < 2.5 * scene.masks[0].sum()
