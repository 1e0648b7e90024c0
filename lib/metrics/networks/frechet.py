"""The Fréchet distance between two sets of features (Dowson and Landau 1982; Heusel et al. 2017, FID)."""

import numpy as np


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """|mean a - mean b|² + trace(A + B - 2 (AB)^½) of the Gaussians with the sets' means and covariances.

    Args:
        one, other: (n, d) features, at least two each; the numbers may differ.

    Raises:
        ValueError: fewer than two features, or of different dimensions.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise ValueError(f"found features of shape {one.shape} and {other.shape}, expected (n, d) of one d")
    if min(len(one), len(other)) < 2:
        raise ValueError(f"found {len(one)} and {len(other)} features, expected at least two of each")
    gap = one.mean(axis=0) - other.mean(axis=0)
    return float(max(0.0, gap @ gap + _covariance_distance(_scatter(one), _scatter(other))))


def _scatter(features: np.ndarray) -> np.ndarray:
    """S with SᵀS the (unbiased) covariance."""
    return (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)


def _covariance_distance(one: np.ndarray, other: np.ndarray) -> float:
    """trace(A + B - 2 (AB)^½) for A = SᵀS, B = TᵀT.

    The root's trace is the sum of the singular values of STᵀ: exact for covariances that have no full rank, where a
    root of the (d, d) product loses digits; and (n, n) is small.
    """
    return float((one**2).sum() + (other**2).sum() - 2 * np.linalg.svd(one @ other.T, compute_uv=False).sum())
