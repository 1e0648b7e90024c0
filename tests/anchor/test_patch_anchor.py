"""The anchor that copies patches."""

import numpy as np
import pytest
from PIL import Image

from lib.anchor.patch import PatchAnchorInpainter
from lib.errors import InputError
from lib.scenes import render_scene


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return render_scene("pan", (96, 128), 1).clean[0]


def _hole(size: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[rows, columns] = 255
    return mask


def _inpaint(picture: np.ndarray, mask: np.ndarray, seed: int = 1, **prompts) -> np.ndarray:
    return np.asarray(PatchAnchorInpainter(seed).inpaint(Image.fromarray(picture), Image.fromarray(mask), **prompts))


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(30, 60), slice(40, 80)),
        (slice(0, 40), slice(0, 50)),
        (slice(0, 96), slice(50, 70)),
        (slice(80, 96), slice(0, 128)),
    ],
    ids=["inside", "corner", "whole height", "bottom"],
)
def test_only_the_hole_changes_and_its_content_is_gone(picture, rows, columns):
    mask = _hole(picture.shape[:2], rows, columns)
    marked = picture.copy()
    marked[mask > 0] = (255, 0, 255)
    filled = _inpaint(marked, mask)
    assert np.array_equal(filled[mask == 0], picture[mask == 0])
    assert (np.abs(filled[mask > 0].astype(int) - (255, 0, 255)).sum(axis=1) > 30).all()
    assert abs(filled[mask > 0].mean() - picture[mask == 0].mean()) < 40


def test_the_same_seed_gives_the_same_picture_whatever_ran_before(picture):
    mask = _hole(picture.shape[:2], slice(30, 60), slice(40, 80))
    first = _inpaint(picture, mask, seed=5)
    other = _inpaint(picture, mask, seed=6)
    assert np.array_equal(_inpaint(picture, mask, seed=5), first)
    assert not np.array_equal(first, other)


def test_prompts_are_ignored(picture):
    mask = _hole(picture.shape[:2], slice(30, 60), slice(40, 80))
    assert np.array_equal(_inpaint(picture, mask, prompt="a wall", n_prompt="a man"), _inpaint(picture, mask))


def test_an_empty_hole_returns_the_picture(picture):
    assert np.array_equal(_inpaint(picture, np.zeros(picture.shape[:2], np.uint8)), picture)


def test_any_value_but_zero_is_hole(picture):
    mask = _hole(picture.shape[:2], slice(30, 60), slice(40, 80))
    assert np.array_equal(_inpaint(picture, mask // 255), _inpaint(picture, mask))


def test_a_far_part_of_a_large_picture_does_not_matter():
    large = np.tile(render_scene("pan", (96, 128), 1).clean[0], (4, 4, 1))
    mask = _hole(large.shape[:2], slice(20, 50), slice(20, 60))
    changed = large.copy()
    changed[-60:, -60:] = 0
    assert np.array_equal(_inpaint(large, mask)[mask > 0], _inpaint(changed, mask)[mask > 0])


def test_a_tiny_picture_is_filled():
    tiny = np.full((9, 11, 3), 90, np.uint8)
    tiny[4, 4] = 255
    filled = _inpaint(tiny, _hole((9, 11), slice(4, 5), slice(4, 5)))
    assert (filled == 90).all()


@pytest.mark.parametrize("size", [(96, 128), (2, 2)])
def test_a_hole_that_leaves_nothing_is_refused_with_numbers(size):
    mask = np.full(size, 255, np.uint8)
    mask[0, 0] = 0
    with pytest.raises(InputError, match=rf"covers .*% of a {size[1]}x{size[0]} picture"):
        _inpaint(np.zeros((*size, 3), np.uint8), mask)


def test_frame_and_mask_of_different_sizes_are_refused(picture):
    with pytest.raises(InputError, match="one size"):
        _inpaint(picture, np.zeros((10, 10), np.uint8))


def test_the_fingerprint_tells_seeds_apart():
    assert PatchAnchorInpainter(1).fingerprint() != PatchAnchorInpainter(2).fingerprint()
