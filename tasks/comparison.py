"""The 2x2 comparison video of a result: Input | Mask over prior (or phase 1) | result."""

import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial

import numpy as np
from prefect import task

from lib.mask_tracks import read_mask_track
from lib.records import PhaseRecord
from lib.video.clip import ClipInfo, iter_frames, probe_clip, worked_positions
from lib.video.comparison import comparison_frames, gray_hole, mask_overlay
from lib.video.masks import dilate
from lib.video.presentation import Presentation
from lib.video.writer import write_clip
from tasks.caching import worth_retrying
from tasks.jobs import ComparisonJob
from tasks.recording import record_of
from tasks.result_jobs import TruthComparisonJob


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
    info = probe_clip(job.video.video_path)
    positions = worked_positions(info, job.processing.video_length, probe_clip(job.refined_path).frame_count)
    masked = partial(_masked_frames, job, info, positions)
    panels = [
        ("Input", source_frames(job)),
        ("Mask", masked(mask_overlay)),
        (job.third_title, iter_frames(job.third_path) if job.third_path else masked(gray_hole)),
        (job.engine_title, iter_frames(job.refined_path)),
    ]
    notes = write_clip(job.path, comparison_frames(panels), comparison_times(info, positions, job.fps))
    facts = {"inputs": job.told} if job.inputs else {}
    return record_of(job, [job.path], since=start, notes=notes, facts=facts)


def comparison_times(info: ClipInfo, positions: Sequence[int], fps: int) -> Presentation:
    """How a comparison is shown: at its own rate, or when the source's frames are where these come irregularly."""
    if info.timeline.times:
        return info.presentation(positions).whole_frames
    return Presentation(Fraction(fps), sample_aspect=info.sample_aspect)


def source_frames(job: ComparisonJob | TruthComparisonJob) -> Iterator[np.ndarray]:
    """The frames of a job's video, as they were worked on."""
    work = job.processing
    return iter_frames(job.video.video_path, work.video_length, deinterlace=work.deinterlace)


def _masked_frames(
    job: ComparisonJob, info: ClipInfo, positions: Sequence[int], draw: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    track = read_mask_track(info, job.video.mask_path, job.processing, positions)
    masks = dilate(track.masks, job.processing.mask_dilation_iter)
    for frame, mask in zip(source_frames(job), masks, strict=False):
        yield draw(frame, mask)
