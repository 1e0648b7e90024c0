"""Work of the caption environment, captions or judgements: a flow run of the caption pool, one task run a video.

The captioner itself lives in a resident child of the caption environment's interpreter: it is loaded once for all
videos, and its crash or hang costs the video it was working on. This flow needs prefect alone, so where the caption
environment lacks it, it runs in the main one.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from lib.captioner.batch_folder import BatchFolder
from lib.captioner.judge_job import PoolJob, job_from_dict
from lib.captioner.resident_client import ResidentCaptioner

PROJECT_ROOT = Path(__file__).resolve().parents[1]
Do = Callable[[PoolJob], dict[str, Any]]


@task(name="caption video", task_run_name="caption-{name}", persist_result=False, cache_policy=NO_CACHE)
def caption_video(name: str, job: dict[str, Any], do: Do) -> dict[str, Any]:
    """Write the prompt file of one video, or the judgement of one result."""
    record = do(job_from_dict(job))
    said = record["prompt"] if "prompt" in record else record["summary"]
    get_run_logger().info("%s (%s, by %s): %s", name, record["status"], record["process"]["prefix"], said)
    return record


@flow(name="caption-videos", persist_result=False, validate_parameters=False)
def caption_videos(batch: str, interpreter: str, seconds_per_video: float = 600.0) -> dict[str, Any]:
    """Do every job of the batch folder; what happened is appended there.

    Args:
        batch: folder with batch.json.
        interpreter: of the caption environment.
        seconds_per_video: how long the captioner may take for one video; loading it does not count.
    """
    folder = BatchFolder(Path(batch))
    options, jobs = folder.read()
    with ResidentCaptioner(Path(interpreter), PROJECT_ROOT, options) as resident:
        _do_all(folder, jobs, lambda job: resident.ask(job.to_dict(), timeout=seconds_per_video))
        get_run_logger().info("the captioner was started %d times: %s", resident.starts, resident.ready)
    failed = [name for name, end in folder.ended().items() if "error" in end]
    get_run_logger().info("%d videos, %d failed, python %s", len(jobs), len(failed), sys.prefix)
    return {"videos": len(jobs), "failed": failed, "prefix": sys.prefix}


def _do_all(folder: BatchFolder, jobs: list[PoolJob], do: Do) -> None:
    for job in jobs:
        folder.note_begin(job.name)
        state = caption_video(job.name, job.to_dict(), do, return_state=True)
        result = state.result(raise_on_failure=False)
        if isinstance(result, dict):
            folder.note_record(job.name, result)
        else:
            folder.note_error(job.name, _words(result))


def _words(error: Any) -> str:
    return str(error) if isinstance(error, (ValueError, RuntimeError)) else repr(error)
