"""A phase in real processes, one a GPU: deaths, lost GPUs, time limits, GPUs that another run has."""

import threading
from pathlib import Path
from typing import Any

import pytest
from lane_probes import ProbeJob, probe, probe_job, tries
from prefect import flow
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from tests_support import Dataset

from flows import lanes, slots
from flows.batch import Batch
from flows.command_line import parse
from flows.inputs import find_videos, fingerprint_inputs
from flows.phases import Outcome, PhaseRunner
from flows.slots import slots_for
from lib.errors import InputError
from lib.removers.propagation import PropagationRemover
from lib.runtime.slots import Slot
from lib.settings import Execution
from tasks.caching import bind
from tasks.coarse import coarse
from tasks.jobs import Job

TWO_GPUS = (Slot(0), Slot(1))
GONE = "the process that worked on it was killed 2 times (out of memory?)"


def run_probes(jobs: list[ProbeJob], slots: tuple[Slot, ...] = TWO_GPUS, **options: Any) -> dict[str, Outcome]:
    folder = jobs[0].output_dir
    seen: list[str] = []

    @flow
    def run() -> dict[str, Outcome]:
        runner = PhaseRunner(slots, lambda job, _: seen.append(job.video.name), leases=folder / "leases")
        return runner.run("probe", probe, jobs, **options)

    outcomes = run()
    assert sorted(seen) == sorted(outcomes) == sorted(job.video.name for job in jobs)  # each is told once
    return outcomes


def ends(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.reason or outcome.status for name, outcome in outcomes.items()}


@pytest.fixture
def folder(tmp_path: Path, prefect_server: None) -> Path:
    return tmp_path


def test_each_gpu_has_one_process_for_all_its_videos(folder: Path):
    outcomes = run_probes([probe_job(folder, name, seconds=0.5) for name in "abcdef"])
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    assert {gpu for _, gpu, _ in tries(folder)} == {0, 1}
    assert len({(gpu, pid) for _, gpu, pid in tries(folder)}) == 2
    assert [name for name, _, _ in tries(folder)[:2]] != ["e", "f"]


def test_a_killed_process_costs_one_try_and_no_other_video(folder: Path):
    jobs = [probe_job(folder, "dies", dies_on=(0,)), *(probe_job(folder, name, seconds=1.0) for name in "abc")]
    outcomes = run_probes(jobs)
    assert set(ends(outcomes).values()) == {"done"}
    assert [gpu for name, gpu, _ in tries(folder) if name == "dies"] == [0, 1]  # elsewhere
    assert sorted(name for name, _, _ in tries(folder) if name != "dies") == ["a", "b", "c"]


def test_the_second_death_fails_that_video_alone(folder: Path):
    jobs = [probe_job(folder, "dies", dies_on=(0, 1)), *(probe_job(folder, name, seconds=0.3) for name in "abcd")]
    outcomes = run_probes(jobs)
    assert ends(outcomes) == {"dies": GONE} | dict.fromkeys("abcd", "done")
    assert {gpu for name, gpu, _ in tries(folder) if name != "dies"} == {0, 1}  # the video is to blame, no GPU is


def test_one_gpu_goes_on_after_a_death(folder: Path):
    jobs = [probe_job(folder, "dies", dies_on=(0,)), probe_job(folder, "also", dies_on=(0,)), probe_job(folder, "a")]
    assert ends(run_probes(jobs, (Slot(0),))) == {"dies": GONE, "also": GONE, "a": "done"}


def test_a_lost_gpu_is_left_aside_and_its_videos_move(folder: Path):
    jobs = [probe_job(folder, name, loses=(0,), seconds=0.3) for name in "abcd"]
    assert set(ends(run_probes(jobs)).values()) == {"done"}
    assert [gpu for _, gpu, _ in tries(folder)].count(0) == 1


def test_a_video_that_breaks_every_gpu_is_left_aside_itself(folder: Path):
    jobs = [probe_job(folder, "breaks", loses=(0, 1)), *(probe_job(folder, name, seconds=0.5) for name in "abcd")]
    outcomes = run_probes(jobs)
    assert "CUDA error: unspecified launch failure" in outcomes["breaks"].reason
    assert set(ends({name: outcomes[name] for name in "abcd"}).values()) == {"done"}
    assert len({gpu for name, gpu, _ in tries(folder) if name != "breaks"}) == 2


def test_without_a_working_gpu_the_rest_is_not_tried(folder: Path):
    jobs = [probe_job(folder, name, loses=(0,)) for name in "abcde"]
    outcomes = run_probes(jobs, (Slot(0),))
    assert {outcomes[name].reason for name in "abc"} == {"GPU 0 was lost (CUDA error: unspecified launch failure)"}
    assert all("not tried, probe failed on 3 videos in a row: GPU 0" in outcomes[name].reason for name in "de")
    assert {name for name, _, _ in tries(folder)} == set("abc")


def test_a_video_that_takes_too_long_is_stopped(folder: Path):
    jobs = [probe_job(folder, "hangs", seconds=600), probe_job(folder, "a")]
    outcomes = run_probes(jobs, (Slot(0),), timeout=25)
    assert ends(outcomes) == {"hangs": "probe took longer than 25 s and was stopped", "a": "done"}


def test_a_gpu_that_another_run_has_is_waited_for(folder: Path):
    lease = Slot(0).lease(folder / "leases")
    assert lease is not None
    assert Slot(0).lease(folder / "leases") is None
    threading.Timer(3.0, lease.release).start()
    assert ends(run_probes([probe_job(folder, "a")], (Slot(0),))) == {"a": "done"}
    again = Slot(0).lease(folder / "leases")
    assert again is not None
    again.release()


def test_a_gpu_that_is_free_does_not_wait_for_another(folder: Path):
    lease = Slot(0).lease(folder / "leases")
    assert lease is not None
    with lease:
        assert set(ends(run_probes([probe_job(folder, name) for name in "abc"])).values()) == {"done"}
    assert {gpu for _, gpu, _ in tries(folder)} == {1}


class OnGpus(PropagationRemover):
    uses_gpu = True


def test_gpus_are_those_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slots, "gpu_count", lambda: 4)
    assert slots_for(Execution(), OnGpus()) == tuple(map(Slot, range(4)))
    assert slots_for(Execution(gpus=(0, 2)), OnGpus()) == (Slot(0), Slot(2))
    assert slots_for(Execution(gpus=(0, 2), max_workers=3), OnGpus()) == (Slot(0), Slot(2), Slot(0, 1), Slot(2, 1))
    assert slots_for(Execution(max_workers=3), PropagationRemover()) == tuple(Slot(None, n) for n in range(3))
    with pytest.raises(InputError, match=r"no GPU 4, 7 here \(found 4, numbered from 0\)"):
        slots_for(Execution(gpus=(1, 4, 7)), OnGpus())
    with pytest.raises(ValueError, match="each GPU's number once"):
        Execution(gpus=(1, 1))


@pytest.fixture
def jobs(dataset: Dataset, folder: Path) -> list[Job]:
    dataset.add("bear")
    batch = Batch(parse(dataset.flags(folder / "out"))[0])
    videos = find_videos(batch.settings).videos
    prints = fingerprint_inputs(videos, batch.settings)
    return [batch.coarse(video, prints[video.name]) for video in videos]


def run_coarse(jobs: list[Job], *, refresh: bool = False) -> dict[str, Outcome]:
    out = jobs[0].output_dir

    @flow
    def run() -> dict[str, Outcome]:
        return PhaseRunner((Slot(None),), lambda *_: None).run("coarse", bind(coarse, out, refresh=refresh), jobs)

    return run()


def die() -> None:
    import os

    os._exit(1)


def test_processes_that_die_before_they_begin_are_given_up(jobs: list[Job], monkeypatch: pytest.MonkeyPatch):
    dying = lambda _gpu, _threads: ProcessPoolTaskRunner(max_workers=1, initializer=die)  # noqa: E731
    monkeypatch.setattr(lanes, "make_pool", dying)
    assert ends(run_coarse(jobs)) == {"bear": GONE}


def test_work_is_never_done_in_the_flows_own_process(jobs: list[Job], monkeypatch: pytest.MonkeyPatch):
    pools: list[int | None] = []

    def noted_pool(gpu: int | None, _threads: int) -> ThreadPoolTaskRunner:
        pools.append(gpu)
        return ThreadPoolTaskRunner(max_workers=1)

    monkeypatch.setattr(lanes, "make_pool", noted_pool)
    statuses = [run_coarse(jobs, refresh=refresh)["bear"].status for refresh in (False, False, True)]
    assert statuses == ["done", "cached", "done"]
    assert len(pools) == 2
