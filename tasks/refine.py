"""Phase 3: remove the object again at full size, with an anchor frame that the caption's prompt drives."""

from prefect import task

from lib.records import PhaseRecord
from lib.removers.clip_removal import Guidance
from lib.removers.registry import get_anchor
from tasks.caching import worth_retrying
from tasks.jobs import RefineJob
from tasks.progress import Progress
from tasks.removal import run_removal


@task(
    name="refine",
    task_run_name="refine-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_delay_seconds=2,
    retry_condition_fn=worth_retrying,
)
def refine(job: RefineJob) -> PhaseRecord:
    """Write `final/<name>/<engine>.mp4` and the anchor picture."""
    guidance = Guidance(
        anchor=get_anchor(job.anchor, job.processing.seed),
        anchor_frame_idx=job.anchor.anchor_frame_idx,
        anchor_prompt=job.prompt,
        anchor_n_prompt=job.n_prompt,
    )
    return run_removal(job, Progress(f"refine {job.video.name}"), guidance, job.lossless)
