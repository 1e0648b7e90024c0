import os
from pathlib import Path

import pytest
from prefect import flow
from prefect.task_runners import ProcessPoolTaskRunner
from tests_support import Dataset

from flows import phases
from flows.batch import Batch, find_videos, fingerprint_inputs
from flows.command_line import parse
from flows.phases import Outcome, PhaseRunner
from tasks.caching import bind
from tasks.coarse import coarse
from tasks.jobs import Job


def die() -> None:
    os._exit(1)


def test_pools_that_die_before_they_begin_are_given_up(
    dataset: Dataset, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
):
    dataset.add("bear")
    batch = Batch(parse(dataset.flags(tmp_path / "out"))[0])
    videos = find_videos(batch.settings).videos
    prints = fingerprint_inputs(videos)
    jobs = [batch.coarse(video, prints[video.name]) for video in videos]
    seen: list[tuple[Job, Outcome]] = []
    pools: list[int] = []

    def dying_pool(_self: object, workers: int) -> ProcessPoolTaskRunner:
        pools.append(workers)
        return ProcessPoolTaskRunner(max_workers=workers, initializer=die)

    monkeypatch.setattr(phases._Phase, "_process_pool", dying_pool)

    @flow
    def run() -> dict[str, Outcome]:
        runner = PhaseRunner(tmp_path / "out" / ".prefect", 1, lambda job, outcome: seen.append((job, outcome)))
        return runner.run("coarse", bind(coarse, tmp_path / "out"), jobs)

    outcomes = run()
    assert pools == [1, 1]
    assert outcomes["bear"].status == "failed"
    assert "2 pools died before they began" in outcomes["bear"].reason
    assert [job.video.name for job, _ in seen] == ["bear"]
