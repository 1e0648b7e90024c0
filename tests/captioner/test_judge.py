import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from judge_support import AFTER, BEFORE, NO, YES, ScriptedJudge, judge_job

from lib.captioner.backend import CaptionerOptions
from lib.captioner.caption_job import CaptionJob
from lib.captioner.jobs import run_job, run_judge_job
from lib.captioner.judge import (
    FrameJudgement,
    Judgement,
    check_judge,
    judge_fingerprint,
    judge_pictures,
    read_judgement,
    write_judgement,
)
from lib.captioner.judge_job import JudgeJob, job_from_dict
from lib.captioner.judge_questions import NEW_OBJECT_QUESTION, REMAINDER_QUESTION, STRICTER, SYSTEM_PROMPT
from lib.captioner.palette import PaletteCaptioner
from lib.errors import InputError

GARBAGE = "A quiet stone courtyard under soft light"


def judged(*frames: tuple[str, str]) -> Judgement:
    """Frames 0, 10, 20, … with these answers about a remainder and about something new."""
    found = tuple(FrameJudgement(10 * at, *answers) for at, answers in enumerate(frames))  # type: ignore[arg-type]
    return Judgement("bear", found, "Scripted-VL-0B")


@pytest.mark.parametrize(
    ("frames", "verdict", "summary"),
    [
        ([("no", "no")], "clean", "no remainder and nothing new seen (frame 0)"),
        ([("no", "no"), ("no", "no")], "clean", "no remainder and nothing new seen (frames 0, 10)"),
        ([("no", "no"), ("yes", "no")], "remainder", "a remainder of the object (frame 10) seen"),
        ([("no", "yes"), ("no", "yes")], "new object", "something new (frames 0, 10) seen"),
        (
            [("no", "yes"), ("yes", "no")],
            "remainder",
            "a remainder of the object (frame 10) and something new (frame 0) seen",
        ),
        ([("no", "unclear")], "unclear", "neither yes nor no was answered (frame 0)"),
        (
            [("unclear", "unclear"), ("no", "yes")],
            "new object",
            "something new (frame 10) seen; neither yes nor no was answered (frame 0)",
        ),
        ([], "unclear", "no frame was judged"),
    ],
)
def test_the_verdict_is_the_worst_of_all_frames(frames, verdict, summary):
    judgement = judged(*frames)
    assert (judgement.verdict, judgement.summary) == (verdict, summary)


def test_each_frame_is_asked_about_twice_with_both_pictures(tmp_path):
    model = ScriptedJudge(remainder=[NO, YES])
    judgement = judge_pictures(judge_job(tmp_path, (4, 9), key="k", model_sha256="abc"), model)
    assert judgement == Judgement(
        "bear",
        (
            FrameJudgement(4, "no", "no", (NO,), (NO,), "judged/000004.jpg"),
            FrameJudgement(9, "yes", "no", (YES,), (NO,), "judged/000009.jpg"),
        ),
        "Scripted-VL-0B",
        "abc",
        "k",
        {"device": "cpu"},
    )
    assert [question for _, question, _, _ in model.asked] == [REMAINDER_QUESTION, NEW_OBJECT_QUESTION] * 2
    for system, _, shown, tokens in model.asked:
        assert system == SYSTEM_PROMPT
        assert 16 <= tokens < 96
        before, after = shown  # in the order in which the questions speak of them
        np.testing.assert_array_equal(before, np.full((64, 96, 3), BEFORE, np.uint8))
        np.testing.assert_array_equal(after, np.full((64, 96, 3), AFTER, np.uint8))


def test_what_is_neither_yes_nor_no_is_asked_for_once_more(tmp_path):
    model = ScriptedJudge(remainder=[GARBAGE, YES], new_object=[GARBAGE, "yes or no"])
    (frame,) = judge_pictures(judge_job(tmp_path), model).frames
    assert (frame.remainder, frame.remainder_said) == ("yes", (GARBAGE, YES))
    assert (frame.new_object, frame.new_object_said) == ("unclear", (GARBAGE, "yes or no"))
    asked = [question for _, question, _, _ in model.asked]
    assert asked[1] == STRICTER.format(question=REMAINDER_QUESTION)
    assert len(asked) == 4


def test_palette_cannot_judge(tmp_path):
    for refusal in (
        lambda: judge_pictures(judge_job(tmp_path), PaletteCaptioner()),
        lambda: check_judge(CaptionerOptions("palette")),
    ):
        with pytest.raises(InputError, match=r"--judge needs a vision-language model.*palette.*--caption_model_path"):
            refusal()
    check_judge(CaptionerOptions("vlm"))


def test_the_file_can_be_read_alone_and_back(tmp_path):
    job = judge_job(tmp_path, (4, 9), key="judge-1", model_sha256="abc")
    record = run_judge_job(job, ScriptedJudge(new_object=[GARBAGE, YES, NO]))
    assert (record["name"], record["status"], record["verdict"]) == ("final/bear", "judged", "new object")
    assert record["process"]["prefix"] == sys.prefix
    content = json.loads(job.json_path.read_text())
    assert content["schema_version"] == 1
    assert content["verdict"] == "new object"
    assert content["summary"] == record["summary"] == "something new (frame 4) seen"
    assert "no measurement" in content["note"]
    assert content["questions"]["remainder"] == REMAINDER_QUESTION
    assert content["frames"][0]["new_object_said"] == [GARBAGE, YES]
    again = read_judgement(job.json_path)
    told = (again.verdict, again.key, again.model, again.model_sha256)
    assert told == ("new object", "judge-1", "Scripted-VL-0B", "abc")
    digest = write_judgement(tmp_path / "copy.json", again)
    assert (tmp_path / "copy.json").read_bytes() == job.json_path.read_bytes()
    assert digest == record["sha256"]
    assert [path.name for path in job.json_path.parent.iterdir()] == ["judgement.json"]  # no draft is left


def changed(content: dict, **values: object) -> str:
    return json.dumps({**content, **values})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: "not json", "JSONDecodeError"),
        (lambda content: "[]", "TypeError"),
        (lambda content: changed(content, schema_version=2), "schema_version 2"),
        (lambda content: changed(content, frames=[{"index": 1}]), "KeyError"),
        (lambda content: changed(content, frames=[{**content["frames"][0], "remainder": "maybe"}]), "'maybe'"),
        (lambda content: json.dumps({k: v for k, v in content.items() if k != "model"}), "'model'"),
    ],
)
def test_a_broken_file_is_named_with_what_to_do(tmp_path, change, problem):
    path = tmp_path / "judgement.json"
    write_judgement(path, judged(("no", "no")))
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(InputError, match=rf"judgement\.json: found no judgement.*{problem}.*delete"):
        read_judgement(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"judgement\.json: not found.*--judge"):
        read_judgement(tmp_path / "judgement.json")


def test_jobs_go_through_json_by_their_kind(tmp_path):
    judge = judge_job(tmp_path, (1, 2), key="k")
    caption = CaptionJob("bear", "v", "m", "o.yaml")
    for job in (judge, caption):
        assert job_from_dict(json.loads(json.dumps(job.to_dict()))) == job
    with pytest.raises(InputError, match="kind 'sing'"):
        job_from_dict({**judge.to_dict(), "kind": "sing"})
    with pytest.raises(InputError, match=r"missing fields \['video'\], unknown fields \['sound'\]"):
        values = {name: value for name, value in judge.to_dict().items() if name != "video"}
        JudgeJob.from_dict({**values, "sound": 1})
    assert run_job(judge, ScriptedJudge())["verdict"] == "clean"  # type: ignore[arg-type]


def test_the_fingerprint_knows_the_model_and_the_questions_alone(monkeypatch):
    captioner = {"name": "vlm", "version": "1", "model": "abc", "prompts": "p", "multi_sample_merge": "longest"}
    found = judge_fingerprint(captioner)
    assert found["model"] == "abc"
    assert judge_fingerprint({**captioner, "prompts": "q", "multi_sample_merge": "summary"}) == found
    for name, value in (("model", "def"), ("max_pixels", "50176"), ("dtype", "float16"), ("device", "cuda")):
        assert judge_fingerprint({**captioner, name: value}) != found
    monkeypatch.setattr("lib.captioner.judge.FIXED_TEXTS", ("another question",))
    assert judge_fingerprint(captioner) != found


def test_judging_costs_no_heavy_import():
    code = "import sys, lib.captioner.judge; print({'torch', 'transformers', 'pydantic', 'numpy'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "set()"
