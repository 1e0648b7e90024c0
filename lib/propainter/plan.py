"""Which frames the driver looks at together. Pure index arithmetic; T frames, S = subvideo_length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lib.propainter.settings import PriorSettings

LONGEST_PROPAGATION = 100  # frames
PROPAGATION_CONTEXT = 10  # frames on either side of a chunk of image propagation
COMPLETION_CONTEXT = 5  # flows on either side of a chunk of flow completion
SMALLEST_SAMPLE = 2  # frames that flow can be estimated between


@dataclass(frozen=True)
class Window:
    """Frames that are painted together: local ones, which follow each other, and references for them."""

    local: range
    references: tuple[int, ...]

    @property
    def first(self) -> int:
        return min((self.local.start, *self.references))


def with_context(start: int, stop: int, context: int, length: int) -> tuple[int, int]:
    """A chunk widened by `context` on both sides, as far as the clip reaches."""
    return max(0, start - context), min(length, stop + context)


def propagation_chunk(frames: int, subvideo_length: int) -> int:
    """Frames a chunk of image propagation: the whole clip where it is short enough."""
    longest = min(LONGEST_PROPAGATION, subvideo_length)
    return longest if frames > longest else frames


def completion_chunk(flows: int, subvideo_length: int) -> int:
    """Flows a chunk of flow completion: the whole clip where it is short enough."""
    return subvideo_length if flows > subvideo_length else flows


def sampled_frames(frames: int, subvideo_length: int) -> range:
    """Frames of a long clip that are propagated among themselves first, so that what is far away gets known too.

    Empty for short clips, and where S leaves fewer than two samples (there the published driver fails).
    """
    longest = min(LONGEST_PROPAGATION, subvideo_length)
    if frames <= longest or longest < SMALLEST_SAMPLE:
        return range(0)
    samples = range(0, frames, frames // (longest // 2))
    return samples if len(samples) >= SMALLEST_SAMPLE else range(0)


def windows(frames: int, settings: PriorSettings) -> Iterator[Window]:
    """The windows in the order in which they are painted; neighbours overlap by half."""
    half = settings.neighbor_length // 2
    for middle in range(0, frames, half):
        local = range(max(0, middle - half), min(frames, middle + half + 1))
        near = _reference_range(frames, middle, settings)
        yield Window(local, tuple(index for index in near if index not in local))


def needed_from(plan: Sequence[Window]) -> list[int]:
    """For each window, the first frame that it or any later one looks at."""
    return list(accumulate((window.first for window in reversed(plan)), min))[::-1]


def _reference_range(frames: int, middle: int, settings: PriorSettings) -> range:
    if frames <= settings.subvideo_length:
        return range(0, frames, settings.ref_stride)
    reach = settings.ref_stride * (settings.subvideo_length // settings.ref_stride // 2)
    return range(max(0, middle - reach), min(frames, middle + reach), settings.ref_stride)


def flow_chunk(width: int, height: int) -> int:
    """Pairs of frames whose correlation volumes are in memory at once."""
    longest = max(width, height)
    return next((pairs for side, pairs in ((640, 12), (720, 8), (1280, 4)) if longest <= side), 2)
