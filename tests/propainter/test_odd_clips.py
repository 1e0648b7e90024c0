"""Clips that break careless drivers: shorter than any window, without or full of holes, small, of odd sizes."""

import numpy as np
import pytest
from golden_support import LOADERS, make_clip
from weight_filler import FLOW_COMPLETION, GENERATOR, RAFT

from lib.errors import InputError
from lib.propainter.prior import Prior
from lib.propainter.settings import PriorSettings
from lib.propainter.stages import PriorModels


@pytest.fixture(scope="module")
def models(model_dir):
    return PriorModels(*(LOADERS[net](model_dir(0) / f"{net}.pth") for net in (RAFT, FLOW_COMPLETION, GENERATOR)))


@pytest.fixture
def prior(models):
    def make(**settings):
        return Prior(models, PriorSettings(**{"raft_iterations": 1, **settings}), "cpu")

    return make


@pytest.fixture
def networks_never_run(models, monkeypatch):
    def run(*_):
        raise AssertionError("a network ran")

    for net in (models.raft, models.flow_completion, models.generator):
        monkeypatch.setattr(net, "forward", run)
    monkeypatch.setattr(models.raft, "encode", run)


def check_filled(result, frames, masks):
    """Everything outside the holes is as it was, and nothing of the object is left inside."""
    holes = np.broadcast_to(masks > 0, frames.shape[:3])
    assert result.shape == frames.shape
    np.testing.assert_array_equal(result[~holes], frames[~holes])
    assert np.mean(result[holes] != frames[holes]) > 0.9


@pytest.mark.parametrize(
    ("count", "height", "width", "settings"),
    [
        (1, 128, 128, {}),
        (2, 100, 100, {}),
        (3, 133, 141, {}),
        (4, 128, 128, {"subvideo_length": 1, "neighbor_length": 2}),
        (5, 128, 128, {"subvideo_length": 3, "neighbor_length": 3, "ref_stride": 2}),
        (2, 200, 230, {"resize_ratio": 0.6}),
        (2, 100, 980, {}),
    ],
    ids=["single frame", "100 px", "odd sides", "subvideo 1", "subvideo 3", "ratio", "over 960"],
)
def test_the_hole_is_filled_and_nothing_else_changes(prior, count, height, width, settings):
    frames, masks = make_clip(3, count, height, width)
    check_filled(prior(**settings)(frames, masks).frames, frames, masks)


def test_a_hole_everywhere_is_painted(prior):
    frames, _ = make_clip(3, 3, 128, 128)
    result = prior()(frames, np.ones((3, 128, 128), bool)).frames
    check_filled(result, frames, np.ones((3, 128, 128)))
    assert result.std() > 1


@pytest.mark.parametrize("numerics", ["better", "reference"])
def test_without_holes_no_network_runs(prior, networks_never_run, numerics):
    frames, masks = make_clip(3, 4, 128, 128)
    result = prior(numerics=numerics)(frames, np.zeros_like(masks))
    np.testing.assert_array_equal(result.frames, frames)
    assert result.facts["prior_windows"] == 0


def test_one_mask_holds_for_all_frames_and_the_longer_side_is_cut(prior):
    frames, masks = make_clip(3, 3, 128, 128)
    runner = prior()
    np.testing.assert_array_equal(
        runner(frames, masks[:1]).frames, runner(frames, np.repeat(masks[:1], 3, axis=0)).frames
    )
    assert len(runner(frames, masks[:2]).frames) == 2
    assert len(runner(frames[:2], masks).frames) == 2


def test_a_result_does_not_depend_on_what_ran_before(prior):
    runner = prior(neighbor_length=4, subvideo_length=4)
    frames, masks = make_clip(3, 6, 128, 128)
    first = runner(frames, masks).frames
    runner(*make_clip(4, 3, 136, 128))
    np.testing.assert_array_equal(runner(frames, masks).frames, first)


def test_progress_is_reported_up_to_the_end(prior):
    shares = []
    prior(neighbor_length=2)(*make_clip(3, 3, 128, 128), report=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_sides_too_small_for_the_reference_are_an_error_before_any_network(prior, networks_never_run):
    with pytest.raises(InputError, match=r"96x104.*at least 128"):
        prior(numerics="reference")(*make_clip(3, 2, 104, 100))


@pytest.mark.parametrize(
    ("frames", "masks", "said"),
    [
        (np.zeros((2, 128, 128, 3), np.float32), np.ones((2, 128, 128), bool), "float32"),
        (np.zeros((2, 128, 128), np.uint8), np.ones((2, 128, 128), bool), r"\(2, 128, 128\)"),
        (np.zeros((0, 128, 128, 3), np.uint8), np.ones((2, 128, 128), bool), "at least one"),
        (np.zeros((2, 128, 128, 3), np.uint8), [], "no masks for 2 frames"),
        (np.zeros((2, 128, 128, 3), np.uint8), np.ones((2, 128, 128, 1), bool), r"\(128, 128, 1\)"),
    ],
)
def test_arrays_of_another_kind_are_one_clear_error(prior, networks_never_run, frames, masks, said):
    with pytest.raises(InputError, match=said):
        prior()(frames, masks)


@pytest.mark.parametrize(
    "option", ["ref_stride", "neighbor_length", "subvideo_length", "raft_iterations", "resize_ratio"]
)
def test_options_out_of_range_are_named(option):
    with pytest.raises(ValueError, match=f"{option} is 0; give"):
        PriorSettings(**{option: 0})
