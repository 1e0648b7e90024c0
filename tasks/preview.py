"""What a browser can play of a video and its masks, whatever they came as, and a picture to know the video by."""

import os
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from prefect import task

from lib.mask_tracks import read_mask_track
from lib.records import PhaseRecord
from lib.report.thumbnails import save_thumbnail
from lib.video.clip import ClipInfo, iter_frames, probe_clip, read_clip_frame, worked_positions
from lib.video.comparison import mask_overlay
from lib.video.masks import dilate
from lib.video.sizes import fit_longer_side, processing_size, resize_frame
from lib.video.writer import write_clip
from tasks.caching import worth_retrying
from tasks.recording import record_of
from tasks.result_jobs import PreviewJob

_MAX_SIDE = 1280  # pixels of the longer side


@task(
    name="preview",
    task_run_name="preview-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def preview(job: PreviewJob) -> PhaseRecord:
    """Write `report/media/<name>/source.mp4`, `mask.mp4` (the object in red) and `thumbnail.jpg`."""
    start = time.monotonic()
    for path in (job.source, job.mask, job.thumbnail):  # of other inputs: the page must not show them if these fail
        path.unlink(missing_ok=True)
    info = probe_clip(job.video.video_path)
    size = even_size(fit_longer_side(_result_size(job, info.size), _MAX_SIDE))
    positions = _write_source(job, info, size)
    shown = info.presentation(positions).scaled(info.size, size).whole_frames
    write_clip(job.mask, (resize_frame(frame, size) for frame in _overlays(job, info, positions)), shown)
    save_thumbnail(read_clip_frame(job.mask, len(positions) // 2), job.thumbnail)
    return record_of(job, [job.source, job.mask, job.thumbnail], since=start, facts={"pid": os.getpid()})


def _write_source(job: PreviewJob, info: ClipInfo, size: tuple[int, int]) -> Sequence[int]:
    """Write the source's frames; which of its timeline they are, those that a removal works on."""
    limit = job.processing.video_length
    planned = info.positions(limit)
    frames = (resize_frame(frame, size) for frame in _frames(job))
    write_clip(job.source, frames, info.presentation(planned).scaled(info.size, size).whole_frames)
    count = probe_clip(job.source).frame_count
    found = worked_positions(info, -1, count)  # the first so many that can be decoded: perhaps some beyond the limit
    positions = [position for position in found if limit < 0 or position < limit]
    if positions != list(planned):  # frames are missing: those that are there keep their times
        frames = (resize_frame(frame, size) for frame in islice(_frames(job), len(positions)))
        write_clip(job.source, frames, info.presentation(positions).scaled(info.size, size).whole_frames)
    return positions


def _result_size(job: PreviewJob, source: tuple[int, int]) -> tuple[int, int]:
    return processing_size(source, job.processing.height, job.processing.width)


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """Browsers play yuv420p, whose sides are even."""
    return max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)


def _frames(job: PreviewJob) -> Iterator[np.ndarray]:
    work = job.processing
    return iter_frames(job.video.video_path, work.video_length, deinterlace=work.deinterlace)


def _overlays(job: PreviewJob, info: ClipInfo, positions: Sequence[int]) -> Iterator[np.ndarray]:
    track = read_mask_track(info, job.video.mask_path, job.processing, positions)
    masks = dilate(track.masks, job.processing.mask_dilation_iter)
    for frame, mask in zip(islice(_frames(job), len(positions)), masks, strict=True):
        yield mask_overlay(frame, mask)
