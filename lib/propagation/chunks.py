"""Bounded memory: a long shot, or one with a large hole, is worked off in pieces."""

from dataclasses import dataclass

import numpy as np

from lib.propagation.camera import Shot
from lib.propagation.settings import PropagationSettings


@dataclass(frozen=True)
class Chunk:
    """Frames start..stop-1 of a clip, of which those before `finished` are final once the chunk is done.

    resumed: frame `start` was finished by the chunk before; it counts as fully visible and hands on what was filled.
    """

    shot: Shot
    start: int
    finished: int
    stop: int
    resumed: bool

    def cut(self, frames: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, Shot]:
        """Views of the chunk's frames and masks, and its part of the shot, counted from the chunk's first frame."""
        first, last = self.start - self.shot.start, self.stop - self.shot.start
        shot = Shot(0, last - first, self.shot.steps[first : last - 1], self.shot.gains[first:last], self.shot.static)
        chunk_masks = masks[self.start : self.stop]
        if self.resumed:
            chunk_masks = chunk_masks.copy()
            chunk_masks[0] = False
        return frames[self.start : self.stop], chunk_masks, shot


def chunks_of(shot: Shot, masks: np.ndarray, settings: PropagationSettings) -> list[Chunk]:
    """Split a shot so that no chunk holds more than `max_tracked` hole pixels, but at least two frames.

    masks: (T, H, W) bool of the whole clip.
    """
    pixels = np.array([int(mask.sum()) for mask in masks[shot.start : shot.stop]])
    if pixels.sum() <= settings.max_tracked:
        return [Chunk(shot, shot.start, shot.stop, shot.stop, resumed=False)]
    chunks: list[Chunk] = []
    start = 0
    while not chunks or chunks[-1].finished < shot.stop:
        fitting = int(np.searchsorted(np.cumsum(pixels[start:]), settings.max_tracked, side="right"))
        stop = min(start + max(fitting, 2), len(pixels))
        finished = (
            stop if stop == len(pixels) else max(stop - min(settings.chunk_overlap, (stop - start) // 2), start + 2)
        )
        at = shot.start
        chunks.append(Chunk(shot, at + start, at + min(finished, stop), at + stop, resumed=bool(chunks)))
        start = min(finished, stop) - 1
    return chunks
