"""From the files of a result to its scores, in one pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from lib.errors import InputError
from lib.mask_tracks import read_mask_track
from lib.metrics.definitions import METRICS
from lib.metrics.flow import FlowEstimator
from lib.metrics.hole import Flicker, HoleStatistics, KeptDifference
from lib.metrics.moment import Accumulator, Moment
from lib.metrics.scores import Scores
from lib.metrics.truth import Psnr, Ssim, TruthCheck
from lib.metrics.warp_error import WarpError
from lib.settings import Processing
from lib.video.clip import iter_frames, probe_clip, worked_positions
from lib.video.compose import Blend
from lib.video.masks import dilate
from lib.video.sizes import fit_longer_side, processing_size, resize_frame, resize_mask

Protocol = Literal["plain", "propainter"]
_PAPER_SIZE = (240, 432)  # (H, W) that video-inpainting papers measure at
_WINDOW = {"plain": 7, "propainter": 65}  # of SSIM, in pixels
_ASPECT_TOLERANCE = 0.02
_TRUTH_KEYS = tuple(key for key, metric in METRICS.items() if metric.needs.startswith("ground truth"))
_AROUND = ("psnr_outside", "ssim_outside")
NO_TRUTH = "no ground truth (--gt_root)"
TRUTH_IS_INPUT = "the ground truth is the video itself: in the hole it would score the removed object"


@dataclass(frozen=True)
class ClipFiles:
    """A result and what it is measured against: video files or folders of frames."""

    source: Path
    masks: Path
    result: Path
    truth: Path | None


def evaluate_clip(
    files: ClipFiles,
    processing: Processing,
    blend: Blend,
    *,
    protocol: Protocol = "plain",
    flow: FlowEstimator | None = None,
    networks: Sequence[Accumulator] = (),
    report: Callable[[float], None] = lambda _share: None,
) -> tuple[Scores, dict[str, np.ndarray]]:
    """All numbers of a result, and what numbers of a whole data set are made of.

    Args:
        processing: as of the removal that made the result.
        blend: as of the removal: beyond its reach nothing was to change.
        protocol: `plain` at the result's size, `propainter` at 432x240, as papers measure.
        flow: of the warp error; None: DIS.
        networks: metrics that have weights.
        report: called with the share done, 0..1.

    Raises:
        InputError: a file cannot be read, or the ground truth has fewer frames than the result.
    """
    check, warp_error = TruthCheck(), WarpError(flow)
    metrics: list[Accumulator] = [
        Psnr(per_frame=protocol == "propainter"),
        Ssim(_WINDOW[protocol]),
        *networks,
        warp_error,
        Flicker(),
        *((KeptDifference(),) if protocol == "plain" else ()),
        HoleStatistics(),
    ]
    clip = _Clip(files, processing, blend)
    count = 0
    for moment in clip.moments(_PAPER_SIZE if protocol == "propainter" else None):
        for metric in (check, *metrics):
            metric.add(moment)
        count += 1
        report(count / clip.count)
    values, unavailable, arrays = _collected(metrics)
    missing = clip.no_truth or (TRUTH_IS_INPUT if check.is_input else "")
    if missing:
        dropped = [key for key in _TRUTH_KEYS if clip.no_truth or key not in _AROUND]
        values = {key: value for key, value in values.items() if key not in dropped}
        unavailable |= dict.fromkeys(dropped, missing)
        arrays = {name: array for name, array in arrays.items() if not name.endswith("_truth")}
    if protocol == "propainter":
        unavailable["max_difference_kept"] = "not measured at 432x240 (--metrics_protocol propainter)"
    scores = Scores(
        protocol=protocol,
        frames=count,
        values={key: round(values[key], 6) for key in METRICS if key in values},
        unavailable={key: unavailable[key] for key in METRICS if key in unavailable},
        facts={"flow": warp_error.estimate.name, "measured": files.result.name},
    )
    return scores, arrays


def _collected(
    metrics: Sequence[Accumulator],
) -> tuple[dict[str, float], dict[str, str], dict[str, np.ndarray]]:
    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    arrays: dict[str, np.ndarray] = {}
    for metric in metrics:
        values |= metric.values()
        unavailable |= metric.unavailable()
        arrays |= metric.arrays()
    return values, unavailable, arrays


class _Clip:
    """Reads all parts of a result side by side."""

    def __init__(self, files: ClipFiles, processing: Processing, blend: Blend) -> None:
        self._files, self._processing, self._blend = files, processing, blend
        result, source = probe_clip(files.result), probe_clip(files.source)
        self.count = result.frame_count
        self._source = source
        self._size = result.height, result.width
        self._source_size = source.height, source.width
        self.no_truth = self._truth_problem()

    def _truth_problem(self) -> str:
        """Why nothing can be compared with the ground truth, or nothing."""
        if self._files.truth is None:
            return NO_TRUTH
        truth = probe_clip(self._files.truth)
        # A removal may stretch frames (--height and --width): the truth is stretched as the source was.
        if any(_similar((truth.height, truth.width), size) for size in (self._source_size, self._size)):
            return ""
        return (
            f"the ground truth has {truth.width}x{truth.height} pixels, the result {self._size[1]}x{self._size[0]}:"
            " another aspect ratio"
        )

    def moments(self, size: tuple[int, int] | None) -> Iterator[Moment]:
        """Every frame, at `size` (H, W) if one is given."""
        previous = None
        for index, (source, result, truth, hole) in enumerate(self._frames()):
            far = _farther(hole, self._blend.reach)
            at = size or self._size
            moment = Moment(
                index,
                resize_frame(resize_frame(source, self._size), at),
                resize_frame(result, at),
                None if truth is None else resize_frame(truth, at),
                resize_mask(hole, at),
                resize_mask(far, at),
                previous,
            )
            yield moment
            previous = Moment(*(getattr(moment, name) for name in _WITHOUT_PREVIOUS))

    def _frames(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]]:
        limit = self.count
        deinterlace = self._processing.deinterlace
        sources = iter_frames(self._files.source, limit, deinterlace=deinterlace)
        results = iter_frames(self._files.result)
        truths = None if self.no_truth or self._files.truth is None else iter_frames(self._files.truth, limit)
        found = 0
        for source, result, mask in zip(sources, results, self._holes(), strict=False):
            truth = None
            if truths is not None and (truth := next(truths, None)) is None:
                raise InputError(
                    f"{self._files.truth}: the ground truth ends after {found} frames, {self._files.result} has "
                    f"{self.count}; give one for each frame, or cut the video (--video_length {found})"
                )
            found += 1
            yield source, result, truth, resize_mask(mask, self._size)
        if found < self.count:
            raise InputError(
                f"{self._files.source}: holds {found} frames, its result {self._files.result} {self.count}"
            )

    def _holes(self) -> Iterator[np.ndarray]:
        """The masks as the removal widened them, at its processing size. All of them are read at once, a byte
        a pixel: a third of one copy of the frames, of which a removal holds several."""
        work = self._processing
        positions = worked_positions(self._source, work.video_length, self.count)
        track = read_mask_track(self._source, self._files.masks, work, positions)
        size = fit_longer_side(processing_size(self._source_size, work.height, work.width), work.max_img_size)
        for mask in track.masks:
            yield dilate(resize_mask(mask, size)[None], work.mask_dilation_iter)[0]


_WITHOUT_PREVIOUS = ("index", "source", "result", "truth", "hole", "kept")


def _similar(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two (H, W) have about the same aspect ratio."""
    return abs(size[1] * other[0] / (size[0] * other[1]) - 1) <= _ASPECT_TOLERANCE


def _farther(hole: np.ndarray, reach: int) -> np.ndarray:
    """(H, W) bool: more than `reach` pixels away from the hole, in any direction."""
    size = 2 * reach + 1
    return ~cv2.dilate(hole.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
