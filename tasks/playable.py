"""A copy of a result that browsers play, for the report: the result itself keeps the source's format."""

import os
import time

from prefect import task

from lib.errors import InputError
from lib.records import PhaseRecord
from lib.video.clip import iter_frames, probe_clip
from lib.video.sizes import fit_longer_side, resize_frame
from lib.video.writer import write_clip
from tasks.caching import worth_retrying
from tasks.preview import even_size
from tasks.recording import record_of
from tasks.result_jobs import PlayableJob

_MAX_SIDE = 4096  # pixels of the longer side: more is beyond what decoders in browsers take


@task(
    name="playable",
    task_run_name="playable-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def playable(job: PlayableJob) -> PhaseRecord:
    """Write `report/media/<name>/result.mp4` (or as `PlayableJob.path` says): 8-bit 4:2:0 H.264 for a usual display.

    Raises:
        InputError: the result is missing or cannot be read.
    """
    start = time.monotonic()
    job.path.unlink(missing_ok=True)  # of another result: the page must not show it if this one fails
    info = probe_clip(job.result_path)
    size = even_size(fit_longer_side(info.size, _MAX_SIDE))
    shown = info.presentation(info.positions()).whole_frames
    write_clip(job.path, (resize_frame(frame, size) for frame in iter_frames(job.result_path)), shown)
    if (count := probe_clip(job.path).frame_count) != info.frame_count:
        job.path.unlink()
        raise InputError(f"{job.result_path}: {count} of {info.frame_count} frames can be read; run the removal again")
    return record_of(job, [job.path], since=start, facts={"pid": os.getpid()})
