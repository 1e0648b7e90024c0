"""VFID: the Fréchet distance between I3D features of results and of ground truths, a number for a whole data set."""

from collections.abc import Mapping

import numpy as np

from lib.metrics.networks.frechet import frechet_distance


def vfid(features: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[float | None, str]:
    """The distance, and what is to be said about it.

    Args:
        features: by video, the (d,) features of its result and of its ground truth.

    Returns:
        None and the reason where it cannot be had; else the number, and a warning or nothing.
    """
    if len(features) < 2:
        return None, f"VFID compares sets of videos: found {len(features)} with features, expected at least 2"
    results, truths = (np.stack([pair[side] for pair in features.values()]) for side in (0, 1))
    dimension = results.shape[1]
    warning = (
        f"VFID: {len(features)} videos give covariances of rank {len(features) - 1} at most, and features have "
        f"{dimension} numbers: compare it only between results of the very same videos"
        if len(features) <= dimension
        else ""
    )
    return frechet_distance(results, truths), warning
