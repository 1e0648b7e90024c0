"""The prior of a removal, kept losslessly: coarse, refine and every variant at one size share it."""

import dataclasses
import time
from collections.abc import Callable
from fractions import Fraction

from prefect import task

from lib.notes import Note
from lib.records import PhaseRecord
from lib.removers.base import RemovalRequest, RemovalResult, Remover
from lib.removers.clip_removal import GivenPrior
from lib.video.clip import read_clip
from lib.video.writer import write_lossless
from tasks.caching import bind, run_nested, worth_retrying
from tasks.jobs import PriorJob, RemovalJob
from tasks.progress import Progress
from tasks.recording import record_of


class PriorStep:
    """Gives a removal its prior: from the file that is there, or made now by the engine and then kept."""

    def __init__(self, removal: RemovalJob, remover: Remover) -> None:
        """remover: the engine whose result is the prior."""
        self._remover = remover
        self._job = PriorJob(
            video=removal.video,
            output_dir=removal.output_dir,
            video_fingerprint=removal.video_fingerprint,
            mask_fingerprint=removal.mask_fingerprint,
            engine_fingerprint=remover.fingerprint(),
            processing=removal.processing,
            reading=removal.reading,
            watched=removal.watched,
        )

    def __call__(self, request: RemovalRequest, fps: Fraction) -> GivenPrior:
        made = _Making(self._remover, request, fps)
        record = run_nested(bind(prior, self._job.output_dir), self._job, made)
        if made.result is not None:
            return GivenPrior(made.result.frames, record.facts, made.result.seconds)
        return GivenPrior(read_clip(self._job.output_dir / record.artifacts[0].path).frames, record.facts)


class _Making:
    """What the task is given besides its job: how to make the prior. It keeps the result for the caller."""

    def __init__(self, remover: Remover, request: RemovalRequest, fps: Fraction) -> None:
        self._remover, self._request, self.fps = remover, request, fps
        self.result: RemovalResult | None = None

    def __call__(self, report: Callable[[float], None]) -> RemovalResult:
        self.result = self._remover.remove(dataclasses.replace(self._request, report=report))
        return self.result


@task(
    name="prior",
    task_run_name="prior-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def prior(job: PriorJob, making: _Making) -> PhaseRecord:
    """Write `priors/<name>/<width>x<height>.mkv`, FFV1."""
    start = time.monotonic()
    result = making(Progress(f"prior {job.video.name}"))
    height, width = result.frames.shape[1:3]
    path = job.path(width, height)
    write_lossless(path, result.frames, making.fps)
    return record_of(job, [path], since=start, notes=map(Note, result.notes), facts=result.facts)
