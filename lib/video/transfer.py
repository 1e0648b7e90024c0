"""Curves between signal and light, and tone mapping between displays; numbers of BT.2100, BT.2390 and BT.2408."""

from __future__ import annotations

import numpy as np

PQ_PEAK = 10_000.0  # cd/m² of signal 1
HLG_PEAK = 1000.0  # cd/m² of the display that HLG is shown on here
HDR_PEAK = 1000.0  # cd/m²; brighter PQ content is shown like this
REFERENCE_WHITE = 203.0  # cd/m², BT.2408: what SDR's white is in HDR
SDR_GAMMA = 2.4  # BT.1886 with a black of 0
_HLG_SYSTEM_GAMMA = 1.2  # BT.2100 for 1000 cd/m²
_HLG_LUMINANCE = (0.2627, 0.6780, 0.0593)
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * np.log(4 * _A)
_INVERSE_STEPS = 1 << 14


def pq_to_nits(signal: np.ndarray) -> np.ndarray:
    """cd/m² of PQ signals 0..1."""
    power = np.power(np.clip(signal, 0, 1), 1 / _M2)
    return PQ_PEAK * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def nits_to_pq(nits: np.ndarray) -> np.ndarray:
    """PQ signals 0..1 of cd/m²."""
    power = np.power(np.clip(nits, 0, PQ_PEAK) / PQ_PEAK, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_to_scene(signal: np.ndarray) -> np.ndarray:
    """Scene light 0..1 of HLG signals 0..1, per channel."""
    signal = np.clip(signal, 0, 1)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)


def scene_to_hlg(scene: np.ndarray) -> np.ndarray:
    """HLG signals 0..1 of scene light 0..1, per channel."""
    scene = np.clip(scene, 0, 1)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C)


def hlg_gain(luminance: np.ndarray) -> np.ndarray:
    """What scene light is multiplied by to be the display's, both 0..1, by its scene luminance."""
    return np.power(luminance, _HLG_SYSTEM_GAMMA - 1)


def hlg_inverse_gain(luminance: np.ndarray) -> np.ndarray:
    """What a display's light is multiplied by to be the scene's, both 0..1, by its display luminance."""
    return np.power(np.maximum(luminance, 1e-9), 1 / _HLG_SYSTEM_GAMMA - 1)


def hlg_luminance(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """Luminance of linear BT.2020 light."""
    weights = [np.float32(weight) for weight in _HLG_LUMINANCE]
    return weights[0] * red + weights[1] * green + weights[2] * blue


def srgb_to_linear(signal: np.ndarray) -> np.ndarray:
    """Light 0..1 of sRGB signals 0..1."""
    return np.where(signal <= 0.04045, signal / 12.92, np.power((signal + 0.055) / 1.055, 2.4))


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """sRGB signals 0..1 of light 0..1."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)


def tone_map(nits: np.ndarray, peak: float = HDR_PEAK, white: float = REFERENCE_WHITE) -> np.ndarray:
    """cd/m² on a display whose brightest is `white`, of cd/m² up to `peak` (more counts as `peak`).

    BT.2390's EETF for blacks of 0: nothing changes below its knee, above it a Hermite spline in PQ rolls off.
    """
    top = nits_to_pq(np.array(peak))
    signal, ceiling = np.minimum(nits_to_pq(nits) / top, 1), nits_to_pq(np.array(white)) / top
    knee = 1.5 * ceiling - 0.5
    t = (signal - knee) / (1 - knee)
    rolled = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * ceiling
    return np.where(signal < knee, nits, pq_to_nits(rolled * top))


def tone_unmap(nits: np.ndarray, peak: float = HDR_PEAK, white: float = REFERENCE_WHITE) -> np.ndarray:
    """The cd/m² that `tone_map` takes to these; `white` and more give `peak`."""
    bright = pq_to_nits(np.linspace(0, nits_to_pq(np.array(peak)), _INVERSE_STEPS))
    return np.interp(nits, tone_map(bright, peak, white), bright)
