"""Changing the primaries of linear light."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lib.video.colour import BT709, BT2020, UNSPECIFIED

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_EBU = ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65)
_SMPTE_C = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_P3 = (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)
_CHROMATICITIES = {  # red, green, blue, white of H.273
    BT709: _BT709,
    UNSPECIFIED: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: _EBU,
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: (*_P3, _DCI),
    12: (*_P3, _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@lru_cache
def rgb_matrix(source: int, target: int) -> np.ndarray:
    """(3, 3) that takes linear RGB columns of one H.273 primaries to another's; white stays white (Bradford)."""
    adapted = np.linalg.inv(_to_xyz(target)) @ _adaptation(source, target) @ _to_xyz(source)
    adapted.setflags(write=False)
    return adapted


def _to_xyz(primaries: int) -> np.ndarray:
    *corners, white = _CHROMATICITIES[primaries]
    columns = np.stack([_xyz(corner) for corner in corners], axis=1)
    return columns * np.linalg.solve(columns, _xyz(white))


def _adaptation(source: int, target: int) -> np.ndarray:
    cones = [_BRADFORD @ _xyz(_CHROMATICITIES[primaries][-1]) for primaries in (source, target)]
    return np.linalg.inv(_BRADFORD) @ np.diag(cones[1] / cones[0]) @ _BRADFORD


def _xyz(chromaticity: tuple[float, float]) -> np.ndarray:
    x, y = chromaticity
    return np.array([x / y, 1, (1 - x - y) / y])
