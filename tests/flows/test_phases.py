import os
from pathlib import Path

import pytest
from prefect import flow
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from tests_support import Dataset

from flows import phases
from flows.batch import Batch
from flows.command_line import parse
from flows.inputs import find_videos, fingerprint_inputs
from flows.phases import Outcome, PhaseRunner, Watcher
from tasks.caching import bind
from tasks.coarse import coarse
from tasks.jobs import Job


def die() -> None:
    os._exit(1)


@pytest.fixture
def jobs(dataset: Dataset, tmp_path: Path, prefect_server: None) -> list[Job]:
    dataset.add("bear")
    batch = Batch(parse(dataset.flags(tmp_path / "out"))[0])
    videos = find_videos(batch.settings).videos
    prints = fingerprint_inputs(videos)
    return [batch.coarse(video, prints[video.name]) for video in videos]


def run_coarse(jobs: list[Job], watch: Watcher, *, refresh: bool = False) -> dict[str, Outcome]:
    out = jobs[0].output_dir

    @flow
    def run() -> dict[str, Outcome]:
        return PhaseRunner(out / ".prefect", 1, watch).run("coarse", bind(coarse, out, refresh=refresh), jobs)

    return run()


def test_pools_that_die_before_they_begin_are_given_up(jobs: list[Job], monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    pools: list[int] = []

    def dying_pool(_self: object, workers: int) -> ProcessPoolTaskRunner:
        pools.append(workers)
        return ProcessPoolTaskRunner(max_workers=workers, initializer=die)

    monkeypatch.setattr(phases._Phase, "_process_pool", dying_pool)
    outcomes = run_coarse(jobs, lambda job, outcome: seen.append(job.video.name))
    assert pools == [1, 1]
    assert outcomes["bear"].status == "failed"
    assert "2 pools died before they began" in outcomes["bear"].reason
    assert seen == ["bear"]


def test_work_is_never_done_in_the_flows_own_process(jobs: list[Job], monkeypatch: pytest.MonkeyPatch):
    pools: list[int] = []

    def noted_pool(_self: object, workers: int) -> ThreadPoolTaskRunner:
        pools.append(workers)
        return ThreadPoolTaskRunner(max_workers=workers)

    monkeypatch.setattr(phases._Phase, "_process_pool", noted_pool)
    statuses = [
        run_coarse(jobs, lambda job, outcome: None, refresh=refresh)["bear"].status for refresh in (False, False, True)
    ]
    assert statuses == ["done", "cached", "done"]
    assert len(pools) == 2
