"""Phase 2 around the caption task: which videos need a caption at all, and the page that shows all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.batch import Batch, is_captioned
from flows.phases import Outcome, outcome_of
from lib.report.caption_sheet import RowStatus, SheetRow, failed_row, row_from_prompt_file, write_caption_sheet
from tasks.caption import End, caption_batch
from tasks.jobs import CaptionJob

SHEET_FILE = "caption_sheet.html"


def caption_missing(batch: Batch, jobs: Sequence[CaptionJob]) -> dict[str, End]:
    """Run the caption pool for the videos that need it; how each of them ended."""
    force = batch.settings.phase_control.force_recaption
    missing = [job for job in jobs if force or not is_captioned(job)]
    if not missing:
        return {}
    timeout = batch.settings.caption_environment.caption_timeout
    state = caption_batch(missing, batch.caption_env, batch.captioner, timeout, force, return_state=True)
    if state.is_completed():
        return state.result()
    reason = outcome_of(state).reason
    return {job.video.name: {"error": f"the caption batch failed: {reason}"} for job in missing}


def write_sheet(path: Path, jobs: Sequence[CaptionJob], outcomes: Mapping[str, Outcome]) -> None:
    """The page with every video's caption beside what the captioner saw."""
    rows = [_row(job, outcomes[job.video.name]) for job in jobs]
    write_caption_sheet(rows, path, title=f"Captions of {path.parent.name}")


def _row(job: CaptionJob, outcome: Outcome) -> SheetRow:
    picture = job.seen_picture if job.seen_picture.is_file() else None
    if not outcome.succeeded:
        return failed_row(job.video.name, job.prompt_file, picture, outcome.reason)
    status: RowStatus = "cached" if outcome.status == "cached" else "new"
    return row_from_prompt_file(job.video.name, job.prompt_file, picture, "edited" if job.edited_sha256 else status)
