"""The motion behind an object, told by its surroundings."""

import numpy as np
import pytest
from evaluation_support import HEIGHT, WIDTH, object_masks, plate, with_object

from lib.metrics.flow import DisFlow, agreement, background_flow, warp

SIZE = (24, 36)


class GivenFlow:
    name = "given"

    def __init__(self, forth: np.ndarray, back: np.ndarray) -> None:
        self._both = forth, back

    def __call__(self, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._both


def steady(x: float, y: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.broadcast_to(np.array([x, y], np.float32), (*size, 2)).copy()


def test_warping_reads_where_the_flow_points():
    picture = np.arange(24 * 36, dtype=np.float32).reshape(*SIZE, 1)
    moved, inside = warp(picture, steady(2, -1))
    moved = moved.reshape(SIZE)
    assert np.array_equal(moved[1:, :-2], picture[:-1, 2:, 0])
    assert inside[1:, :-2].all() and not inside[0].any() and not inside[:, -2:].any()


def test_warping_interpolates():
    ramp = np.broadcast_to(np.arange(36, dtype=np.float32)[:, None], (*SIZE, 1)).copy()
    moved, _ = warp(ramp, steady(0.25, 0))
    assert moved.reshape(SIZE)[:, :-1] == pytest.approx(np.broadcast_to(np.arange(35) + 0.25, (24, 35)), abs=0.02)


@pytest.mark.parametrize(("gap", "agrees"), [(0.0, True), (0.7, True), (0.8, False), (3.0, False)])
def test_forth_and_back_may_differ_by_the_published_bound(gap, agrees):
    """Sundaram et al.: |forth + back|² < 0.01 (|forth|² + |back|²) + 0.5; here 0.71 px and a little of the motion."""
    forth, back = steady(2, 0), steady(-2, gap)
    assert bool(agreement(forth, back)[12, 12]) is agrees


def test_fast_motion_may_differ_by_more():
    assert not agreement(steady(2, 0), steady(-2, 1.2))[12, 8]
    assert agreement(steady(12, 0), steady(-12, 1.2))[12, 8]


def test_what_leaves_the_frame_agrees_with_nothing():
    found = agreement(steady(10, 0), steady(-10, 0))
    assert found[:, :26].all() and not found[:, 26:].any()


def test_the_objects_motion_is_replaced_by_that_around_it():
    hole = np.zeros(SIZE, bool)
    hole[8:16, 12:24] = True
    forth, back = steady(1.5, -0.5), steady(-1.5, 0.5)
    forth[hole], back[hole] = (-7, 4), (7, -4)
    frame = np.zeros((*SIZE, 3), np.uint8)
    found, reliable = background_flow(GivenFlow(forth, back), frame, frame, (hole, hole))
    assert found[hole] == pytest.approx(np.broadcast_to([1.5, -0.5], (hole.sum(), 2)), abs=0.02)
    assert np.array_equal(found[~hole], forth[~hole])
    assert reliable[hole].all()


def test_a_gradient_of_motion_is_carried_into_the_hole():
    """A zoom: the motion grows with the distance from the centre."""
    rows, columns = np.indices(SIZE, np.float32)
    forth = np.stack([0.05 * (columns - 18), 0.05 * (rows - 12)], axis=-1)
    hole = np.zeros(SIZE, bool)
    hole[9:15, 14:22] = True
    broken = forth.copy()
    broken[hole] = 5
    frame = np.zeros((*SIZE, 3), np.uint8)
    found, _ = background_flow(GivenFlow(broken, -broken), frame, frame, (hole, hole))
    assert np.abs(found - forth)[hole].max() < 0.15


def test_a_hole_that_fills_the_frame_keeps_the_estimate():
    full, forth = np.ones(SIZE, bool), steady(1, 0)
    frame = np.zeros((*SIZE, 3), np.uint8)
    found, _ = background_flow(GivenFlow(forth, -forth), frame, frame, (full, full))
    assert np.array_equal(found, forth)


@pytest.mark.parametrize("size", [(1, 1), (6, 30), (40, 5), (12, 12)])
def test_dis_takes_frames_of_any_size(size):
    still = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    for flow in DisFlow()(still, still):
        assert flow.shape == (*size, 2)
        assert np.abs(flow).max() < 0.1


def test_dis_sees_the_background_move_behind_an_object_that_moves_otherwise():
    clean, masks = plate(frames=2, shift=3), object_masks(frames=2, speed=-4)
    start, end = with_object(clean, masks)[::-1]
    found, reliable = background_flow(DisFlow(), start, end, (masks[1], masks[0]))
    inner = np.zeros((HEIGHT, WIDTH), bool)
    inner[10:-10, 10:-10] = True
    assert np.median(found[masks[1]], axis=0) == pytest.approx([-3, 0], abs=0.3)
    assert reliable[masks[1] & inner].mean() > 0.95
