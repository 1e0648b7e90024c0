"""The files of a removal: results composed into the source, as mp4 and without loss, and the anchor picture."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from lib.notes import Note
from lib.removers.base import Remover
from lib.video.background import BackgroundWriter
from lib.video.clip import ClipInfo, first_frame
from lib.video.codecs import Codec, codec_for
from lib.video.compose import Blend, Feather, compose
from lib.video.decode import raw_frames
from lib.video.native_compose import compose_in_format
from lib.video.orientation import Orientation, orientation_of
from lib.video.presentation import Presentation
from lib.video.source_format import ResultFormat, result_format
from lib.video.writer import Carried, Picture, write_clip, write_lossless

ANCHOR_FILE = "anchor_frame.png"


@dataclass(frozen=True)
class NativeSource:
    """A video file whose own numbers are kept outside the hole: it is decoded once more while results are composed."""

    path: Path
    wanted: ResultFormat
    orientation: Orientation
    deinterlace: bool

    @classmethod
    def of(cls, clip: ClipInfo, size: tuple[int, int], *, deinterlace: bool) -> "NativeSource | None":
        """None where 8-bit BT.709 holds all of a clip; `size`: (H, W) of the results."""
        if clip.path.is_dir():
            return None
        frame = first_frame(clip.path)
        orientation = orientation_of(frame)
        fields = clip.fields is not None and not deinterlace
        wanted = result_format(frame, size, turned=orientation.transposed, fields=fields)
        return cls(clip.path, wanted, orientation, deinterlace) if wanted else None


@dataclass(frozen=True)
class Source:
    """A video as it was read."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB at the result's size
    masks: np.ndarray  # (T, h, w) bool, dilated, at processing size
    shown: Presentation
    file: Path | None  # what results take sound, subtitles and words from
    until: Fraction | None = None  # seconds at which these are cut; None: not at all
    native: NativeSource | None = None

    @property
    def fps(self) -> Fraction:
        return self.shown.fps

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

    def clip(self, frames: np.ndarray, engine: Remover) -> tuple[Path, tuple[Note, ...]]:
        """`<engine>.mp4`, and notes for the user."""
        path = self._path(engine, ".mp4")
        pictures = self._composed(frames, engine, self._delivered)
        return path, write_clip(path, pictures, self.source.shown, codec=self._codec, carried=self._carried)

    def clip_as_it_is_made(self, engine: Remover) -> BackgroundWriter:
        """`<engine>.mp4`, written beside the engine's work."""
        return BackgroundWriter(
            self._path(engine, ".mp4"),
            self.source.shown,
            lambda frames: self._composed(frames, engine, self._delivered),
            codec=self._codec,
            carried=self._carried,
        )

    def lossless(self, frames: np.ndarray, engine: Remover) -> tuple[Path, tuple[Note, ...]]:
        """`<engine>.mkv`, and notes for the user."""
        path, wanted = self._path(engine, ".mkv"), self.source.native.wanted if self.source.native else None
        codec = codec_for(wanted, lossless=True) if wanted else None
        pictures = self._composed(frames, engine, wanted)
        notes = write_lossless(path, pictures, self.source.shown, codec=codec, carried=self._carried)
        return path, notes + (wanted.notes(lossless=True) if wanted else ())

    @property
    def format_notes(self) -> tuple[Note, ...]:
        """What the clips lack of the source's format."""
        return self.source.native.wanted.notes(lossless=False) if self.source.native else ()

    @property
    def _delivered(self) -> ResultFormat | None:
        return self.source.native.wanted.for_delivery() if self.source.native else None

    @property
    def _codec(self) -> Codec | None:
        return codec_for(self._delivered, lossless=False) if self._delivered else None

    @property
    def _carried(self) -> Carried | None:
        return Carried(self.source.file, self.source.until) if self.source.file else None

    def _path(self, engine: Remover, suffix: str) -> Path:
        return self.folder / f"{engine.name}{suffix}"

    def anchor(self, picture: np.ndarray) -> Path:
        """The anchor's (h, w, 3) picture."""
        path = self.folder / ANCHOR_FILE
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        Image.fromarray(picture).save(draft, format="PNG")
        draft.replace(path)
        return path

    def _composed(
        self, frames: Iterable[np.ndarray], engine: Remover, wanted: ResultFormat | None
    ) -> Iterator[Picture]:
        blend: Blend = engine.blend if self.feather is None else Feather(self.feather)
        source, native = self.source, self.source.native
        if native is None or wanted is None:
            return compose(source.frames, frames, source.masks, blend)
        count, height, width, _ = source.frames.shape
        own = islice(raw_frames(native.path, deinterlace=native.deinterlace), count)
        return compose_in_format(
            own,
            frames,
            source.masks,
            blend,
            wanted,
            (height, width),
            orient=native.orientation.apply,
            turned=native.orientation.transposed,
        )


def separate_prior(remover: Remover) -> Remover | None:
    """The engine whose result is a product of its own beside this one's."""
    return remover.prior if remover.prior is not remover else None
