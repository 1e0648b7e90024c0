"""How a finished phase is vouched for."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from lib.errors import InputError
from lib.notes import Note
from lib.records import PhaseRecord, artifacts_of
from tasks.jobs import Job


def record_of(
    job: Job,
    paths: Iterable[Path],
    *,
    since: float | None = None,
    seconds: float = 0.0,
    notes: Iterable[Note] = (),
    facts: Mapping[str, float | int | str] | None = None,
    keep_files: bool = False,
) -> PhaseRecord:
    """The record of a phase whose files are written, once its inputs have proved to be those that its key stands for.

    Args:
        since: `time.monotonic()` at its beginning; else `seconds` say how long it took.
        keep_files: they are a person's; otherwise they are removed where the inputs have changed.

    Raises:
        InputError: an input was changed meanwhile, so that the files are of no use.
    """
    paths = list(paths)
    try:
        for state in job.watched:
            state.check()
    except InputError:
        for path in () if keep_files else paths:
            path.unlink(missing_ok=True)
        raise
    return PhaseRecord(
        video=job.video.name,
        phase=job.phase,
        key=job.cache_key,
        artifacts=artifacts_of(paths, job.output_dir),
        seconds=seconds if since is None else round(time.monotonic() - since, 3),
        notes=tuple(notes),
        facts=dict(facts or {}),
    )
