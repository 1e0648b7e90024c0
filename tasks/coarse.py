"""Phase 1: remove the object once, without anchor and without text."""

from prefect import task

from lib.records import PhaseRecord
from tasks.caching import worth_retrying
from tasks.jobs import CoarseJob
from tasks.removal import run_removal


@task(
    name="coarse",
    task_run_name="coarse-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def coarse(job: CoarseJob) -> PhaseRecord:
    """Write `phase1/<name>/<engine>.mp4`."""
    return run_removal(job)
