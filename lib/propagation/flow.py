"""What moves differently from the camera: dense residual flow around the hole, trusted only where it proves itself."""

from dataclasses import dataclass

import cv2
import numpy as np

from lib.propagation.settings import PropagationSettings


@dataclass(frozen=True)
class Box:
    """Rows top..bottom-1 and columns left..right-1 of a frame."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as OpenCV wants it."""
        return self.right - self.left, self.bottom - self.top

    @property
    def to_frame(self) -> np.ndarray:
        return np.array([[1, 0, self.left], [0, 1, self.top], [0, 0, 1.0]])


def box_around(mask: np.ndarray, margin: int) -> Box | None:
    """The box of all True pixels and a margin, inside the frame; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    top, bottom = max(int(rows[0]) - margin, 0), min(int(rows[-1]) + margin + 1, mask.shape[0])
    left, right = max(int(columns[0]) - margin, 0), min(int(columns[-1]) + margin + 1, mask.shape[1])
    return Box(top, bottom, left, right)


class ResidualFlow:
    """DIS flow between a frame and its neighbour after the camera's motion is taken out."""

    def __init__(self, settings: PropagationSettings) -> None:
        self._settings = settings
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def between(
        self,
        gray: np.ndarray,
        unknown: np.ndarray,
        other: np.ndarray,
        other_unknown: np.ndarray,
        homography: np.ndarray,
        box: Box,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Residual flow on one box of `gray`, or None where the camera alone explains it as well.

        Args:
            gray, other: (H, W) uint8, the two frames.
            unknown, other_unknown: (H, W) bool, pixels whose content or flow means nothing.
            homography: (3, 3), pixels of `gray` to pixels of `other`.
            box: where in `gray`.

        Returns:
            (h, w, 2) float32 over the box: pixel p of `gray` is found in `other` at homography(p + flow(p)). And
            (h, w) bool, where that is measured and consistent.
        """
        inverse = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        to_other = homography @ box.to_frame
        moved = cv2.warpPerspective(other, to_other, box.size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        outside = cv2.warpPerspective(
            other_unknown.astype(np.uint8),
            to_other,
            box.size,
            flags=inverse,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=1,
        )
        here, hidden, hidden_there = gray[box.slices], unknown[box.slices], outside > 0
        here, moved = _share_content(here, hidden, moved, hidden_there)
        if min(here.shape) < 16:
            return None
        ahead = self._flow(here, moved)
        back = self._flow(moved, here)
        return self._trusted(here, moved, ahead, back, hidden | hidden_there)

    def _flow(self, here: np.ndarray, there: np.ndarray) -> np.ndarray:
        return self._dis.calc(
            np.ascontiguousarray(here), np.ascontiguousarray(there), np.zeros((*here.shape, 2), np.float32)
        )

    def _trusted(
        self, here: np.ndarray, moved: np.ndarray, ahead: np.ndarray, back: np.ndarray, hidden: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        consistent = _consistent(ahead, back) & ~hidden
        if consistent.sum() < 64:
            return None
        before = np.abs(here.astype(np.float32) - moved)
        after = np.abs(here.astype(np.float32) - _read(moved, ahead))
        if after[consistent].mean() > self._settings.flow_gain * before[consistent].mean():
            return None
        return ahead, consistent


def _share_content(
    here: np.ndarray, hidden: np.ndarray, there: np.ndarray, hidden_there: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put each picture's content into the other's hole, so that neither hole's content pulls at the flow around it."""
    if not (hidden.any() or hidden_there.any()):
        return here, there
    known = np.where(hidden, there, here)
    both = hidden & hidden_there
    weight = (~both).astype(np.float32)
    common = fill_smoothly(known.astype(np.float32)[..., None], weight)[..., 0]
    common = np.clip(np.rint(common), 0, 255).astype(np.uint8)
    return np.where(hidden, common, here), np.where(hidden_there, np.where(both, common, here), there)


def _consistent(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Where following the flow there and back leads home."""
    miss = np.abs(flow + _read(back, flow)).sum(axis=2)
    return miss < 0.5 + 0.1 * np.abs(flow).sum(axis=2)


def _read(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """float32 values of the picture at pixel + flow."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def fill_smoothly(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Values where the weight is 1, a smooth continuation of them where it is 0.

    Args:
        values: (h, w, C) float32. weight: (h, w) float32 in 0..1.
    """
    height, width = weight.shape
    if min(height, width) <= 2 or weight.min() >= 1:
        total = weight.sum()
        mean = (values * weight[..., None]).sum(axis=(0, 1)) / total if total > 0 else np.zeros(values.shape[2])
        rest = np.broadcast_to(mean.astype(np.float32), values.shape)
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        weighted = cv2.resize(values * weight[..., None], half, interpolation=cv2.INTER_AREA).reshape(*half[::-1], -1)
        coarse_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
        coarse = weighted / np.maximum(coarse_weight, 1e-6)[..., None]
        coarse = fill_smoothly(coarse, np.minimum(1.0, 4 * coarse_weight))
        rest = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(values.shape)
    return values * weight[..., None] + rest * (1 - weight[..., None])
