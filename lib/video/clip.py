"""Reading clips: folders of frames and video files, each frame decoded once.

Needs only numpy and Pillow, and PyAV when a video file is read, so it also runs in the caption environment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.damage import check_damage
from lib.video.decode import DEFAULT_FPS, Findings, decode_frames, open_video, raw_frames, to_array
from lib.video.fields import Fields, fields_of
from lib.video.images import list_frames
from lib.video.listing import Listing
from lib.video.listing import list_frames as list_video_frames
from lib.video.orientation import orientation_of
from lib.video.pictures import read_frame_picture
from lib.video.presentation import SQUARE, Presentation
from lib.video.suffixes import FRAME_SUFFIXES, VIDEO_SUFFIXES
from lib.video.timeline import Timeline

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = [
    "FRAME_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Clip",
    "ClipInfo",
    "first_frame",
    "frame_names",
    "iter_frames",
    "probe_clip",
    "read_clip",
    "read_clip_frame",
    "worked_positions",
]

_GROWTH = 64  # frames
_ALPHA_ASIDE = ("vp8", "vp9")  # codecs whose alpha channel is a stream of its own beside the packets


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip without decoding more than its first frame."""

    path: Path
    height: int  # in pixels, upright
    width: int
    timeline: Timeline
    has_audio: bool = False
    sample_aspect: Fraction = SQUARE  # width of a pixel by its height
    fields: Fields | None = None  # None: frames are whole
    hidden_alpha: bool = False  # there is an alpha channel, which decoders leave out

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.height, self.width

    @property
    def frame_count(self) -> int:
        return self.timeline.count

    @property
    def fps(self) -> Fraction:
        return self.timeline.fps

    @property
    def top_field_first(self) -> bool | None:
        """None where frames are whole, or their fields none that can be told to a player."""
        return self.fields.top_first if self.fields and not self.fields.sideways else None

    def positions(self, limit: int = -1) -> range:
        """The frames of the timeline that are worked on: the first `limit`, -1 for all."""
        return range(self.timeline.count if limit < 0 else min(limit, self.timeline.count))

    def notes(self, *, deinterlaced: bool) -> tuple[Note, ...]:
        """What a user should know of how it is read."""
        alpha = input_note("its alpha channel is not read: colours that it hides are shown")
        hidden = (alpha,) if self.hidden_alpha else ()
        if self.fields is None or deinterlaced:
            return hidden
        order = "top" if self.fields.top_first else "bottom"
        said = f"interlaced ({order} field first) and worked on as it is; --deinterlace makes whole frames of it"
        if self.fields.sideways:
            said = (
                "interlaced and turned by a quarter: results cannot keep its fields; --deinterlace makes whole frames"
            )
        return (*hidden, input_note(said))

    def presentation(self, positions: Sequence[int]) -> Presentation:
        """How the frames at `positions` are shown."""
        return Presentation.of(self.timeline, positions, self.sample_aspect, self.top_field_first)


@dataclass(frozen=True)
class Clip:
    """A decoded clip."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    info: ClipInfo
    positions: Sequence[int]  # of the frames in the info's timeline; a damaged file has gaps
    notes: tuple[Note, ...] = ()

    @property
    def path(self) -> Path:
        return self.info.path

    @property
    def fps(self) -> Fraction:
        return self.info.fps

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.frames.shape[1], self.frames.shape[2]


def probe_clip(path: Path) -> ClipInfo:
    """Size, frames and looks of a video file or a folder of frames.

    Raises:
        InputError: the path is missing, of an unknown kind, empty, or its first frame cannot be read.
    """
    if _is_folder(path):
        images = list_frames(path)
        height, width = read_frame_picture(images[0])[0].shape[:2]
        return ClipInfo(path, height, width, _folder_timeline(images))
    listing = list_video_frames(path)
    with open_video(path) as (container, stream):
        has_audio, aspect = bool(container.streams.audio), stream.sample_aspect_ratio
        order = getattr(stream.codec_context, "field_order", 0)  # PyAV before 18 has none
        hidden_alpha = stream.codec_context.name in _ALPHA_ASIDE and stream.metadata.get("alpha_mode") == "1"
    frame = first_frame(path)
    height, width = to_array(frame, path).shape[:2]
    orientation = orientation_of(frame)
    if aspect and orientation.transposed:
        aspect = 1 / aspect
    fields = fields_of(frame, order, orientation)
    shape = Fraction(aspect or SQUARE)
    return ClipInfo(path, height, width, listing.timeline, has_audio, shape, fields, hidden_alpha)


def read_clip(path: Path, limit: int = -1, *, deinterlace: bool = False, accept_damaged: bool = False) -> Clip:
    """The first `limit` frames (-1: all) of a video file or a folder of frames; folders play at 24 fps.

    Args:
        deinterlace: make whole frames of the two fields of each.
        accept_damaged: take what can be read of a damaged file.

    Raises:
        InputError: see `iter_frames`; or more of the file is missing or corrupt than can be passed over.
    """
    findings, info = Findings(), probe_clip(path)
    frames = _gather(iter_frames(path, limit, deinterlace=deinterlace, findings=findings), len(info.positions(limit)))
    positions, notes = range(len(frames)), tuple(findings.remarks)
    if not path.is_dir():
        listing = list_video_frames(path)
        notes += check_damage(path, listing, findings, limit, accept=accept_damaged)
        positions = [at for at in _positions(listing, findings.stamps[: len(frames)]) if limit < 0 or at < limit]
        frames = frames[: len(positions)]
    return Clip(frames, info, positions, notes + info.notes(deinterlaced=deinterlace))


def worked_positions(info: ClipInfo, limit: int, count: int) -> Sequence[int]:
    """Where in its timeline the `count` frames are that `read_clip` took of a clip's first `limit` (-1: all).

    Raises:
        InputError: see `iter_frames`.
    """
    planned = info.positions(limit)
    if count >= len(planned) or info.path.is_dir():
        return range(min(count, len(planned)))
    findings = Findings()  # frames are missing: which, only decoding tells
    for _ in islice(raw_frames(info.path, findings=findings), count):
        pass
    return _positions(list_video_frames(info.path), findings.stamps)


def read_clip_frame(path: Path, index: int, *, deinterlace: bool = False) -> np.ndarray:
    """Frame `index` (H, W, 3) uint8 RGB, clamped to the first and last one.

    Raises:
        InputError: see `iter_frames`.
    """
    index = max(index, 0)
    if _is_folder(path):
        images = list_frames(path)
        return read_frame_picture(images[min(index, len(images) - 1)])[0]
    passed = deque(islice(raw_frames(path, deinterlace=deinterlace), index + 1), maxlen=1)
    return to_array(passed[0], path)


def iter_frames(
    path: Path, limit: int = -1, *, deinterlace: bool = False, findings: Findings | None = None
) -> Iterator[np.ndarray]:
    """The first `limit` frames (-1: all) one by one, (H, W, 3) uint8 RGB.

    Args:
        deinterlace: make whole frames of the two fields of each.
        findings: is told what was wrong.

    Raises:
        InputError: the path is missing, of an unknown kind or empty, a frame cannot be decoded, or sizes differ.
        ValueError: `limit` is 0 or below -1.
    """
    if limit == 0 or limit < -1:
        raise ValueError(f"limit is {limit}; expected -1 (all frames) or a positive number of frames")
    if _is_folder(path):
        frames = _folder_frames(path, findings)
    else:
        frames = decode_frames(path, deinterlace=deinterlace, findings=findings)
    return frames if limit < 0 else islice(frames, limit)


def frame_names(path: Path) -> tuple[str, ...]:
    """Stems of a frame folder's files in playing order; empty for a video file.

    Raises:
        InputError: the path is missing, of an unknown kind or an empty folder.
    """
    return tuple(image.stem for image in list_frames(path)) if _is_folder(path) else ()


def first_frame(path: Path) -> VideoFrame:
    """The first frame of a video file as it is decoded.

    Raises:
        InputError: it cannot be decoded.
    """
    with closing(raw_frames(path)) as frames:
        return next(frames)


def _is_folder(path: Path) -> bool:
    if path.is_dir():
        return True
    if not path.exists():
        raise InputError(f"{path}: not found; expected a video file or a folder of frames")
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(
            f"{path}: unknown kind of video {path.suffix!r}; "
            f"expected a folder of frames or one of {', '.join(VIDEO_SUFFIXES)}"
        )
    return False


def _folder_timeline(images: Sequence[Path]) -> Timeline:
    return Timeline(len(images), DEFAULT_FPS, names=tuple(image.stem for image in images))


def _positions(listing: Listing, stamps: Sequence[Fraction | None]) -> Sequence[int]:
    """Where in the timeline frames with these stamps are; by their order where stamps do not tell."""
    by_stamp = {stamp: index for index, stamp in enumerate(listing.stamps or ())}
    found = [by_stamp[stamp] for stamp in stamps if stamp is not None and stamp in by_stamp]
    ordered = len(found) == len(stamps) and all(before < after for before, after in pairwise(found))
    if not ordered or found == list(range(len(found))):
        return range(len(stamps))
    return tuple(found)


def _folder_frames(folder: Path, findings: Findings | None) -> Iterator[np.ndarray]:
    size, first = None, None
    for path in list_frames(folder):
        frame, remarks = read_frame_picture(path)
        if findings is not None:
            findings.remarks.update(dict.fromkeys(remarks))
        first, size = first or path.name, size or frame.shape[:2]
        if frame.shape[:2] != size:
            raise InputError(
                f"{path}: frame is {frame.shape[1]}x{frame.shape[0]}, expected {size[1]}x{size[0]} like {first}; "
                "bring all frames of a folder to one size"
            )
        yield frame


def _gather(frames: Iterator[np.ndarray], expected: int) -> np.ndarray:
    """Stack frames in place: `ndarray.resize` reallocates, so there is never a second copy of the clip."""
    stack = np.empty(0, np.uint8)
    count = 0
    for frame in frames:
        if not count:
            stack = np.empty((max(expected, 1), *frame.shape), np.uint8)
        elif count == len(stack):
            stack.resize((count + _GROWTH, *frame.shape), refcheck=False)
        stack[count] = frame
        count += 1
    stack.resize((count, *stack.shape[1:]), refcheck=False)
    return stack
