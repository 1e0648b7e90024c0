"""A model's opinion of results: the batch of missing ones runs in the caption pool; each file becomes a record."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from lib.captioner import judge_job
from lib.captioner.backend import CaptionerOptions
from lib.captioner.environment import CaptionEnv
from lib.captioner.judge import Judgement, read_judgement
from lib.captioner.judge_pictures import JudgedClip, prepare_judged_pictures
from lib.errors import InputError
from lib.records import PhaseRecord
from tasks.caching import worth_retrying
from tasks.caption import End, run_in_pool
from tasks.record_store import find_record
from tasks.recording import record_of
from tasks.result_jobs import JudgeJob


def is_judged(job: JudgeJob) -> bool:
    """Whether the file that is there is what judging would give.

    A run that was killed after a file was written has left no record, but the file knows its key.
    """
    if find_record(job)[0] is not None:
        return True
    try:
        return read_judgement(job.judgement_path).key == job.cache_key
    except InputError:
        return False


def _batch_run_name() -> str:
    return f"judge x{len(task_run.parameters['jobs'])}"


@task(name="judge batch", task_run_name=_batch_run_name, persist_result=False, cache_policy=NO_CACHE)
def judge_batch(
    jobs: Sequence[JudgeJob],
    env: CaptionEnv,
    captioner: CaptionerOptions,
    timeout: float,
    gpu: int | None = None,
) -> dict[str, End]:
    """Judge the results in one flow run of the caption pool; how each ended, by `JudgeJob.name`.

    A process that dies costs the result it was working on; the rest of the batch runs again.

    Args:
        captioner: one with a model (`lib.captioner.judge.check_judge`).
        timeout: seconds that one result may take.
        gpu: the one that the model is to work on; None: as it chooses.
    """
    makers = {job.name: partial(_prepared, job) for job in jobs}
    return run_in_pool(makers, jobs[0].output_dir, env, captioner, timeout, gpu, work="judge")


def _prepared(job: JudgeJob, folder: Path) -> judge_job.JudgeJob:
    """The job as the caption environment knows it, its pictures in the folder."""
    clip = JudgedClip(job.video.video_path, job.video.mask_path, job.result_path, job.processing)
    return judge_job.JudgeJob(
        name=job.name,
        video=job.video.name,
        output_json=str(job.judgement_path),
        pictures=prepare_judged_pictures(clip, job.frames, folder, job.judgement_path.parent),
        key=job.cache_key,
        model_sha256=job.judge_fingerprint.get("model", ""),
    )


@task(
    name="judge",
    task_run_name="judge-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def judge(job: JudgeJob, end: End | None = None) -> PhaseRecord:
    """Check the judgement and vouch for it.

    Args:
        end: how the batch ended for this result; None where the file was there already.

    Raises:
        InputError: the model failed on this result, or the file is not its judgement.
    """
    if end and "error" in end:
        raise InputError(end["error"])
    judgement = _read_own(job)
    made = end["record"] if end else {}
    facts: dict[str, float | int | str] = {
        "verdict": judgement.verdict,
        "summary": judgement.summary,
        "model": judgement.model,
    }
    if process := made.get("process"):
        facts |= {"pid": process["pid"], "prefix": process["prefix"]}
    return record_of(job, [job.judgement_path], seconds=made.get("seconds", 0.0), facts=facts)


def _read_own(job: JudgeJob) -> Judgement:
    judgement = read_judgement(job.judgement_path)
    if judgement.key != job.cache_key:
        raise InputError(
            f"{job.judgement_path}: found the judgement of another result or model ({judgement.key}), expected "
            f"{job.cache_key}; run again with --judge"
        )
    return judgement
