"""Batches that break: a process that dies costs its own video, a pool that cannot run costs the batch a reason."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests_support import Dataset

from deployments.caption_pool import CaptionPoolError
from flows.batch import Batch
from flows.command_line import parse
from flows.inputs import Fingerprints, find_videos
from lib.captioner.backend import CaptionerOptions, load_captioner
from lib.captioner.batch_folder import BatchFolder
from lib.captioner.environment import resolve_caption_env
from lib.captioner.jobs import run_caption_job
from tasks import caption as caption_module
from tasks.caption import caption_batch
from tasks.jobs import CaptionJob

NAMES = ("bear", "car", "dog")


@pytest.fixture
def jobs(dataset: Dataset, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> list[CaptionJob]:
    monkeypatch.setattr(caption_module, "ensure_caption_deployment", lambda: None)
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
    words = [*dataset.flags(tmp_path / "out"), "--caption_source", "original"]
    batch = Batch(parse(words)[0])

    videos = find_videos(batch.settings).videos
    return [batch.caption(batch.coarse(video, Fingerprints(video.name, "m")), "") for video in videos]


def run(jobs: list[CaptionJob]) -> dict[str, dict]:
    env = resolve_caption_env(None, Path(caption_module.__file__).parents[1])
    return caption_batch(jobs, env, CaptionerOptions(), 60.0, False)


def caption_until(folder: BatchFolder, stop_at: str | None) -> None:
    """What the caption environment does, until it dies at one video."""
    options, jobs = folder.read()
    for job in jobs:
        folder.note_begin(job.name)
        if job.name == stop_at:
            return
        folder.note_record(job.name, run_caption_job(job, load_captioner(options)))


def test_a_process_that_dies_costs_only_the_video_it_was_working_on(jobs, monkeypatch):
    batches: list[list[str]] = []

    def run_and_die_at_car(folder: BatchFolder, *_: object) -> SimpleNamespace:
        batches.append([job.name for job in folder.read()[1]])
        caption_until(folder, "car" if len(batches) == 1 else None)
        return SimpleNamespace(name="caption x3", state=SimpleNamespace(name="Crashed"))

    monkeypatch.setattr(caption_module, "run_caption_batch", run_and_die_at_car)
    ends = run(jobs)
    assert batches == [["bear", "car", "dog"], ["dog"]]
    assert {name for name, end in ends.items() if "record" in end} == {"bear", "dog"}
    assert "died while it worked on this video (caption run caption x3 ended Crashed)" in ends["car"]["error"]


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_run_that_is_killed_before_any_video_gets_one_more_try(jobs, monkeypatch, deaths):
    runs: list[list[str]] = []

    def run_and_die_early(folder: BatchFolder, *_: object) -> SimpleNamespace:
        runs.append([job.name for job in folder.read()[1]])
        if len(runs) > deaths:
            caption_until(folder, None)
        return SimpleNamespace(name="caption x3", state=SimpleNamespace(name="Crashed"))

    monkeypatch.setattr(caption_module, "run_caption_batch", run_and_die_early)
    ends = run(jobs)
    assert runs == [list(NAMES)] * 2
    if deaths == 1:
        assert all("record" in end for end in ends.values())
    else:
        assert all("not captioned: caption run caption x3 ended Crashed" in end["error"] for end in ends.values())


def test_whatever_one_video_makes_go_wrong_is_its_own_failure(jobs, monkeypatch):
    def run_all(folder: BatchFolder, *_: object) -> SimpleNamespace:
        caption_until(folder, None)
        return SimpleNamespace(name="caption x2", state=SimpleNamespace(name="Completed"))

    def prepare(job: CaptionJob, *_: object) -> object:
        if job.name == "car":
            raise MemoryError("no room for car")
        return original(job, *_)  # type: ignore[arg-type]

    original = caption_module.prepare_pictures
    monkeypatch.setattr(caption_module, "prepare_pictures", prepare)
    monkeypatch.setattr(caption_module, "run_caption_batch", run_all)
    ends = run(jobs)
    assert "MemoryError: no room for car" in ends["car"]["error"]
    assert {name for name, end in ends.items() if "record" in end} == {"bear", "dog"}


def test_a_pool_without_a_worker_is_a_reason_for_every_video(jobs, monkeypatch):
    def refuse(*_: object) -> None:
        raise CaptionPoolError("no worker polls the pool caption-pool")

    monkeypatch.setattr(caption_module, "run_caption_batch", refuse)
    ends = run(jobs)
    assert set(ends) == set(NAMES)
    assert all("no worker polls the pool caption-pool" in end["error"] for end in ends.values())


def test_a_half_written_last_line_is_left_out(tmp_path):
    folder = BatchFolder(tmp_path)
    folder.note_begin("a")
    folder.note_record("a", {"prompt": "x"})
    folder.note_begin("b")
    with (tmp_path / "outcomes.jsonl").open("a") as file:
        file.write('{"name": "b", "rec')
    assert set(folder.ended()) == {"a"}
    assert folder.interrupted() == "b"
