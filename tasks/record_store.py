"""The records of finished phases: JSON files below `<output_dir>/.prefect/results`, named by the job's cache key.

Prefect writes them, as the results of its tasks. They are read here without it, so that a plan starts nothing.
"""

import json
from pathlib import Path

from pydantic import ValidationError

from lib.records import PhaseRecord
from tasks.jobs import Job


def results_dir(output_dir: Path) -> Path:
    return output_dir / ".prefect" / "results"


def make_output_dir(output_dir: Path) -> None:
    """The folder and, for this user's eyes only, its `.prefect`: records are trusted, logs and states are private."""
    for folder in (output_dir / ".prefect", results_dir(output_dir)):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)


def find_record(job: Job) -> tuple[PhaseRecord | None, str]:
    """The record under the job's key if it still holds, else None; and why not."""
    path = results_dir(job.output_dir) / job.cache_key
    if not path.is_file():
        return None, "not done yet"
    try:
        record = read_record(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"the record {path.name} is unreadable ({type(error).__name__})"
    problem = record.problem(job.output_dir) or job.misfit(record)
    return (None, problem) if problem else (record, "")


def read_record(path: Path) -> PhaseRecord:
    """The record in a file of Prefect's JSON result format.

    Raises:
        ValueError, KeyError, TypeError: the file is something else.
    """
    stored = json.loads(json.loads(path.read_bytes())["result"])
    try:
        return PhaseRecord.model_validate(stored["data"])
    except ValidationError as error:
        raise ValueError(f"{path}: {error}") from None
