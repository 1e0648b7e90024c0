"""Phase 2 around the caption task: which videos need a caption at all, and the page that shows all of them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deployments.child_runs import ending_children
from flows.batch import Batch, is_captioned
from flows.phases import Outcome, outcome_of
from flows.report import VideoSummary
from lib.report.caption_sheet import RowStatus, SheetRow, failed_row, row_from_prompt_file, write_caption_sheet
from lib.runtime.file_lock import LockedFile
from lib.runtime.slots import Slot, lease_dir
from lib.settings import AutoRefineSettings
from tasks.caption import End, caption_batch
from tasks.jobs import CaptionJob, seen_picture

_WORTH_A_MODEL = 20  # captions: for fewer it does not pay to load the model on one more GPU
_POLL_SECONDS = 1.0
SHEET_FILE = "caption_sheet.html"


def caption_missing(batch: Batch, jobs: Sequence[CaptionJob]) -> dict[str, End]:
    """Run the caption pool for the videos that need it; how each of them ended."""
    force = batch.settings.phase_control.force_recaption
    missing = [job for job in jobs if force or not is_captioned(job)]
    if not missing:
        return {}
    wanted = min(len(batch.caption_gpus), -(-len(missing) // _WORTH_A_MODEL))
    with lease_gpus(batch.caption_gpus, wanted) as gpus:
        return _caption_on(gpus or [None], batch, missing, force)


def _caption_on(gpus: Sequence[int | None], batch: Batch, jobs: Sequence[CaptionJob], force: bool) -> dict[str, End]:
    """A batch for each GPU, all at once."""
    timeout = batch.settings.caption_environment.caption_timeout
    shares = [jobs[index :: len(gpus)] for index in range(len(gpus))]
    with ending_children():
        futures = [
            caption_batch.submit(share, batch.caption_env, batch.captioner, timeout, force, gpu)
            for share, gpu in zip(shares, gpus, strict=True)
        ]
        for future in futures:
            future.wait()
    ends: dict[str, End] = {}
    for share, future in zip(shares, futures, strict=True):
        if future.state.is_completed():
            ends |= future.state.result()
        else:
            reason = f"the caption batch failed: {outcome_of(future.state).reason}"
            ends |= {job.video.name: {"error": reason} for job in share}
    return ends


@contextmanager
def lease_gpus(gpus: Sequence[int], wanted: int, folder: Path | None = None) -> Iterator[list[int]]:
    """Up to `wanted` of the GPUs, for this run alone; waits until it has one."""
    held: dict[int, LockedFile] = {}
    try:
        while wanted and not held:
            for gpu in gpus:
                if len(held) < wanted and (lease := Slot(gpu).lease(folder or lease_dir())):
                    held[gpu] = lease
            if not held:
                time.sleep(_POLL_SECONDS)
        yield list(held)
    finally:
        for lease in held.values():
            lease.release()


def write_sheet(path: Path, jobs: Sequence[CaptionJob], outcomes: Mapping[str, Outcome]) -> None:
    """The page with every video's caption beside what the captioner saw."""
    rows = [_row(job, outcomes[job.video.name]) for job in jobs]
    write_caption_sheet(rows, path, title=f"Captions of {path.parent.name}")


def write_sheet_of_files(settings: AutoRefineSettings, videos: Sequence[VideoSummary]) -> None:
    """The same from the files and the summaries that runs on other boxes have left."""
    rows = []
    for video in videos:
        phase = next((phase for phase in video.phases if phase.phase == "caption"), None)
        if phase is None:
            continue
        file = settings.prompt_cache_dir / f"{video.name}.yaml"
        picture = seen_picture(file)
        shown = picture if picture.is_file() else None
        if phase.status == "failed":
            rows.append(failed_row(video.name, file, shown, phase.reason))
        else:
            rows.append(row_from_prompt_file(video.name, file, shown, "cached" if phase.status == "cached" else "new"))
    write_caption_sheet(rows, settings.output_dir / SHEET_FILE, title=f"Captions of {settings.output_dir.name}")


def _row(job: CaptionJob, outcome: Outcome) -> SheetRow:
    picture = job.seen_picture if job.seen_picture.is_file() else None
    if not outcome.succeeded:
        return failed_row(job.video.name, job.prompt_file, picture, outcome.reason)
    status: RowStatus = "cached" if outcome.status == "cached" else "new"
    return row_from_prompt_file(job.video.name, job.prompt_file, picture, "edited" if job.edited_sha256 else status)
