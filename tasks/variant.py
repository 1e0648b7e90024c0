"""One way of removal in a study, for one video."""

from prefect import task

from lib.records import PhaseRecord
from tasks.caching import worth_retrying
from tasks.jobs import VariantJob
from tasks.removal import run_guided_removal


@task(
    name="variant",
    task_run_name="{job.variant}-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def variant(job: VariantJob) -> PhaseRecord:
    """Write `variants/<variant>/<name>/<engine>.mp4` and the anchor picture."""
    return run_guided_removal(job)
