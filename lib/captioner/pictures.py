"""The grayed pictures of a video: read from the video and its masks, or from PNGs that another process prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lib.captioner.backend import CaptionPicture
from lib.captioner.caption_job import CaptionJob, PreparedPicture

SHOWN_WIDTH = 1280  # pixels


def read_pictures(job: CaptionJob) -> tuple[CaptionPicture, ...]:
    """The frames that the job's strategy picks, the object hidden in gray.

    Raises:
        InputError: video or masks are missing, unreadable or empty.
    """
    if job.prepared:
        return tuple(_read_prepared(prepared) for prepared in job.prepared)
    from lib.captioner.sources import read_from_video  # imports PyAV, which prepared pictures do without

    return read_from_video(job)


def read_object_picture(job: CaptionJob) -> np.ndarray | None:
    """The removed object in the source, (h, w, 3) uint8 RGB; None where the job does not ask for it.

    Raises:
        InputError: source or masks are missing, unreadable or empty.
    """
    if job.prepared_object:
        with Image.open(job.prepared_object) as picture:
            return np.asarray(picture.convert("RGB"))
    if not job.object_video:
        return None
    from lib.captioner.sources import read_object

    return read_object(job)


def prepare_pictures(job: CaptionJob, folder: Path) -> CaptionJob:
    """Read the job's pictures now, as PNGs in `folder`; the job returned needs neither video, masks nor PyAV."""
    folder.mkdir(parents=True, exist_ok=True)
    prepared = []
    for picture in read_pictures(job):
        shown, hole = (folder / f"{kind}_{picture.frame_idx:06d}.png" for kind in ("picture", "hole"))
        _save_png(picture.pixels, shown)
        _save_png(picture.hole, hole)
        prepared.append(PreparedPicture(str(shown), str(hole), picture.frame_idx))
    crop, crop_path = read_object_picture(job), folder / "object.png"
    if crop is not None:
        _save_png(crop, crop_path)
    return replace(job, prepared=tuple(prepared), prepared_object="" if crop is None else str(crop_path))


def save_picture(pictures: Sequence[CaptionPicture], path: Path) -> None:
    """Write what the captioner saw as one JPEG for people, several frames side by side, at most SHOWN_WIDTH wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    shown = Image.fromarray(np.concatenate([picture.pixels for picture in pictures], axis=1))
    shown.thumbnail((SHOWN_WIDTH, SHOWN_WIDTH))
    shown.save(temporary, format="JPEG", quality=88)
    temporary.replace(path)


def _save_png(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)  # read once and deleted


def _read_prepared(prepared: PreparedPicture) -> CaptionPicture:
    with Image.open(prepared.picture) as shown, Image.open(prepared.hole) as hole:
        return CaptionPicture(np.asarray(shown.convert("RGB")), np.asarray(hole.convert("L")) > 0, prepared.frame_idx)
