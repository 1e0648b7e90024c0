"""--judge in whole runs: a tiny model that captions, and finds a remainder in every result."""

import json
from pathlib import Path

import pytest
from tests_support import CAPTION, Dataset
from tiny_vlms import write_tiny_vlm

from flows import caption_videos
from flows.batch import Batch
from flows.command_line import parse
from flows.launch import STUDY
from flows.plan import make_plan
from lib.errors import InputError
from tasks import caption as caption_module

NAMES = ("bear", "car")
YES, NO = "Yes, a yellow corner.", "No, plain wall."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heard = {"is a remainder of it": YES, "has anything new been added": NO}
    return write_tiny_vlm(tmp_path_factory.mktemp("models") / "Tiny-VL", says=CAPTION, answers=heard)


@pytest.fixture
def words(dataset: Dataset, inline: None, model: Path, tmp_path: Path) -> list[str]:
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
    return [*dataset.flags(tmp_path / "out"), "--caption_model_path", str(model), "--no_metrics", "--judge"]


def judgement(out: Path, name: str) -> dict:
    return json.loads((out / "final" / name / "judgement.json").read_text())


def test_every_result_is_judged_once_and_the_summary_says_so(words, run_flow, tmp_path, monkeypatch):
    run = run_flow([*words, "--judge_frames", "2"])
    assert run.state.is_completed(), run.state.message
    for name in NAMES:
        told = judgement(tmp_path / "out", name)
        assert (told["verdict"], told["model"]) == ("remainder", "Tiny-VL")
        assert len(told["frames"]) == 2
        assert told["frames"][0]["remainder_said"] == [YES]
        assert (tmp_path / "out" / "final" / name / told["frames"][0]["picture"]).is_file()
        assert told["summary"] == run.video(name).judgement
        assert run.statuses()[name, "judge"] == "done"

    def refuse(*_: object) -> None:
        raise AssertionError("the caption pool was asked")

    monkeypatch.setattr(caption_module, "run_caption_batch", refuse)
    again = run_flow([*words, "--judge_frames", "2"])
    assert again.executed() == set()
    assert again.video("bear").judgement == run.video("bear").judgement


def test_another_number_of_frames_judges_again_and_nothing_else(words, run_flow, tmp_path):
    run_flow([*words, "--judge_frames", "1"])
    more = [*words, "--judge_frames", "3"]
    planned = {(step.video, step.phase) for step in make_plan(parse(more)[0]) if step.state == "to do"}
    run = run_flow(more)
    assert run.executed() == planned == {(name, "judge") for name in NAMES}
    assert {step.state for step in make_plan(parse(more)[0])} == {"cached"}
    assert len(judgement(tmp_path / "out", "bear")["frames"]) == 3


def test_a_judgement_that_fails_is_told_and_the_result_stays(words, run_flow, tmp_path, monkeypatch):
    class Breaks(caption_videos.ResidentCaptioner):
        def ask(self, job, timeout):
            if job.get("kind") == "judge" and job["video"] == "car":
                raise RuntimeError("out of words")
            return super().ask(job, timeout)

    monkeypatch.setattr(caption_videos, "ResidentCaptioner", Breaks)
    run = run_flow(words)
    assert run.statuses()["bear", "judge"] == "done"
    assert run.statuses()["car", "judge"] == "failed"
    assert "out of words" in run.video("car").reason
    assert (tmp_path / "out" / "final" / "car" / "propagation.mp4").is_file()
    assert not (tmp_path / "out" / "final" / "car" / "judgement.json").exists()


def test_without_the_flag_nothing_is_judged(words, run_flow, tmp_path):
    run = run_flow(words[:-1])
    assert ("bear", "judge") not in run.statuses()
    assert not (tmp_path / "out" / "final" / "bear" / "judgement.json").exists()


def test_palette_is_refused_before_any_work(dataset, tmp_path):
    dataset.add("bear")
    settings, _ = parse([*dataset.flags(tmp_path / "out"), "--judge"])
    with pytest.raises(InputError, match=r"--judge needs a vision-language model"):
        Batch(settings).check()


def test_a_study_plans_the_judgements_that_it_makes(words, run_flow, tmp_path):
    """Variants that come to the same are judged once: here the baseline, the anchor without and with words."""
    run = run_flow([*words, "--judge_frames", "1"], STUDY)
    assert run.state.is_completed(), run.state.message
    judged = {(name, f"judge {variant}") for name in NAMES for variant in ("baseline", "anchor", "anchor-text")}
    assert {key for key, status in run.statuses().items() if status == "done" and "judge" in key[1]} == judged
    settings = parse([*words, "--judge_frames", "1"], STUDY.settings)[0]
    assert {step.state for step in make_plan(settings)} == {"cached"}
    more = [*words, "--judge_frames", "2"]
    plan = make_plan(parse(more, STUDY.settings)[0])
    assert {(step.video, step.phase) for step in plan if step.state == "to do"} == judged
    again = run_flow(more, STUDY)
    assert again.executed() == judged
