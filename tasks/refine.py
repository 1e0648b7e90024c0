"""Phase 3: remove the object again at full size, with an anchor frame that the caption's prompt drives."""

from prefect import task

from lib.records import PhaseRecord
from tasks.caching import worth_retrying
from tasks.jobs import RefineJob
from tasks.removal import run_guided_removal


@task(
    name="refine",
    task_run_name="refine-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def refine(job: RefineJob) -> PhaseRecord:
    """Write `final/<name>/<engine>.mp4` and the anchor picture."""
    return run_guided_removal(job)
