"""Pictures of any colour tags as networks and pages see them, BT.709 SDR on 8 bits, and back. numpy alone.

HDR is tone-mapped: its reference white of 203 cd/m² is near SDR's white, what lies far below stays as bright as it is,
and only the brightest channel counts, so that hues hold and the way back is known. Wide gamuts are clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.video.colour import BT709, DEEPEST, HLG, PQ, SRGB, ColourTags, reads_plainly
from lib.video.primaries import rgb_matrix
from lib.video.transfer import (
    HLG_PEAK,
    PQ_PEAK,
    REFERENCE_WHITE,
    SDR_GAMMA,
    hlg_gain,
    hlg_inverse_gain,
    hlg_luminance,
    hlg_to_scene,
    linear_to_srgb,
    nits_to_pq,
    pq_to_nits,
    scene_to_hlg,
    srgb_to_linear,
    tone_map,
    tone_unmap,
)

_BLOCK = 1 << 16  # pixels worked on at a time: they stay in the processor's cache
_BRIGHTEST = PQ_PEAK / REFERENCE_WHITE  # light that tables reach to, in SDR's white
_Planes = list[np.ndarray]


def to_sdr(rgb: np.ndarray, tags: ColourTags, white: int = DEEPEST) -> np.ndarray:
    """(H, W, 3) uint8 BT.709 R'G'B' of (H, W, 3) uint16 R'G'B' in full range (rgb48) with these tags.

    The matrix and the range of the tags do not matter: R'G'B' has none.

    Args:
        white: the number that is signal 1; see `lib.video.colour.white_of_rgb48`.
    """
    table = None if reads_plainly(tags) else _decoder(tags.transfer, tags.primaries, white)
    result = np.empty(rgb.shape, np.uint8)
    for part in _blocks(rgb):
        if table is None:
            result[part] = np.take(_plain_codes(white), rgb[part])
        else:
            table.apply(rgb[part], result[part])
    return result


def from_sdr(rgb: np.ndarray, tags: ColourTags) -> np.ndarray:
    """(H, W, 3) float32 R'G'B' 0..1 with these tags of (H, W, 3) uint8 BT.709 R'G'B': the way back of `to_sdr`."""
    if reads_plainly(tags):
        return rgb * np.float32(1 / 255)
    table = _encoder(tags.transfer, tags.primaries)
    result = np.empty(rgb.shape, np.float32)
    for part in _blocks(rgb):
        result[part] = np.stack(table.apply(rgb[part]), axis=-1)
    return result


def _blocks(rgb: np.ndarray) -> Iterator[slice]:
    rows = max(_BLOCK // max(rgb.shape[1], 1), 1)
    return (slice(top, top + rows) for top in range(0, len(rgb), rows))


@dataclass(frozen=True)
class _Decoder:
    """Tables that show a signal as SDR."""

    linear: np.ndarray  # light by 16-bit signal: of the scene for HLG, else in SDR's white
    matrix: np.ndarray  # (3, 3) to BT.709
    scene: bool  # HLG: the display's light depends on the luminance
    dimming: np.ndarray | None  # what tone mapping leaves of the root of the brightest channel, by that root
    codes: np.ndarray  # uint8 by the root of light

    def apply(self, rgb: np.ndarray, result: np.ndarray) -> None:
        light = [np.take(self.linear, rgb[..., channel]) for channel in range(3)]
        gain = hlg_gain(hlg_luminance(*light)) * np.float32(HLG_PEAK / REFERENCE_WHITE) if self.scene else None
        roots = []
        for plane in _mixed(self.matrix, light):
            if gain is not None:
                plane *= gain
            roots.append(np.sqrt(np.maximum(plane, 0, out=plane), out=plane))
        if self.dimming is not None:
            brightest = np.maximum(np.maximum(roots[0], roots[1]), roots[2])
            kept = np.take(self.dimming, _index(brightest, _BRIGHTEST))
            for plane in roots:
                plane *= kept
        for channel, plane in enumerate(roots):
            result[..., channel] = np.take(self.codes, _index(plane, 1))


@dataclass(frozen=True)
class _Encoder:
    """Tables of the way back."""

    linear: np.ndarray  # light in SDR's white by 8-bit code
    brightening: np.ndarray | None  # what undoes tone mapping, by the code of the brightest channel
    matrix: np.ndarray  # (3, 3) from BT.709
    scene: bool
    unit: float  # what light is divided by to be 0..1
    root: Callable[[np.ndarray], np.ndarray]  # under which the signal's table is even
    signal: np.ndarray  # float32 by that root of light 0..1

    def apply(self, rgb: np.ndarray) -> _Planes:
        light = [np.take(self.linear, rgb[..., channel]) for channel in range(3)]
        if self.brightening is not None:
            gain = np.take(self.brightening, rgb.max(axis=-1))
            light = [plane * gain for plane in light]
        planes = [np.maximum(plane / np.float32(self.unit), 0) for plane in _mixed(self.matrix, light)]
        if self.scene:
            gain = hlg_inverse_gain(hlg_luminance(*planes))
            planes = [plane * gain for plane in planes]
        return [np.take(self.signal, _index(self.root(plane), 1)) for plane in planes]


@lru_cache
def _plain_codes(white: int) -> np.ndarray:
    return np.rint(_signals(white) * 255).astype(np.uint8)


@lru_cache
def _decoder(transfer: int, primaries: int, white: int) -> _Decoder:
    signal = _signals(white)
    light = np.linspace(0, 1, DEEPEST + 1) ** 2  # of the tables by root
    dimming = None
    if transfer in (PQ, HLG):
        nits = np.maximum(light * PQ_PEAK, 1e-6)
        dimming = _table(np.sqrt(tone_map(nits) / nits))
    linear = hlg_to_scene(signal) if transfer == HLG else _linear(signal, transfer)
    codes = np.rint(_sdr_signal(light, transfer) * 255).astype(np.uint8)
    return _Decoder(_table(linear), _table(rgb_matrix(primaries, BT709)), transfer == HLG, dimming, codes)


@lru_cache
def _encoder(transfer: int, primaries: int) -> _Encoder:
    codes, even = np.linspace(0, 1, 256), np.linspace(0, 1, DEEPEST + 1)
    matrix = _table(rgb_matrix(BT709, primaries))
    if transfer not in (PQ, HLG):
        linear, signal = _table(_linear(codes, transfer)), _table(_sdr_signal(even**2, transfer))
        return _Encoder(linear, None, matrix, False, 1, np.sqrt, signal)
    linear = codes**SDR_GAMMA
    nits = np.maximum(linear * REFERENCE_WHITE, 1e-6)
    gain = np.where(linear > 0, tone_unmap(nits) / nits, 1)
    if transfer == HLG:
        unit, root, signal = HLG_PEAK / REFERENCE_WHITE, np.sqrt, scene_to_hlg(even**2)
    else:
        unit, root, signal = _BRIGHTEST, _fourth_root, nits_to_pq(even**4 * PQ_PEAK)
    return _Encoder(_table(linear), _table(gain), matrix, transfer == HLG, unit, root, _table(signal))


def _signals(white: int) -> np.ndarray:
    """Signals 0..1 by 16-bit number."""
    return np.minimum(np.arange(DEEPEST + 1) / white, 1)


def _linear(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Light in SDR's white."""
    if transfer == PQ:
        return pq_to_nits(signal) / REFERENCE_WHITE
    return srgb_to_linear(signal) if transfer == SRGB else signal**SDR_GAMMA


def _sdr_signal(light: np.ndarray, transfer: int) -> np.ndarray:
    """SDR keeps its own curve, as grays of ordinary primaries do."""
    return linear_to_srgb(light) if transfer == SRGB else light ** (1 / SDR_GAMMA)


def _fourth_root(light: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sqrt(light))


def _mixed(matrix: np.ndarray, planes: _Planes) -> _Planes:
    return [row[0] * planes[0] + row[1] * planes[1] + row[2] * planes[2] for row in matrix]


def _index(root: np.ndarray, brightest: float) -> np.ndarray:
    """Places of roots of light in a table that reaches to the root of `brightest`."""
    return np.minimum(root * np.float32(DEEPEST / np.sqrt(brightest)) + np.float32(0.5), DEEPEST).astype(np.uint16)


def _table(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
