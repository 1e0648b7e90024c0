"""Phase 2: the batch of missing captions runs in the caption pool; each video's prompt file then becomes a record."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import task_run

from deployments.caption_pool import CaptionPoolError, ensure_caption_deployment, run_caption_batch
from lib.captioner import caption_job
from lib.captioner.backend import CaptionerOptions
from lib.captioner.batch_folder import BatchFolder
from lib.captioner.environment import CaptionEnv
from lib.captioner.judge_job import PoolJob
from lib.captioner.pictures import prepare_pictures
from lib.captioner.schema import read_prompt_file
from lib.errors import InputError, attempt
from lib.notes import Note
from lib.records import PhaseRecord
from lib.runtime.fingerprints import sha256_file
from tasks.caching import worth_retrying
from tasks.jobs import CaptionJob
from tasks.recording import record_of

End = dict[str, Any]  # {"record": …} or {"error": …}
_MOST_FRUITLESS = 2  # a run that is killed while it starts is no video's fault
_NOT_DONE = {"caption": "not captioned", "judge": "not judged"}


def _batch_run_name() -> str:
    return f"caption x{len(task_run.parameters['jobs'])}"


@task(name="caption batch", task_run_name=_batch_run_name, persist_result=False, cache_policy=NO_CACHE)
def caption_batch(
    jobs: Sequence[CaptionJob],
    env: CaptionEnv,
    captioner: CaptionerOptions,
    timeout: float,
    force: bool,
    gpu: int | None = None,
) -> dict[str, End]:
    """Caption the videos in one flow run of the caption pool; how each ended, by name.

    A process that dies costs the video it was working on; the rest of the batch runs again.

    Args:
        timeout: seconds that one video may take.
        force: caption again what is there.
        gpu: the one that the captioner is to work on; None: as it chooses.
    """
    makers = {job.video.name: partial(_prepared, job, force) for job in jobs}
    return run_in_pool(makers, jobs[0].output_dir, env, captioner, timeout, gpu)


def run_in_pool(
    makers: Mapping[str, Callable[[Path], PoolJob]],
    output_dir: Path,
    env: CaptionEnv,
    captioner: CaptionerOptions,
    timeout: float,
    gpu: int | None,
    *,
    work: Literal["caption", "judge"] = "caption",
) -> dict[str, End]:
    """Do the jobs in one flow run of the caption pool; how each ended, by name. Others as in `caption_batch`.

    Frames are decoded here, so that the caption environment needs no video library.

    Args:
        makers: by the job's name, what makes the job with its pictures in a given folder.
    """
    ensure_caption_deployment()
    folder = output_dir / ".prefect" / "captions" / uuid4().hex
    waiting, ends = _prepare(makers, folder)
    fruitless = 0  # runs in a row that ended before any video
    for number in count():
        if not waiting:
            break
        batch = BatchFolder(folder / str(number))
        batch.write(captioner, waiting)
        stopped_by, ran = _run(batch, env, f"{work} x{len(waiting)}", timeout, gpu)
        ends |= batch.ended()
        culprit = batch.interrupted()
        if culprit:
            ends[culprit] = {"error": f"the caption process died while it worked on this video ({stopped_by})"}
        remaining = [job for job in waiting if job.name not in ends]
        fruitless = fruitless + 1 if len(remaining) == len(waiting) else 0
        if fruitless == _MOST_FRUITLESS or (fruitless and not ran):
            ends |= {job.name: {"error": f"{_NOT_DONE[work]}: {stopped_by}"} for job in remaining}
            break
        waiting = remaining
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    return ends


def _prepare(makers: Mapping[str, Callable[[Path], PoolJob]], folder: Path) -> tuple[list[PoolJob], dict[str, End]]:
    prepared: list[PoolJob] = []
    ends: dict[str, End] = {}
    for index, (name, make) in enumerate(makers.items()):
        job = attempt(partial(make, folder / "pictures" / str(index)), name)
        if isinstance(job, InputError):
            ends[name] = {"error": str(job)}
        else:
            prepared.append(job)
    return prepared, ends


def _prepared(job: CaptionJob, force: bool, folder: Path) -> caption_job.CaptionJob:
    return prepare_pictures(_plain_job(job, force), folder)


def _plain_job(job: CaptionJob, force: bool) -> caption_job.CaptionJob:
    """The job as the caption environment knows it: strings and numbers only."""
    return caption_job.CaptionJob(
        name=job.video.name,
        video_path=str(job.source_path),
        frames_path=str(job.video.video_path),
        mask_path=str(job.video.mask_path),
        output_yaml=str(job.prompt_file),
        frame_strategy=job.frame_strategy,
        num_sample_frames=job.num_sample_frames,
        video_length=job.video_length,
        mask_dilation_iter=job.mask_dilation_iter,
        mask_threshold=job.mask_threshold,
        object_ids=job.object_ids,
        invert_mask=job.invert_mask,
        deinterlace=job.deinterlace,
        n_prompt=job.n_prompt,
        text_guidance_scale=job.text_guidance_scale,
        object_video=str(job.video.video_path) if job.object_key else "",
        force=force,
        replace=True,
        key=job.cache_key,
        model_sha256=job.captioner_fingerprint.get("model", ""),
        save_picture=str(job.seen_picture),
    )


def _run(batch: BatchFolder, env: CaptionEnv, name: str, timeout: float, gpu: int | None) -> tuple[str, bool]:
    """Run the batch; in words, how it ended, and whether it ran at all."""
    try:
        run = run_caption_batch(batch, env, name, timeout, gpu)
    except CaptionPoolError as error:
        get_run_logger().error("%s", error)
        return str(error), False
    return f"caption run {run.name} ended {run.state.name if run.state else 'without a state'}", True


@task(
    name="caption",
    task_run_name="caption-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def caption(job: CaptionJob, end: End | None = None) -> PhaseRecord:
    """Check the prompt file and vouch for it.

    Args:
        end: how the batch ended for this video; None where the file was there already (a person's own).

    Raises:
        InputError: the captioner failed on this video, or the file holds no prompt.
    """
    if end and "error" in end:
        raise InputError(end["error"])
    prompt = read_prompt_file(job.prompt_file)
    made = end["record"] if end else {}
    facts: dict[str, float | int | str] = {"prompt": prompt.prompt, "source": prompt.prompt_source}
    if made.get("flags"):
        facts["flags"] = ", ".join(made["flags"])
    if process := made.get("process"):
        facts |= {"pid": process["pid"], "prefix": process["prefix"]}
    if made.get("status") == "kept":
        facts["kept"] = "edited by a person"
    if job.edited_sha256 and sha256_file(job.prompt_file) != job.edited_sha256:
        raise InputError(f"{job.prompt_file}: was edited again since it was read; run again")
    return record_of(
        job,
        [job.prompt_file],
        seconds=made.get("seconds", 0.0),
        notes=(Note(f"worth a look: {facts['flags']}"),) if "flags" in facts else (),
        facts=facts,
        keep_files=made.get("status") != "written",
    )
