"""Batches of judgements: cached as long as the file is theirs, and a process that dies costs its own result."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import flow
from tests_support import Dataset, moving_square, write_frames

from deployments.caption_pool import CaptionPoolError
from flows.phases import Outcome, outcome_of
from lib.captioner.backend import CaptionerOptions
from lib.captioner.batch_folder import BatchFolder
from lib.captioner.environment import resolve_caption_env
from lib.captioner.jobs import run_job
from lib.settings import Processing
from lib.video.datasets import Video
from tasks import caption as caption_module
from tasks.caching import bind
from tasks.judge import JudgeJob, is_judged, judge, judge_batch

NAMES = ("bear", "car", "dog")
ROOT = Path(caption_module.__file__).parents[1]


class Judge:
    """A model that says yes to its third question, whether there is a remainder in the second frame, and else no."""

    name = "Scripted-VL-0B"

    def __init__(self) -> None:
        self.asked = 0

    def facts(self) -> dict[str, str]:
        return {"device": "cpu"}

    def answer(self, *_: object) -> str:
        self.asked += 1
        return "Yes, a wheel." if self.asked == 3 else "No."


@pytest.fixture
def jobs(dataset: Dataset, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> list[JudgeJob]:
    monkeypatch.setattr(caption_module, "ensure_caption_deployment", lambda: None)
    made = []
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
        plate, _ = moving_square(seed, 6, 64, 96, with_object=False)
        made.append(
            JudgeJob(
                video=Video(name=name, video_path=dataset.videos / name, mask_path=dataset.masks / name),
                output_dir=tmp_path / "out",
                video_fingerprint=f"v-{name}",
                mask_fingerprint=f"m-{name}",
                processing=Processing(),
                result_key="refine-1",
                result_path=write_frames(tmp_path / "out" / "final" / name / "propagation", plate),
                judge_fingerprint={"model": "abc", "version": "1"},
                frames=2,
            )
        )
    return made


Pool = Callable[..., list[list[str]]]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """The caption environment in this process, which may die at one result; returns the names of each batch."""

    def open_pool(dies_at: str | None = None) -> list[list[str]]:
        batches: list[list[str]] = []

        def run(folder: BatchFolder, *_: object) -> SimpleNamespace:
            found = folder.read()[1]
            batches.append([job.name for job in found])
            model: Any = Judge()
            for job in found:
                folder.note_begin(job.name)
                if job.name == dies_at:
                    break
                folder.note_record(job.name, run_job(job, model))
            return SimpleNamespace(name=f"judge x{len(found)}", state=SimpleNamespace(name="Crashed"))

        monkeypatch.setattr(caption_module, "run_caption_batch", run)
        return batches

    return open_pool


def run_batch(jobs: list[JudgeJob]) -> dict[str, dict]:
    return judge_batch(jobs, resolve_caption_env(None, ROOT), CaptionerOptions("vlm"), 60.0)


def vouch(job: JudgeJob, end: dict | None = None) -> Outcome:
    """The task's outcome in a run of its own."""

    @flow(persist_result=False)
    def one() -> Any:
        return outcome_of(bind(judge, job.output_dir).with_options(retries=0)(job, end, return_state=True))

    return one()


def test_each_result_gets_its_judgement_and_a_record(jobs, pool):
    batches = pool()
    ends = run_batch(jobs)
    assert batches == [["final/bear", "final/car", "final/dog"]]
    outcomes = {job.video.name: vouch(job, ends[job.name]) for job in jobs}
    records = [outcome.record for outcome in outcomes.values()]
    assert [outcome.status for outcome in outcomes.values()] == ["done"] * 3
    assert [record.facts["verdict"] for record in records] == ["remainder", "clean", "clean"]
    assert records[0].facts["summary"] == "a remainder of the object (frame 4) seen"
    assert records[0].facts["model"] == "Scripted-VL-0B"
    assert [item.path for item in records[0].artifacts] == ["final/bear/judgement.json"]
    content = json.loads((jobs[0].output_dir / "final/bear/judgement.json").read_text())
    assert (content["key"], content["model_sha256"]) == (jobs[0].cache_key, "abc")
    for frame in content["frames"]:
        assert (jobs[0].output_dir / "final/bear" / frame["picture"]).is_file()
    folder = jobs[0].output_dir / ".prefect" / "captions"
    assert not list(folder.glob("*/pictures"))  # what the model saw is gone; people have the JPEGs


def test_a_judgement_that_is_there_is_cached(jobs, pool):
    pool()
    job = jobs[0]
    assert not is_judged(job)
    ends = run_batch([job])
    assert is_judged(job)  # by the file's key, before any record
    assert vouch(job, ends[job.name]).status == "done"
    again = vouch(job)
    assert again.status == "cached"
    assert again.record.facts["verdict"] == "remainder"


def test_a_judgement_without_its_record_is_vouched_for(jobs, pool):
    """As after a run that was killed in between."""
    pool()
    run_batch([jobs[0]])
    assert vouch(jobs[0]).status == "done"


@pytest.mark.parametrize(
    "change",
    [
        {"result_key": "refine-2"},
        {"mask_fingerprint": "other"},
        {"judge_fingerprint": {"model": "def", "version": "1"}},
        {"judge_fingerprint": {"model": "abc", "version": "2"}},
        {"frames": 3},
        {"processing": Processing(mask_dilation_iter=8)},
    ],
)
def test_what_decides_a_judgement_is_in_its_key(jobs, pool, change):
    pool()
    run_batch([jobs[0]])
    other = jobs[0].model_copy(update=change)
    assert other.cache_key != jobs[0].cache_key
    assert not is_judged(other)
    outcome = vouch(other)
    assert outcome.status == "failed"
    assert "judgement of another result or model" in outcome.reason


def test_paths_and_ground_truth_are_not_in_the_key(jobs):
    moved = jobs[0].model_copy(update={"result_path": Path("elsewhere/x.mp4"), "truth_fingerprint": "t"})
    assert moved.cache_key == jobs[0].cache_key


def test_a_process_that_dies_costs_only_the_result_it_was_working_on(jobs, pool):
    batches = pool(dies_at="final/car")
    ends = run_batch(jobs)
    assert batches == [["final/bear", "final/car", "final/dog"], ["final/dog"]]
    assert {name for name, end in ends.items() if "record" in end} == {"final/bear", "final/dog"}
    outcome = vouch(jobs[1], ends["final/car"])
    assert outcome.status == "failed"
    assert "died while it worked on this video (caption run judge x3 ended Crashed)" in outcome.reason
    assert not jobs[1].judgement_path.exists()


def test_a_pool_without_a_worker_is_a_reason_for_every_result(jobs, monkeypatch):
    def refuse(*_: object) -> None:
        raise CaptionPoolError("no worker polls the pool caption-pool")

    monkeypatch.setattr(caption_module, "run_caption_batch", refuse)
    ends = run_batch(jobs)
    assert {end["error"] for end in ends.values()} == {"not judged: no worker polls the pool caption-pool"}
    assert len(ends) == 3


def test_a_result_that_cannot_be_read_fails_alone(jobs, pool):
    for path in jobs[0].result_path.iterdir():
        path.unlink()
    batches = pool()
    ends = run_batch(jobs)
    assert batches == [["final/car", "final/dog"]]
    assert "found no frames" in ends["final/bear"]["error"]


def test_two_results_of_one_video_are_told_apart(jobs):
    """As a study has them."""
    variant = jobs[0].model_copy(update={"result_path": jobs[0].output_dir / "variants/text/bear/propagation.mp4"})
    assert (jobs[0].name, variant.name) == ("final/bear", "variants/text/bear")
    assert variant.judgement_path.parent != jobs[0].judgement_path.parent
