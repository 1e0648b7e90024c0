"""How a clip's frames are shown: what results take over from their source besides pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from lib.video.timeline import Timeline

SQUARE = Fraction(1)


@dataclass(frozen=True)
class Presentation:
    """Times, shape of the pixels and order of the fields of the frames that are there."""

    fps: Fraction  # mean frames per second
    times: tuple[Fraction, ...] | None = None  # seconds since the first frame, of each frame; None: n / fps
    last: Fraction | None = None  # seconds that the last frame is shown where there are times
    sample_aspect: Fraction = SQUARE  # width of a pixel by its height
    top_field_first: bool | None = None  # None: frames are whole, not two fields

    @classmethod
    def of(
        cls,
        timeline: Timeline,
        positions: Sequence[int],
        sample_aspect: Fraction = SQUARE,
        top_field_first: bool | None = None,
    ) -> Presentation:
        """Of the frames of a timeline at `positions`, the first of which is shown at once."""
        dense = tuple(positions) == tuple(range(len(positions)))
        if timeline.times is None and dense:
            return cls(timeline.fps, None, None, sample_aspect, top_field_first)
        start = timeline.time(positions[0])
        times = tuple(timeline.time(position) - start for position in positions)
        last = timeline.last if positions[-1] == timeline.count - 1 else None
        if last is None and positions[-1] + 1 < timeline.count:
            last = timeline.time(positions[-1] + 1) - timeline.time(positions[-1])
        return cls(timeline.fps, times, last, sample_aspect, top_field_first)

    def duration(self, index: int, count: int) -> Fraction:
        """Seconds that frame `index` of `count` is shown."""
        if self.times is None:
            return 1 / self.fps
        if index + 1 < count:
            return self.times[index + 1] - self.times[index]
        return self.last or 1 / self.fps

    def end(self, count: int) -> Fraction:
        """Seconds at which the last of `count` frames ends."""
        return (self.times[count - 1] if self.times else (count - 1) / self.fps) + self.duration(count - 1, count)

    def scaled(self, before: tuple[int, int], after: tuple[int, int]) -> Presentation:
        """The same for frames brought from one (H, W) to another: what is shown keeps its shape.

        Square pixels stay square: then the other shape is what was asked for.
        """
        aspect = self.sample_aspect * Fraction(before[1] * after[0], after[1] * before[0])
        rounding = Fraction(1, min(*before, *after))
        if self.sample_aspect == SQUARE or abs(aspect / self.sample_aspect - 1) <= rounding:
            return self
        return replace(self, sample_aspect=aspect)

    @property
    def whole_frames(self) -> Presentation:
        """The same without fields."""
        return replace(self, top_field_first=None)
