"""One pass of object removal on its own: with or without anchor, with or without text."""

from prefect import task

from lib.records import PhaseRecord
from tasks.caching import worth_retrying
from tasks.jobs import RemoveJob
from tasks.removal import run_guided_removal


@task(
    name="remove",
    task_run_name="remove-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def remove(job: RemoveJob) -> PhaseRecord:
    """Write `<save_path>/<name>/<engine>.mp4` and, with an anchor, its picture."""
    return run_guided_removal(job)
