"""The files of a removal: results composed into the source, as mp4 and without loss, and the anchor picture."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from lib.removers.base import Remover
from lib.video.background import BackgroundWriter
from lib.video.compose import Blend, Feather, compose
from lib.video.writer import write_clip, write_lossless

ANCHOR_FILE = "anchor_frame.png"


@dataclass(frozen=True)
class Source:
    """A video as it was read."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB at the result's size
    masks: np.ndarray  # (T, h, w) bool, dilated, at processing size
    fps: Fraction
    audio: Path | None  # the file whose sound the results get

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the processing."""
        return self.masks.shape[1], self.masks.shape[2]


@dataclass(frozen=True)
class Products:
    """Writes what engines made of a source. Frames are (T, h, w, 3) uint8 RGB of any size."""

    folder: Path
    source: Source
    feather: int | None  # None: each engine's own blend

    def clip(self, frames: np.ndarray, engine: Remover) -> tuple[Path, tuple[str, ...]]:
        """`<engine>.mp4`, and notes for the user."""
        path = self.folder / f"{engine.name}.mp4"
        notes = write_clip(path, self._composed(frames, engine), self.source.fps, audio_from=self.source.audio)
        return path, notes

    def clip_as_it_is_made(self, engine: Remover) -> BackgroundWriter:
        """`<engine>.mp4`, written beside the engine's work."""
        path, source = self.folder / f"{engine.name}.mp4", self.source
        return BackgroundWriter(
            path, source.fps, lambda frames: self._composed(frames, engine), audio_from=source.audio
        )

    def lossless(self, frames: np.ndarray, engine: Remover) -> Path:
        """`<engine>.mkv`."""
        path = self.folder / f"{engine.name}.mkv"
        write_lossless(path, self._composed(frames, engine), self.source.fps)
        return path

    def anchor(self, picture: np.ndarray) -> Path:
        """The anchor's (h, w, 3) picture."""
        path = self.folder / ANCHOR_FILE
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        Image.fromarray(picture).save(draft, format="PNG")
        draft.replace(path)
        return path

    def _composed(self, frames: Iterable[np.ndarray], engine: Remover) -> Iterator[np.ndarray]:
        blend: Blend = engine.blend if self.feather is None else Feather(self.feather)
        return compose(self.source.frames, frames, self.source.masks, blend)


def separate_prior(remover: Remover) -> Remover | None:
    """The engine whose result is a product of its own beside this one's."""
    return remover.prior if remover.prior is not remover else None
