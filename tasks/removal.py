"""What the coarse and refine tasks share: run the engine on one video, write provenance, answer with a record."""

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from lib.provenance import FILE_NAME, peak_memory_bytes, software_versions, write_json
from lib.records import PhaseRecord, artifacts_of
from lib.removers.clip_removal import Guidance, RemovalOutcome, remove_from_clip
from lib.removers.registry import get_remover
from lib.runtime.running import mark_running
from tasks.jobs import CoarseJob, RefineJob


def running_dir(state_dir: Path, phase: str) -> Path:
    """Where processes say which video they are working on."""
    return state_dir / "running" / phase


def run_removal(
    job: CoarseJob | RefineJob,
    report: Callable[[float], None],
    guidance: Guidance | None = None,
    lossless: bool = False,
) -> PhaseRecord:
    """Remove the object from the job's video and vouch for the files."""
    start = time.monotonic()
    remover = get_remover(job.engine, job.prior)
    with mark_running(running_dir(job.output_dir / ".prefect", job.phase), job.video.name):
        outcome = remove_from_clip(
            job.video, job.folder, remover, job.processing, guidance, lossless=lossless, report=report
        )
    seconds = round(time.monotonic() - start, 3)
    paths = [*outcome.paths, _write_provenance(job, outcome, seconds)]
    return PhaseRecord(
        video=job.video.name,
        phase=job.phase,
        key=job.cache_key,
        artifacts=artifacts_of(paths, job.output_dir),
        seconds=seconds,
        notes=tuple(outcome.notes),
        facts={**outcome.facts, "pid": os.getpid(), "peak_memory_bytes": peak_memory_bytes()},
    )


def _write_provenance(job: CoarseJob | RefineJob, outcome: RemovalOutcome, seconds: float) -> Path:
    content = {
        "video": job.video.name,
        "phase": job.phase,
        "cache_key": job.cache_key,
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "inputs": {
            "video": {"path": str(job.video.video_path), "sha256": job.video_fingerprint},
            "mask": {"path": str(job.video.mask_path), "sha256": job.mask_fingerprint},
        },
        "job": job.model_dump(mode="json", exclude={"video", "output_dir", "video_fingerprint", "mask_fingerprint"}),
        "code_version": job.code_version,
        "versions": software_versions(),
        "files": [a.model_dump() for a in artifacts_of(outcome.paths, job.output_dir)],
        "notes": outcome.notes,
        "facts": outcome.facts,
        "seconds": {**outcome.seconds, "all": seconds},
        "peak_memory_bytes": peak_memory_bytes(),
    }
    return write_json(job.folder / FILE_NAME, content)
