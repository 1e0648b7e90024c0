"""PSNR and SSIM against the ground truth: of whole frames, inside the hole, outside of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.metrics import mean_squared_error, structural_similarity

from lib.metrics.moment import Moment

PSNR_OF_EQUAL = 100.0  # dB: JSON has no infinity, and one equal frame must not decide a mean
REGIONS = ("", "_inside", "_outside")
# Encoding and resizing change what is in the hole as they change the rest; an object differs by more. A truth that
# differs by a lot all over (badly aligned, say) is not the video itself.
_SAME_LEVELS, _SAME_RATIO, _SAME_LEVELS_AT_MOST = 3.0, 2.0, 10.0
_NO_PIXEL = {"": "there is no frame", "_inside": "no frame has a hole", "_outside": "the holes fill all frames"}


@dataclass
class _Mean:
    total: float = 0.0
    weight: float = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float:
        return self.total / self.weight


class Psnr:
    """Peak signal-to-noise ratio, peak 255, over all channels.

    Args of the constructor:
        per_frame: the mean of the frames' values (as in papers) instead of one over all pixels of the clip.
    """

    keys: Sequence[str] = tuple(f"psnr{region}" for region in REGIONS)

    def __init__(self, *, per_frame: bool) -> None:
        self._per_frame = per_frame
        self._means = {region: _Mean() for region in REGIONS}

    def add(self, moment: Moment) -> None:
        if moment.truth is None:
            return
        for region, (error, count) in _errors(moment.truth, moment.result, moment.hole).items():
            if self._per_frame and count:
                self._means[region].add(psnr_of(error))
            elif count:
                self._means[region].add(error, count)

    def values(self) -> dict[str, float]:
        found = {f"psnr{region}": mean.value for region, mean in self._means.items() if mean.weight}
        return found if self._per_frame else {key: psnr_of(error) for key, error in found.items()}

    def unavailable(self) -> dict[str, str]:
        return _without_pixels("psnr", self._means)

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class Ssim:
    """Structural similarity (Wang et al. 2004) per channel, with a uniform window of so many pixels."""

    keys: Sequence[str] = tuple(f"ssim{region}" for region in REGIONS)

    def __init__(self, window: int) -> None:
        self._window = window
        self._means = {region: _Mean() for region in REGIONS}
        self._too_small: tuple[int, int] | None = None

    def add(self, moment: Moment) -> None:
        if moment.truth is None:
            return
        height, width = moment.hole.shape
        if min(height, width) < self._window:
            self._too_small = height, width
            return
        whole, pixels = self._map(moment.truth, moment.result)
        self._means[""].add(whole)
        for region, where in (("_inside", moment.hole), ("_outside", ~moment.hole)):
            if count := int(where.sum()):
                self._means[region].add(float(pixels[where].mean()), count)

    def _map(self, truth: np.ndarray, result: np.ndarray) -> tuple[float, np.ndarray]:
        """The frame's own value (borders, where windows are cut, do not count), and that of each pixel (H, W)."""
        mean, pixels, *_ = structural_similarity(
            truth.astype(np.float32),
            result.astype(np.float32),
            win_size=self._window,
            data_range=255,
            channel_axis=-1,
            full=True,
        )
        return float(mean), pixels.mean(axis=-1)

    def values(self) -> dict[str, float]:
        return {f"ssim{region}": mean.value for region, mean in self._means.items() if mean.weight}

    def unavailable(self) -> dict[str, str]:
        if self._too_small is None:
            return _without_pixels("ssim", self._means)
        height, width = self._too_small
        return dict.fromkeys(self.keys, f"frames of {width}x{height} are smaller than the window of {self._window}")

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class TruthCheck:
    """Whether the ground truth is the video itself: then numbers in the hole would score the removed object."""

    def __init__(self) -> None:
        self._inside, self._outside = _Mean(), _Mean()

    def add(self, moment: Moment) -> None:
        if moment.truth is None:
            return
        difference = cv2.absdiff(moment.truth, moment.source)
        for mean, pixels in ((self._inside, moment.hole), (self._outside, ~moment.hole)):
            if count := int(pixels.sum()):
                mean.add(float(np.mean(cv2.mean(difference, pixels.astype(np.uint8))[:3])), count)

    @property
    def is_input(self) -> bool:
        around = self._outside.value if self._outside.weight else 0.0
        least = min(max(_SAME_LEVELS, _SAME_RATIO * around), _SAME_LEVELS_AT_MOST)
        return bool(self._inside.weight) and self._inside.value < least


def psnr_of(error: float) -> float:
    """dB of a mean squared error of gray levels."""
    return min(PSNR_OF_EQUAL, 10 * float(np.log10(255**2 / error))) if error > 0 else PSNR_OF_EQUAL


def _errors(truth: np.ndarray, result: np.ndarray, hole: np.ndarray) -> dict[str, tuple[float, int]]:
    """By region, the mean squared error and the number of pixels."""
    pixels, inside = hole.size, int(hole.sum())
    whole = float(mean_squared_error(truth, result))
    in_hole = float(mean_squared_error(truth[hole], result[hole])) if inside else 0.0
    # What is around is what is left: sums of squares are integers, and copying most of a frame takes time.
    around = round(3 * pixels * whole) - round(3 * inside * in_hole)
    outside = pixels - inside
    return {
        "": (whole, pixels),
        "_inside": (in_hole, inside),
        "_outside": (around / (3 * outside) if outside else 0.0, outside),
    }


def _without_pixels(key: str, means: Mapping[str, _Mean]) -> dict[str, str]:
    return {f"{key}{region}": _NO_PIXEL[region] for region, mean in means.items() if not mean.weight}
