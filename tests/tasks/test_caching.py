import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prefect import flow, task

from lib.records import PhaseRecord, artifacts_of
from lib.video.datasets import Video
from tasks.caching import FileLockManager, bind
from tasks.jobs import Job
from tasks.record_store import find_record, results_dir

ROOT = Path(__file__).resolve().parents[2]
RUNS: list[str] = []


class WriteJob(Job):
    phase: ClassVar[str] = "write"
    code_version: ClassVar[str] = "1"

    text: str
    note: str = ""

    def identity(self) -> dict[str, Any]:
        return {"text": self.text}

    @property
    def path(self) -> Path:
        return self.output_dir / f"{self.video.name}.txt"


@task(persist_result=True, result_serializer="json")
def write(job: WriteJob) -> PhaseRecord:
    RUNS.append(job.video.name)
    job.path.write_text(job.text)
    artifacts = artifacts_of([job.path], job.output_dir)
    return PhaseRecord(video=job.video.name, phase=job.phase, key=job.cache_key, artifacts=artifacts)


def run(job: WriteJob, *, refresh: bool = False) -> str:
    @flow(persist_result=False)
    def once() -> str:
        return bind(write, job.output_dir, refresh=refresh)(job, return_state=True).name

    return once()


@pytest.fixture
def job(tmp_path, prefect_server):
    RUNS.clear()
    return WriteJob(video=Video(name="a", video_path="v", mask_path="m"), output_dir=tmp_path, text="hello")


def test_the_same_job_runs_once(job):
    assert [run(job), run(job)] == ["Completed", "Cached"]
    assert RUNS == ["a"]
    record, why = find_record(job)
    assert record is not None
    assert (record.key, why) == (job.cache_key, "")


def test_what_is_not_in_the_identity_does_not_count(job):
    run(job)
    moved = job.model_copy(update={"note": "other", "video": Video(name="a", video_path="w", mask_path="n")})
    assert run(moved) == "Cached"


def test_another_identity_or_name_runs(job):
    run(job)
    assert run(job.model_copy(update={"text": "bye"})) == "Completed"
    assert run(job.model_copy(update={"video": Video(name="b", video_path="v", mask_path="m")})) == "Completed"


@pytest.mark.parametrize("harm", ["delete", "corrupt"])
def test_a_missing_or_changed_file_makes_it_run_again(job, harm):
    run(job)
    job.path.unlink() if harm == "delete" else job.path.write_text("hallo")
    record, why = find_record(job)
    assert record is None
    assert "a.txt" in why
    assert [run(job), run(job)] == ["Completed", "Cached"]
    assert job.path.read_text() == "hello"


def test_a_touched_file_is_still_the_same(job):
    run(job)
    os.utime(job.path, (1, 1))
    assert run(job) == "Cached"


def test_an_unreadable_record_makes_it_run_again(job):
    run(job)
    (results_dir(job.output_dir) / job.cache_key).write_text("{broken")
    assert find_record(job)[0] is None
    assert [run(job), run(job)] == ["Completed", "Cached"]


def test_refresh_runs_again(job):
    run(job)
    assert run(job, refresh=True) == "Completed"
    assert RUNS == ["a", "a"]


def test_results_are_private(job):
    run(job)
    assert results_dir(job.output_dir).stat().st_mode & 0o777 == 0o700


def test_only_one_holder_of_a_key(tmp_path):
    mine, other = FileLockManager(tmp_path), FileLockManager(tmp_path)
    assert mine.acquire_lock("k", "me")
    assert mine.acquire_lock("k", "me")
    assert not other.acquire_lock("k", "you", acquire_timeout=0.2)
    assert other.is_locked("k")
    assert not other.wait_for_lock("k", timeout=0.2)
    with pytest.raises(ValueError, match="you does not hold"):
        other.release_lock("k", "you")
    mine.release_lock("k", "me")
    assert other.wait_for_lock("k", timeout=1)
    assert other.acquire_lock("k", "you")


def test_a_killed_holder_frees_the_key(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from tasks.caching import FileLockManager;"
        "FileLockManager(Path(sys.argv[1])).acquire_lock('k', 'it') and print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "held"
    manager = FileLockManager(tmp_path)
    assert manager.is_locked("k")
    child.send_signal(signal.SIGKILL)
    child.wait()
    start = time.monotonic()
    assert manager.acquire_lock("k", "me", acquire_timeout=5)
    assert time.monotonic() - start < 5
