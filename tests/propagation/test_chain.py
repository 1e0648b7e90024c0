"""Following, reading and filling, on cases worked out by hand."""

import numpy as np
import pytest

from lib.propagation.chain import closed_pixels, follow, nowhere, step_targets
from lib.propagation.fill import Samples, blend, fetch
from lib.propagation.flow import Box, box_around, fill_smoothly
from lib.propagation.memory import MotionMemory
from lib.propagation.sampling import read_points

HEIGHT, WIDTH = 40, 60
TURN = np.array([[0.995, -0.02, 2.3], [0.02, 1.01, -0.7], [1e-4, 2e-5, 1]])


def test_targets_and_jacobian_of_a_homography():
    flat = np.array([5, 70, 1500], np.int32)
    target, jacobian = step_targets(flat, WIDTH, TURN, np.full((3, 2), 0.5))
    for pixel, where, slope in zip(flat, target, jacobian, strict=True):
        y, x = divmod(int(pixel), WIDTH)

        def project(x: float, y: float) -> np.ndarray:
            point = TURN @ [x, y, 1]
            return point[:2] / point[2]

        assert where == pytest.approx(project(x, y) + 0.5)
        numeric = np.stack([project(x + 0.01, y) - project(x, y), project(x, y + 0.01) - project(x, y)], 1) / 0.01
        assert slope == pytest.approx(numeric, abs=1e-4)


def test_a_chain_of_steps_is_the_product_of_the_homographies_without_drift():
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    hidden[15:25, 20:40] = True
    closed = closed_pixels(hidden)
    flat = np.flatnonzero(closed).astype(np.int32)
    open_frame = np.zeros_like(hidden)
    beyond = nowhere(flat)
    frames_back = 6
    for step in range(frames_back):
        target, jacobian = step_targets(flat, WIDTH, TURN, None)
        beyond = follow(flat, target, jacobian, open_frame if step == 0 else closed, beyond, step, reach=50)
    exact = np.linalg.matrix_power(TURN, frames_back)
    chained = np.flatnonzero((beyond.frame == 0) & (beyond.age == frames_back))
    assert len(chained) > 20
    rows, columns = np.divmod(flat[chained], WIDTH)
    expected = exact @ np.stack([columns, rows, np.ones_like(rows)])
    error = np.abs(beyond.position[chained].T - expected[:2] / expected[2])
    assert error.max() < 0.02


def test_the_nearest_visible_frame_wins_and_what_leaves_the_frame_has_no_source():
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    hidden[10:20, :10] = True
    closed = closed_pixels(hidden)
    flat = np.flatnonzero(closed).astype(np.int32)
    shift = np.array([[1, 0, -6.0], [0, 1, 0], [0, 0, 1]])
    target, jacobian = step_targets(flat, WIDTH, shift, None)
    found = follow(flat, target, jacobian, closed, nowhere(flat), 3, reach=50)
    columns = flat % WIDTH
    assert (found.frame[columns < 6] == -1).all()
    away = np.linalg.inv(shift)
    found = follow(flat, *step_targets(flat, WIDTH, away, None), closed, nowhere(flat), 3, reach=50)
    assert (found.frame[columns >= 7] == 3).all() and (found.age[columns >= 7] == 1).all()
    assert (found.frame[columns < 7] == -1).all()


def test_sources_keep_their_distance_from_the_hole():
    hidden = np.zeros((20, 20), bool)
    hidden[10, 10] = True
    assert closed_pixels(hidden).sum() == 49


def test_reach_ends_a_chain():
    closed = np.ones((HEIGHT, WIDTH), bool)
    flat = np.flatnonzero(closed).astype(np.int32)
    still = step_targets(flat, WIDTH, np.eye(3), None)
    found = follow(flat, *still, np.zeros_like(closed), nowhere(flat), 0, reach=3)
    for step in range(1, 6):
        found = follow(flat, *still, closed, found, step, reach=3)
    assert (found.frame == -1).all()


def test_colours_are_fetched_from_their_frames_and_adapted_in_gain():
    frames = np.stack([np.full((8, 9, 3), level, np.uint8) for level in (50, 100)])
    sources = nowhere(np.arange(3, dtype=np.int32))
    sources.frame[:] = (0, 1, -1)
    sources.position[:] = (4.5, 3.5)
    sources.age[:] = (2, 5, 0)
    gains = np.array([[1.0] * 3, [2.0] * 3])
    samples = fetch(frames, sources, np.array([True, True, True]), gains, np.array([1.0] * 3))
    assert samples.colour.tolist() == [[50] * 3, [50] * 3, [0] * 3]
    assert samples.age.tolist() == [2, 5, 0]
    nothing = fetch(frames, sources, np.zeros(3, bool), gains, gains[0])
    assert nothing.colour.shape == (0, 3)


def test_blending_weighs_by_nearness_and_reports_what_is_missing():
    past = Samples(np.array([[100] * 3, [10] * 3, [0] * 3], np.uint8), np.array([1, 4, 0], np.uint16))
    future = Samples(np.array([[200] * 3, [0] * 3, [0] * 3], np.uint8), np.array([3, 0, 0], np.uint16))
    colour, missing = blend(past, future)
    assert colour[0].tolist() == [125] * 3 and colour[1].tolist() == [10] * 3
    assert missing.tolist() == [False, False, True]


def test_points_are_read_between_pixels_also_when_there_are_many():
    rows, columns = np.mgrid[:40, :60].astype(np.float32)
    picture = np.dstack([columns, rows, columns + rows])
    position = np.random.default_rng(0).uniform((3, 3), (56, 36), (40_000, 2)).astype(np.float32)
    values = read_points(picture, position)
    assert values.shape == (40_000, 3)
    assert np.abs(values[:, :2] - position).max() < 0.06  # OpenCV's cubic kernel and its steps of 1/32 px
    assert read_points(picture, np.empty((0, 2), np.float32)).shape == (0, 3)


def test_a_smooth_fill_keeps_what_is_known_and_continues_it():
    known = np.ones((50, 70), np.float32)
    known[10:40, 20:50] = 0
    ramp = np.broadcast_to(np.arange(70, dtype=np.float32)[None, :, None], (50, 70, 1))
    filled = fill_smoothly(ramp * known[..., None], known)
    assert np.array_equal(filled[known > 0], ramp[known > 0])
    assert np.abs(filled - ramp).max() < 12
    assert (
        fill_smoothly(np.zeros((5, 5, 2), np.float32), np.zeros((5, 5), np.float32)).tolist()
        == np.zeros((5, 5, 2)).tolist()
    )


def test_boxes_stay_inside_the_frame():
    mask = np.zeros((20, 30), bool)
    assert box_around(mask, 5) is None
    mask[2, 28] = True
    box = box_around(mask, 5)
    assert (box.top, box.bottom, box.left, box.right) == (0, 8, 23, 30)


def test_motion_that_is_hidden_now_is_taken_from_where_it_was_seen():
    """A near strip (columns 40..59) moves by 2 px, all else stands still; then a hole covers the strip's middle."""
    box = Box(0, 60, 0, 100)
    field = np.zeros((60, 100, 2), np.float32)
    field[:, 40:60, 0] = 2
    memory = MotionMemory()
    memory.complete((field, np.ones((60, 100), bool)), np.eye(3), box)
    visible = np.ones((60, 100), bool)
    visible[15:45, 25:75] = False
    measured = np.where(visible[..., None], field, 0).astype(np.float32)
    completed = memory.complete((measured, visible), np.eye(3), box)
    assert np.abs(completed[20:40, 44:54, 0] - 2).max() < 0.3
    assert np.abs(completed[20:40, 64:73, 0]).max() < 0.3
    forgetful = MotionMemory().complete((measured, visible), np.eye(3), box)
    assert np.abs(forgetful[20:40, 44:54, 0] - 2).max() > 0.7
