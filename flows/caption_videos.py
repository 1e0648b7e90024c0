"""Phase 2 inside the caption environment: one flow run of the caption pool, one task run a video.

The captioner is loaded once for all videos. Where the environment lacks prefect, this flow runs in the main one and
talks to a resident child of the caption environment's interpreter.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from lib.captioner.backend import load_captioner
from lib.captioner.batch_folder import BatchFolder
from lib.captioner.caption_job import CaptionJob
from lib.captioner.jobs import run_caption_job
from lib.captioner.resident_client import ResidentCaptioner

PROJECT_ROOT = Path(__file__).resolve().parents[1]
Describe = Callable[[CaptionJob], dict[str, Any]]


@task(name="caption video", task_run_name="caption-{name}", persist_result=False, cache_policy=NO_CACHE)
def caption_video(name: str, job: dict[str, Any], describe: Describe) -> dict[str, Any]:
    """Write the prompt file of one video."""
    record = describe(CaptionJob.from_dict(job))
    get_run_logger().info("%s (%s, by %s): %s", name, record["status"], record["process"]["prefix"], record["prompt"])
    return record


@flow(name="caption-videos", persist_result=False, validate_parameters=False)
def caption_videos(batch: str, interpreter: str | None = None, seconds_per_video: float = 600.0) -> dict[str, Any]:
    """Caption every job of the batch folder; what happened is appended there.

    Args:
        batch: folder with jobs.json.
        interpreter: of a caption environment without prefect; None = this process is the caption environment.
        seconds_per_video: how long the resident child may take for one video.
    """
    folder = BatchFolder(Path(batch))
    jobs = folder.read_jobs()
    if interpreter is None:
        captioner = load_captioner(jobs[0].backend)
        _caption_all(folder, jobs, lambda job: run_caption_job(job, captioner))
    else:
        with ResidentCaptioner(Path(interpreter), PROJECT_ROOT, backend=jobs[0].backend) as resident:
            _caption_all(folder, jobs, lambda job: resident.ask(job.to_dict(), timeout=seconds_per_video))
    failed = [name for name, end in folder.ended().items() if "error" in end]
    get_run_logger().info("%d videos, %d failed, python %s", len(jobs), len(failed), sys.prefix)
    return {"videos": len(jobs), "failed": failed, "prefix": sys.prefix}


def _caption_all(folder: BatchFolder, jobs: list[CaptionJob], describe: Describe) -> None:
    for job in jobs:
        folder.note_begin(job.name)
        state = caption_video(job.name, job.to_dict(), describe, return_state=True)
        result = state.result(raise_on_failure=False)
        if isinstance(result, dict):
            folder.note_record(job.name, result)
        else:
            folder.note_error(job.name, str(result) if isinstance(result, ValueError) else repr(result))
