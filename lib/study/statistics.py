"""Paired differences between two variants over the same videos, with bootstrap intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lib.records import canonical_hash

CONFIDENCE = 0.95
RESAMPLES = 10_000
FEWEST_VIDEOS = 6  # for a verdict: with fewer, even a sign test cannot reach 5 % (2 / 2^5)
Verdict = Literal["better", "worse", "no difference shown", "too few videos to say"]


@dataclass(frozen=True)
class PairedDifference:
    """The mean of a variant's values less the baseline's over the videos that have both."""

    mean: float
    low: float | None  # of the 95 % interval; None with fewer than two videos
    high: float | None
    count: int  # videos

    def verdict(self, better: Literal["higher", "lower", ""]) -> Verdict:
        """Whether the interval leaves 0 out, and on which side."""
        if self.count < FEWEST_VIDEOS:
            return "too few videos to say"
        if self.low is None or self.high is None or not better or self.low <= 0 <= self.high:
            return "no difference shown"
        return "better" if (self.mean > 0) == (better == "higher") else "worse"


def paired_difference(
    baseline: Mapping[str, float], variant: Mapping[str, float], *, seed: int, name: str
) -> PairedDifference | None:
    """The difference and its 95 % percentile bootstrap interval (Efron 1979), resampling videos; None without videos.

    Args:
        baseline, variant: values by video; a video with one that is not finite does not count.
        seed, name: of the random stream: the same give the same interval, whatever else is computed.
    """
    both = sorted(baseline.keys() & variant.keys())
    videos = [video for video in both if math.isfinite(baseline[video]) and math.isfinite(variant[video])]
    if not videos:
        return None
    differences = np.array([variant[video] - baseline[video] for video in videos])
    mean = float(differences.mean())
    if len(differences) < 2:
        return PairedDifference(mean, None, None, len(differences))
    if np.ptp(differences) == 0:  # every resample has the same mean
        return PairedDifference(mean, mean, mean, len(differences))
    from scipy.stats import bootstrap  # takes seconds

    found = bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=_stream(seed, name),
    ).confidence_interval
    return PairedDifference(mean, float(found.low), float(found.high), len(differences))


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng(int(canonical_hash([seed, name])[:16], 16))
