"""Fréchet distance and VFID against closed forms and against the matrix root that defines them."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from lib.metrics.networks.frechet import frechet_distance
from lib.metrics.networks.vfid import vfid


def _with_moments(mean: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """A set with exactly this mean and this diagonal covariance."""
    dimension = len(mean)
    corners = np.concatenate([np.eye(dimension), -np.eye(dimension)])
    return mean + corners * deviations * np.sqrt((2 * dimension - 1) / 2)


def test_gaussians_with_known_moments():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, 3.0])
    s, t = np.array([1.0, 2.0, 0.5]), np.array([3.0, 1.0, 0.5])
    expected = ((a - b) ** 2).sum() + ((s - t) ** 2).sum()  # of diagonal covariances
    assert frechet_distance(_with_moments(a, s), _with_moments(b, t)) == pytest.approx(expected)


def test_equal_sets_are_no_distance_apart_and_a_shift_is_its_square():
    features = np.random.default_rng(1).normal(size=(30, 8))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + 2) == pytest.approx(8 * 4)


@pytest.mark.parametrize(("count", "dimension"), [(50, 6), (5, 12)])  # covariances of full rank, and not
def test_against_the_matrix_root(count, dimension):
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=(count, dimension)), rng.normal(1, 2, size=(count + 3, dimension))
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    gap = one.mean(axis=0) - other.mean(axis=0)
    expected = gap @ gap + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-5)


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="at least two"):
        frechet_distance(np.zeros((1, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="expected"):
        frechet_distance(np.zeros((2, 3)), np.zeros((2, 4)))


def test_vfid_needs_two_videos_and_warns_of_few():
    rng = np.random.default_rng(3)
    pairs = {f"video {n}": (rng.normal(size=4), rng.normal(size=4)) for n in range(6)}
    value, why = vfid(dict(list(pairs.items())[:1]))
    assert value is None
    assert "found 1" in why
    value, warning = vfid(dict(list(pairs.items())[:3]))
    assert value is not None
    assert "rank 2" in warning
    value, warning = vfid(pairs)
    stacked = [np.stack([pair[side] for pair in pairs.values()]) for side in (0, 1)]
    assert value == pytest.approx(frechet_distance(*stacked))
    assert warning == ""
