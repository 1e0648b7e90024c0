"""The anchor that shows the prior's own frame."""

import numpy as np
import pytest
from PIL import Image

from lib.anchor.base import AnchorInpainter
from lib.anchor.patch import PatchAnchorInpainter
from lib.anchor.propainter import PropainterAnchorInpainter
from lib.errors import InputError

FRAME = np.full((20, 30, 3), 90, np.uint8)
PRIOR = np.random.default_rng(0).integers(0, 255, FRAME.shape, np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros(FRAME.shape[:2], np.uint8)
    mask[5:12, 8:20] = 1
    return mask


def _inpaint(anchor: AnchorInpainter, mask: np.ndarray, **prompts: str) -> np.ndarray:
    return np.asarray(anchor.inpaint(Image.fromarray(FRAME), Image.fromarray(mask), **prompts))


def test_the_hole_shows_the_prior_and_the_rest_the_frame(mask):
    filled = _inpaint(PropainterAnchorInpainter().with_prior(PRIOR), mask)
    assert np.array_equal(filled[mask > 0], PRIOR[mask > 0])
    assert np.array_equal(filled[mask == 0], FRAME[mask == 0])


def test_prompts_are_ignored(mask):
    anchor = PropainterAnchorInpainter(PRIOR)
    assert np.array_equal(_inpaint(anchor, mask, prompt="a wall", n_prompt="a man"), _inpaint(anchor, mask))


def test_an_anchor_knows_only_the_prior_that_it_was_given(mask):
    unbound = PropainterAnchorInpainter()
    unbound.with_prior(PRIOR)
    with pytest.raises(InputError, match="this engine has none"):
        _inpaint(unbound, mask)


def test_sizes_that_differ_are_refused(mask):
    with pytest.raises(InputError, match="one size"):
        _inpaint(PropainterAnchorInpainter(PRIOR), mask[:-1])
    with pytest.raises(InputError, match="one size"):
        _inpaint(PropainterAnchorInpainter(PRIOR[:-1]), mask)


def test_anchors_without_use_for_a_prior_stay_as_they_are():
    anchor = PatchAnchorInpainter()
    assert anchor.with_prior(PRIOR) is anchor


def test_the_fingerprint_is_that_of_the_method_whatever_the_frame():
    assert PropainterAnchorInpainter().fingerprint() == PropainterAnchorInpainter(PRIOR).fingerprint()
    assert PropainterAnchorInpainter().fingerprint() != PatchAnchorInpainter().fingerprint()
