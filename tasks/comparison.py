"""The 2x2 comparison video of a result: Input | Mask over prior (or phase 1) | result."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from prefect import task

from lib.errors import InputError
from lib.mask_tracks import read_mask_track
from lib.records import PhaseRecord, artifacts_of
from lib.video.clip import iter_frames, probe_clip
from lib.video.comparison import comparison_frames, gray_hole, mask_overlay
from lib.video.masks import dilate
from lib.video.writer import write_clip
from tasks.caching import worth_retrying
from tasks.jobs import ComparisonJob


@task(
    name="comparison",
    task_run_name="comparison-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def comparison(job: ComparisonJob) -> PhaseRecord:
    """Write `comparison_4in1.mp4` beside the result."""
    start = time.monotonic()
    panels = [
        ("Input", _source_frames(job)),
        ("Mask", _masked_frames(job, mask_overlay)),
        (job.third_title, iter_frames(job.third_path) if job.third_path else _masked_frames(job, gray_hole)),
        (job.engine_title, iter_frames(job.refined_path)),
    ]
    notes = write_clip(job.path, comparison_frames(panels), Fraction(job.fps))
    return PhaseRecord(
        video=job.video.name,
        phase=job.phase,
        key=job.cache_key,
        artifacts=artifacts_of([job.path], job.output_dir),
        seconds=round(time.monotonic() - start, 3),
        notes=notes,
    )


def _source_frames(job: ComparisonJob) -> Iterator[np.ndarray]:
    return iter_frames(job.video.video_path, job.processing.video_length)


def _masked_frames(job: ComparisonJob, draw: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    count = frame_count(job.refined_path)
    size = next(_source_frames(job)).shape[:2]
    track = read_mask_track(job.video.video_path, job.video.mask_path, count, (size[0], size[1]), job.processing)
    masks = dilate(track.masks, job.processing.mask_dilation_iter)
    for frame, mask in zip(_source_frames(job), masks, strict=False):
        yield draw(frame, mask)


def frame_count(result: Path) -> int:
    """Frames of a result.

    Raises:
        InputError: the file does not say.
    """
    count = probe_clip(result).frame_count
    if count is None:
        raise InputError(f"{result}: does not say how many frames it has; make it again (--force_refine, --force)")
    return count
