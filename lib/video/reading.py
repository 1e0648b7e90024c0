"""What is special in how a video and its masks are read and written: the part of cache keys that plain files lack.

Results made before something was read differently keep their keys wherever that something does not occur.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.mask_tracks import look_at_masks
from lib.notes import Note
from lib.settings import InputRules, Processing
from lib.video.clip import ClipInfo, first_frame, probe_clip
from lib.video.colour import reads_plainly, tags_of
from lib.video.damage import check_promise
from lib.video.decode import shows_through
from lib.video.images import folder_reading
from lib.video.listing import list_frames
from lib.video.orientation import orientation_of
from lib.video.presentation import SQUARE
from lib.video.sizes import processing_size
from lib.video.source_format import result_format
from lib.video.sources import stream_reading


@dataclass(frozen=True)
class InputLook:
    """What headers, names, counts and the first frame and mask show."""

    reading: dict[str, Any]  # JSON-able; {} where video and masks are plain
    notes: tuple[Note, ...]


def look_at_input(video: Path, masks: Path, processing: Processing, rules: InputRules) -> InputLook:
    """A video and its masks, without decoding more than the first of each.

    Raises:
        InputError: they cannot be worked on, as far as can be seen.
    """
    info = probe_clip(video)
    notes = info.notes(deinterlaced=processing.deinterlace)
    if not video.is_dir():
        notes += check_promise(video, list_frames(video), processing.video_length, accept=rules.accept_damaged)
    positions = info.positions(processing.video_length)
    look = look_at_masks(info, masks, processing, positions)
    reading = clip_reading(info, processing)
    if look.reading:
        reading["masks"] = look.reading
    return InputLook(reading, notes + look.notes)


def clip_reading(info: ClipInfo, processing: Processing) -> dict[str, Any]:
    """What is special about a video; {} for a plain one."""
    if info.path.is_dir():
        return folder_reading(info.path)
    found = {
        **_of_first_frame(info, processing),
        "times": "variable" if info.timeline.times else None,
        "sample_aspect": None if info.sample_aspect == SQUARE else str(info.sample_aspect),
        "streams": stream_reading(info.path),
    }
    return {name: value for name, value in found.items() if value}


def _of_first_frame(info: ClipInfo, processing: Processing) -> dict[str, Any]:
    frame, fields = first_frame(info.path), None if processing.deinterlace else info.fields
    tags, orientation = tags_of(frame), orientation_of(frame)
    size = processing_size(info.size, processing.height, processing.width)
    kept = None
    if processing.result_format == "source":
        kept = result_format(frame, size, turned=orientation.transposed, fields=fields is not None)
    return {
        "colour": None if reads_plainly(tags) else [tags.matrix, tags.transfer, tags.primaries],
        "mirrored": orientation.is_mirrored,
        "fields": ("top" if fields.top_first else "bottom") if fields else None,
        "alpha": shows_through(frame, info.path),
        "format": kept.pixel_format if kept else None,
    }


def lossless_reading(video: Path) -> dict[str, Any]:
    """What a lossless copy has beyond the pictures that it once had alone; {} where that is all."""
    return {"lossless": "with sound"} if video.is_file() and probe_clip(video).has_audio else {}
