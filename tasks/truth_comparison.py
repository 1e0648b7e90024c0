"""The 2x2 comparison video of a result with the ground truth: Input | result over ground truth | difference."""

import time
from collections.abc import Iterator

import numpy as np
from prefect import task

from lib.errors import InputError
from lib.records import PhaseRecord
from lib.video.clip import iter_frames, probe_clip, worked_positions
from lib.video.comparison import comparison_frames
from lib.video.sizes import resize_frame
from lib.video.writer import write_clip
from tasks.caching import worth_retrying
from tasks.comparison import comparison_times, source_frames
from tasks.recording import record_of
from tasks.result_jobs import TruthComparisonJob

_GAIN = 4  # small differences are to be seen


@task(
    name="comparison with truth",
    task_run_name="comparison-gt-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def truth_comparison(job: TruthComparisonJob) -> PhaseRecord:
    """Write `comparison_gt.mp4` beside the result."""
    start = time.monotonic()
    panels = [
        ("Input", source_frames(job)),
        (job.engine_title, iter_frames(job.result_path)),
        ("Ground truth", _truth(job)),
        (f"Difference x{_GAIN}", _differences(job)),
    ]
    info = probe_clip(job.video.video_path)
    positions = worked_positions(info, job.processing.video_length, probe_clip(job.result_path).frame_count)
    write_clip(job.path, comparison_frames(panels), comparison_times(info, positions, job.fps))
    return record_of(job, [job.path], since=start)


def _truth(job: TruthComparisonJob) -> Iterator[np.ndarray]:
    if job.video.gt_path is None:
        raise InputError(f"{job.video.name}: has no ground truth to compare with; give --gt_root")
    wanted, found = probe_clip(job.result_path).frame_count, 0
    for frame in iter_frames(job.video.gt_path, wanted):
        found += 1
        yield frame
    if found < wanted:
        raise InputError(f"{job.video.gt_path}: holds {found} frames, the result {wanted}; give one for each frame")


def _differences(job: TruthComparisonJob) -> Iterator[np.ndarray]:
    """The absolute difference in gray levels, made larger."""
    for result, truth in zip(iter_frames(job.result_path), _truth(job), strict=False):
        height, width = result.shape[:2]
        difference = np.abs(result.astype(np.int16) - resize_frame(truth, (height, width)))
        yield np.minimum(difference * _GAIN, 255).astype(np.uint8)
