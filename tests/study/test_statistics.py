"""Paired differences and their bootstrap intervals against closed forms."""

import numpy as np
import pytest

from lib.study.statistics import PairedDifference, paired_difference

NAMES = [f"video {number}" for number in range(40)]


def _paired(gaps: np.ndarray) -> PairedDifference:
    start = np.random.default_rng(0).normal(30, 5, len(gaps))
    one = dict(zip(NAMES, map(float, start), strict=False))
    other = dict(zip(NAMES, map(float, start + gaps), strict=False))
    found = paired_difference(one, other, seed=42, name="test")
    assert found is not None
    return found


def test_the_interval_is_that_of_the_mean():
    """For many values the bootstrap of a mean is close to mean ± 1.96 standard errors."""
    gaps = np.random.default_rng(1).normal(1.0, 2.0, 40)
    found = _paired(gaps)
    error = gaps.std() / np.sqrt(40)
    assert found.mean == pytest.approx(gaps.mean())
    assert found.low == pytest.approx(gaps.mean() - 1.96 * error, abs=0.06)
    assert found.high == pytest.approx(gaps.mean() + 1.96 * error, abs=0.06)
    assert found.count == 40


def test_it_covers_the_truth_about_as_often_as_it_says():
    """120 tries of 30 videos: 95 % within what chance allows (the percentile method runs low)."""
    covered = 0
    for number in range(120):
        gaps = np.random.default_rng(number).normal(0.5, 1.0, 30)
        found = _paired(gaps)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.5 <= found.high
    assert 0.87 <= covered / 120 <= 1


def test_only_videos_that_have_both_count():
    found = paired_difference({"a": 1.0, "b": 2.0, "c": 9.0}, {"a": 2.0, "b": 4.0, "d": 0.0}, seed=1, name="x")
    assert found is not None
    assert (found.mean, found.count) == (1.5, 2)
    assert paired_difference({"a": 1.0}, {"b": 1.0}, seed=1, name="x") is None


def test_one_video_has_no_interval_and_equal_differences_no_width():
    alone = paired_difference({"a": 1.0}, {"a": 3.0}, seed=1, name="x")
    assert alone == PairedDifference(2.0, None, None, 1)
    assert alone.verdict("higher") == "too few videos to say"
    same = paired_difference({"a": 1.0, "b": 5.0}, {"a": 1.5, "b": 5.5}, seed=1, name="x")
    assert same == PairedDifference(0.5, 0.5, 0.5, 2)


def test_the_same_stream_gives_the_same_interval():
    gaps = np.random.default_rng(3).normal(size=12)
    assert _paired(gaps) == _paired(gaps)
    values = dict(zip(NAMES, map(float, gaps), strict=False))
    zeros = dict.fromkeys(values, 0.0)
    lows = {paired_difference(zeros, values, seed=7, name=name).low for name in ("one", "other")}  # type: ignore[union-attr]
    assert len(lows) == 2


@pytest.mark.parametrize(
    ("low", "high", "better", "verdict"),
    [
        (0.1, 0.9, "higher", "better"),
        (0.1, 0.9, "lower", "worse"),
        (-0.9, -0.1, "higher", "worse"),
        (-0.9, -0.1, "lower", "better"),
        (-0.1, 0.9, "higher", "no difference shown"),
        (0.0, 0.9, "higher", "no difference shown"),
        (0.1, 0.9, "", "no difference shown"),
    ],
)
def test_a_verdict_only_where_the_interval_leaves_0_out(low, high, better, verdict):
    assert PairedDifference((low + high) / 2, low, high, 9).verdict(better) == verdict


def test_few_videos_give_no_verdict_however_much_they_agree():
    assert PairedDifference(1.0, 0.9, 1.1, 5).verdict("higher") == "too few videos to say"
    assert PairedDifference(1.0, 0.9, 1.1, 6).verdict("higher") == "better"


def test_numbers_that_are_not_finite_do_not_count():
    found = paired_difference({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 2.0, "b": np.nan, "c": np.inf}, seed=1, name="x")
    assert found == PairedDifference(1.0, None, None, 1)
