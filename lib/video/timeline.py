"""When the frames of a clip are shown."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Timeline:
    """All frames of a clip in playing order, whether or not all of them are worked on."""

    count: int
    fps: Fraction  # mean frames per second
    times: tuple[Fraction, ...] | None = None  # seconds since the first frame; None: frame n is shown at n / fps
    names: tuple[str, ...] = ()  # stems of the frames' files; empty for a video file
    last: Fraction | None = None  # seconds that the last frame is shown; None: as long as a frame is on average
    cut: bool = False  # the file ends before it should: masks may be there for more frames

    def time(self, index: int) -> Fraction:
        """Seconds since the first frame at which frame `index` appears."""
        return self.times[index] if self.times else index / self.fps

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's appearance to the last one's end."""
        if not self.count:
            return Fraction(0)
        return self.time(self.count - 1) + (self.last if self.times and self.last else 1 / self.fps)
