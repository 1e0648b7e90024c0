"""Phase 2 around the caption task: which videos need a caption at all, and the page that shows all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.batch import Batch, is_captioned
from flows.model_batches import run_batches
from flows.phases import Outcome
from flows.report import VideoSummary
from lib.report.caption_sheet import RowStatus, SheetRow, failed_row, row_from_prompt_file, write_caption_sheet
from lib.settings import AutoRefineSettings
from tasks.caption import End, caption_batch
from tasks.jobs import CaptionJob, seen_picture

SHEET_FILE = "caption_sheet.html"


def caption_missing(batch: Batch, jobs: Sequence[CaptionJob]) -> dict[str, End]:
    """Run the caption pool for the videos that need it; how each of them ended."""
    force = batch.settings.phase_control.force_recaption
    missing = [job for job in jobs if force or not is_captioned(job)]
    if not missing:
        return {}
    timeout = batch.settings.caption_environment.caption_timeout
    return run_batches(
        batch.caption_gpus,
        missing,
        lambda share, gpu: caption_batch.submit(share, batch.caption_env, batch.captioner, timeout, force, gpu),
    )


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
