"""What the tasks that remove objects share: run the engine on one video, write provenance, answer with a record."""

import os
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from lib.errors import InputError
from lib.model_loads import model_loads
from lib.provenance import FILE_NAME, peak_memory_bytes, software_versions, write_json
from lib.records import PhaseRecord, artifacts_of
from lib.removers.clip_removal import Guidance, RemovalOutcome, remove_from_clip
from lib.removers.gpu import naming_gpu_loss
from lib.removers.registry import get_anchor, get_remover, make_remover
from tasks.anchor import AnchorStep
from tasks.jobs import GuidedJob, RemovalJob
from tasks.prior import PriorStep
from tasks.progress import Progress
from tasks.recording import record_of

_TOLD_ELSEWHERE = {"video", "output_dir", "video_fingerprint", "mask_fingerprint", "rules", "watched"}


def run_removal(job: RemovalJob, guidance: Guidance | None = None, *, lossless: bool = False) -> PhaseRecord:
    """Remove the object from the job's video and vouch for the files.

    Raises:
        GpuLostError: this process can use its GPU no more.
    """
    start = time.monotonic()
    remover = get_remover(job.engine, job.prior, job.options)
    make_prior = PriorStep(job, remover.prior) if remover.prior else None
    with naming_gpu_loss():
        outcome = remove_from_clip(
            job.video,
            job.folder,
            remover,
            job.processing,
            guidance,
            rules=job.rules,
            make_prior=make_prior,
            lossless=lossless,
            report=Progress(f"{job.phase} {job.video.name}"),
        )
    outcome.facts |= {f"loads.{name}": count for name, count in model_loads().items()}
    seconds = round(time.monotonic() - start, 3)
    paths = [*outcome.paths, _write_provenance(job, outcome, seconds)]
    if make_remover(job.engine, job.prior, job.options).fingerprint() != job.engine_fingerprint:
        raise InputError(f"{job.video.name}: weights were replaced while it was worked on; leave them alone, run again")
    return record_of(
        job,
        paths,
        seconds=seconds,
        notes=outcome.notes,
        facts={**outcome.facts, "pid": os.getpid(), "peak_memory_bytes": peak_memory_bytes()},
    )


def run_guided_removal(job: GuidedJob) -> PhaseRecord:
    """The same with anchor and prompt where the job has them."""
    offload = job.options is not None and job.options.offload
    anchor = get_anchor(job.anchor, job.processing.seed, offload=offload) if job.anchor else None
    if anchor and anchor.uses_prompt:  # a network paints it
        anchor = AnchorStep(job, anchor)
    guidance = Guidance(
        anchor=anchor,
        anchor_frame_idx=job.anchor.anchor_frame_idx if job.anchor else 0,
        anchor_prompt=job.prompt if anchor else "",
        anchor_n_prompt=job.n_prompt if anchor else "",
        prompt=job.prompt if job.use_text else "",
        n_prompt=job.n_prompt if job.use_text else "",
        text_guidance_scale=job.text_guidance_scale if job.use_text else 0.0,
    )
    return run_removal(job, guidance, lossless=job.lossless)


def _write_provenance(job: RemovalJob, outcome: RemovalOutcome, seconds: float) -> Path:
    content = {
        "video": job.video.name,
        "phase": job.phase,
        "cache_key": job.cache_key,
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "inputs": {
            "video": {"path": str(job.video.video_path), "sha256": job.video_fingerprint},
            "mask": {"path": str(job.video.mask_path), "sha256": job.mask_fingerprint},
        },
        "job": job.model_dump(
            mode="json", exclude={"video", "output_dir", "video_fingerprint", "mask_fingerprint", "rules"}
        ),
        "code_version": job.code_version,
        "versions": software_versions(),
        "files": [a.model_dump() for a in artifacts_of(outcome.paths, job.output_dir)],
        "notes": [asdict(note) for note in outcome.notes],
        "facts": outcome.facts,
        "seconds": {**outcome.seconds, "all": seconds},
        "peak_memory_bytes": peak_memory_bytes(),
    }
    return write_json(job.folder / FILE_NAME, content)
