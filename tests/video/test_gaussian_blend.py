"""The published program's composition: the formula over whole frames, whatever part of them is worked on."""

import cv2
import numpy as np
import pytest
from video_inputs import box_masks, moving_frames

from lib.video.compose import Feather, GaussianBlend, compose_frame

SIZE = (96, 128)
FRAME, FILL = moving_frames(1, *SIZE)[0], np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def published(frame: np.ndarray, fill: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Every step over the whole frame."""
    hole = mask.astype(np.uint8) * 255
    blurred = cv2.GaussianBlur(hole, (21, 21), 0)
    alpha = np.uint8(255 * (1 - (1 - hole / 255.0) * (1 - blurred / 255.0)))
    alpha = np.repeat(alpha[..., None], 3, axis=-1).astype(np.float32) / 255
    return (fill * alpha + frame * (1 - alpha)).astype(np.uint8)


def masks() -> dict[str, np.ndarray]:
    corner, dots, frame = (np.zeros(SIZE, bool) for _ in range(3))
    corner[:3, :5] = corner[-2:, -9:] = True
    dots[::17, ::23] = True
    frame[:] = True
    return {"box": box_masks(1, *SIZE)[0], "corner": corner, "dots": dots, "whole": frame, "none": ~frame}


@pytest.mark.parametrize("name", masks())
def test_it_is_the_published_programs(name):
    mask = masks()[name]
    composed = compose_frame(FRAME, FILL, mask, GaussianBlend())
    assert np.array_equal(composed, published(FRAME, FILL, mask))
    assert np.array_equal(composed[mask], FILL[mask])


def test_nothing_changes_beyond_its_reach():
    mask = masks()["box"]
    far = cv2.dilate(mask.astype(np.uint8), np.ones((21, 21), np.uint8)) == 0
    composed = compose_frame(FRAME, FILL, mask, GaussianBlend())
    assert far.any() and np.array_equal(composed[far], FRAME[far])
    assert GaussianBlend().reach == 10


def test_blends_are_told_apart_by_their_values():
    assert GaussianBlend() == GaussianBlend() != Feather(3) != Feather(4)
