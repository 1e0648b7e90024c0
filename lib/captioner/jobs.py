"""Does one job: for a caption looks whether the prompt file may be written, reads the pictures, captions, writes."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lib.captioner.backend import Caption, Captioner, CaptionPicture
from lib.captioner.caption_job import CaptionJob
from lib.captioner.judge import judge_pictures, write_judgement
from lib.captioner.judge_job import JudgeJob, PoolJob
from lib.captioner.pictures import read_object_picture, read_pictures, save_picture
from lib.captioner.prompt_file import (
    PromptFields,
    check_place,
    existing_prompt,
    is_ours,
    keep_backup,
    load_prompt_mapping,
    write_prompt_file,
)

__all__ = ["CaptionJob", "process_facts", "prompt_to_keep", "run_caption_job", "run_job", "run_judge_job"]


def prompt_to_keep(job: CaptionJob) -> str:
    """The sentence of a prompt file that the job must leave as it is; "" if it may write.

    An edited file with a prompt stays unless `force`; our own stays unless `force` or `replace`.

    Raises:
        InputError: an edited file that cannot be read; it is left as it is, too. Or no file can be written there.
    """
    path = job.yaml_path
    check_place(path)
    if job.force or (job.replace and is_ours(path)):
        return ""
    return existing_prompt(path)


def run_job(job: PoolJob, captioner: Captioner) -> dict[str, Any]:
    """Do a job of either kind; see there."""
    return run_judge_job(job, captioner) if isinstance(job, JudgeJob) else run_caption_job(job, captioner)


def run_caption_job(job: CaptionJob, captioner: Captioner) -> dict[str, Any]:
    """Caption one video and write its prompt file, unless the one there has to stay.

    Returns:
        JSON-ready record: name, status ("written" or "kept"), prompt, path, sha256 of the file, seconds, frame_idx
        (list), model, source, flags (list), backup (path or None), process (pid, prefix, executable, python).

    Raises:
        InputError: video, masks or an existing prompt file cannot be used.
    """
    started = time.monotonic()
    kept = prompt_to_keep(job)
    if kept:
        return _kept_record(job, kept, started)
    pictures = read_pictures(job)
    if job.save_picture:
        save_picture(pictures, Path(job.save_picture))
    caption = captioner.describe(pictures, read_object_picture(job))
    kept = prompt_to_keep(job)  # again: someone may have written it while the captioner worked
    if kept:
        return _kept_record(job, kept, started)
    path = job.yaml_path
    theirs = path.exists() and path.read_bytes().strip() != b"" and not is_ours(path)
    backup = keep_backup(path) if theirs else None
    digest = write_prompt_file(path, _fields(job, caption, pictures, captioner.facts()), job.key)
    return {
        **_record(job, "written", caption.text, digest, started),
        "frame_idx": [picture.frame_idx for picture in pictures],
        "model": caption.model,
        "source": caption.source,
        "flags": list(caption.flags),
        "backup": str(backup) if backup else None,
    }


def run_judge_job(job: JudgeJob, captioner: Captioner) -> dict[str, Any]:
    """Judge one result and write its judgement.

    Returns:
        JSON-ready record: name, status ("judged"), verdict, summary, path, sha256 of the file, seconds, process (as of
        `run_caption_job`).

    Raises:
        InputError: the captioner has no model that could answer.
    """
    started = time.monotonic()
    judgement = judge_pictures(job, captioner)
    return {
        "name": job.name,
        "status": "judged",
        "verdict": judgement.verdict,
        "summary": judgement.summary,
        "path": job.output_json,
        "sha256": write_judgement(job.json_path, judgement),
        "seconds": round(time.monotonic() - started, 3),
        "process": process_facts(),
    }


def _fields(
    job: CaptionJob, caption: Caption, pictures: Sequence[CaptionPicture], facts: Mapping[str, str]
) -> PromptFields:
    return PromptFields(
        prompt=caption.text,
        n_prompt=", ".join(filter(None, (caption.object_phrase, job.n_prompt))),
        text_guidance_scale=job.text_guidance_scale,
        prompt_source=caption.source,
        prompt_model=caption.model,
        prompt_timestamp=datetime.now().astimezone().isoformat(timespec="seconds"),
        prompt_frame_idx=tuple(picture.frame_idx for picture in pictures),
        source_video=job.source_video or job.video_path,
        mask_path=job.mask_path,
        prompt_flags=caption.flags,
        prompt_environment=sys.prefix,
        prompt_object=caption.object_phrase,
        prompt_raw=caption.raw,
        prompt_facts={**facts, "model_sha256": job.model_sha256} if job.model_sha256 else facts,
    )


def _kept_record(job: CaptionJob, prompt: str, started: float) -> dict[str, Any]:
    said = load_prompt_mapping(job.yaml_path)
    frame_idx = said.get("prompt_frame_idx")
    frames = frame_idx if isinstance(frame_idx, list) else [frame_idx]
    digest = hashlib.sha256(job.yaml_path.read_bytes()).hexdigest()
    return {
        **_record(job, "kept", prompt, digest, started),
        "frame_idx": [index for index in frames if isinstance(index, int)],
        "model": str(said.get("prompt_model", "")),
        "source": str(said.get("prompt_source", "manual")) if is_ours(job.yaml_path) else "manual",
        "flags": [],
        "backup": None,
    }


def _record(job: CaptionJob, status: str, prompt: str, digest: str, started: float) -> dict[str, Any]:
    return {
        "name": job.name,
        "status": status,
        "prompt": prompt,
        "path": job.output_yaml,
        "sha256": digest,
        "seconds": round(time.monotonic() - started, 3),
        "process": process_facts(),
    }


def process_facts() -> dict[str, Any]:
    """Which interpreter does the work: pid, sys.prefix, executable and Python version."""
    return {
        "pid": os.getpid(),
        "prefix": sys.prefix,
        "executable": sys.executable,
        "python": platform.python_version(),
    }
