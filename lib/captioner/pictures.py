"""The grayed pictures of a video: read from the video and its masks, or from PNGs that another process prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lib.captioner.backend import CaptionPicture
from lib.captioner.caption_job import CaptionJob, PreparedPicture


def read_pictures(job: CaptionJob) -> tuple[CaptionPicture, ...]:
    """The frames that the job's strategy picks, the object hidden in gray.

    Raises:
        InputError: video or masks are missing, unreadable or empty.
    """
    if job.prepared:
        return tuple(_read_prepared(prepared) for prepared in job.prepared)
    from lib.captioner.sources import read_from_video  # imports PyAV, which prepared pictures do without

    return read_from_video(job)


def prepare_pictures(job: CaptionJob, folder: Path) -> CaptionJob:
    """Read the job's pictures now, as PNGs in `folder`; the job returned needs neither video, masks nor PyAV."""
    folder.mkdir(parents=True, exist_ok=True)
    prepared = []
    for picture in read_pictures(job):
        shown, hole = (folder / f"{kind}_{picture.frame_idx:06d}.png" for kind in ("picture", "hole"))
        Image.fromarray(picture.pixels).save(shown)
        Image.fromarray(picture.hole).save(hole)
        prepared.append(PreparedPicture(str(shown), str(hole), picture.frame_idx))
    return replace(job, prepared=tuple(prepared))


def save_picture(pictures: Sequence[CaptionPicture], path: Path) -> None:
    """Write what the captioner saw as one PNG, several frames side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    Image.fromarray(np.concatenate([picture.pixels for picture in pictures], axis=1)).save(temporary, format="PNG")
    temporary.replace(path)


def _read_prepared(prepared: PreparedPicture) -> CaptionPicture:
    with Image.open(prepared.picture) as shown, Image.open(prepared.hole) as hole:
        return CaptionPicture(np.asarray(shown.convert("RGB")), np.asarray(hole.convert("L")) > 0, prepared.frame_idx)
