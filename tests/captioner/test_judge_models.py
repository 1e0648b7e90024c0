"""Judging by tiny models that load through the real classes, here and in a process of their own."""

import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from judge_support import NO, YES, judge_job
from PIL import Image
from tiny_vlms import write_tiny_vlm
from vlm_support import VLM_FAMILIES, VLM_SENTENCE, options

from lib.captioner.backend import load_captioner
from lib.captioner.judge import judge_pictures, read_judgement
from lib.captioner.resident_client import CaptionError, ResidentCaptioner
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
HEARD = {"is a remainder of it": YES, "has anything new been added": NO}


@pytest.fixture(scope="module")
def sharp_model(tmp_path_factory) -> Path:
    """It finds a remainder and nothing new, whatever it is shown."""
    return write_tiny_vlm(tmp_path_factory.mktemp("models") / "Sharp-VL", says=VLM_SENTENCE, answers=HEARD)


def test_a_model_that_answers_each_question(sharp_model, tmp_path):
    judgement = judge_pictures(judge_job(tmp_path, (3, 7)), load_captioner(options(sharp_model)))
    assert judgement.verdict == "remainder"
    assert judgement.summary == "a remainder of the object (frames 3, 7) seen"
    assert judgement.model == "Sharp-VL"
    assert [(frame.remainder_said, frame.new_object_said) for frame in judgement.frames] == [((YES,), (NO,))] * 2
    assert {"device", "dtype", "torch", "transformers"} <= judgement.facts.keys()


@pytest.mark.parametrize("family", VLM_FAMILIES)
def test_every_family_takes_two_pictures_and_garbage_is_unclear(tiny_vlm, tmp_path, family):
    job = judge_job(tmp_path)
    (frame,) = judge_pictures(job, load_captioner(options(tiny_vlm(family)))).frames
    assert (frame.remainder, frame.new_object) == ("unclear", "unclear")
    assert frame.remainder_said == frame.new_object_said == (VLM_SENTENCE, VLM_SENTENCE)


def test_a_model_sees_both_pictures(tiny_vlm, tmp_path):
    """Random weights: other pictures give other words, be it the first or the second that is another one."""
    captioner = load_captioner(options(tiny_vlm(says=None)))
    job = judge_job(tmp_path)
    paths = [tmp_path / f"{value}.png" for value in (0, 60, 120, 180, 240)]
    for path in paths:
        Image.new("RGB", (96, 64), (int(path.stem), 255 - int(path.stem), 90)).save(path)

    def said(before: Path, after: Path) -> tuple[str, ...]:
        shown = replace(job.pictures[0], before=str(before), after=str(after))
        return judge_pictures(replace(job, pictures=(shown,)), captioner).frames[0].remainder_said

    assert len({said(path, paths[0]) for path in paths}) > 1
    assert len({said(paths[0], path) for path in paths}) > 1


def test_a_resident_model_judges_and_captions(sharp_model, job, tmp_path):
    with ResidentCaptioner(Path(sys.executable), ROOT, options(sharp_model)) as resident:
        judged = judge_job(tmp_path / "judge", key="judge-1")
        record = resident.ask(judged.to_dict(), timeout=120)
        assert (record["status"], record["verdict"]) == ("judged", "remainder")
        assert record["process"]["pid"] == resident.ready["pid"] != os.getpid()
        assert read_judgement(judged.json_path).key == "judge-1"
        assert resident.ask(job.to_dict(), timeout=120)["status"] == "written"
        assert resident.starts == 1


def test_a_crash_costs_one_judgement(sharp_model, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    good = judge_job(tmp_path / "good")
    (pictures,) = good.pictures
    endless = replace(good, name="final/endless", pictures=(replace(pictures, after=str(pipe)),))
    with ResidentCaptioner(Path(sys.executable), ROOT, options(sharp_model)) as resident:
        resident.ask(good.to_dict(), timeout=120)
        threading.Timer(0.3, os.kill, (resident.ready["pid"], signal.SIGKILL)).start()
        with pytest.raises(CaptionError, match=r"'final/endless'.*signal 9 \(SIGKILL\)"):
            resident.ask(endless.to_dict(), timeout=120)
        assert resident.ask(good.to_dict(), timeout=120)["status"] == "judged"
        assert resident.starts == 2


def test_a_resident_palette_says_that_it_cannot_judge(tmp_path):
    with (
        ResidentCaptioner(Path(sys.executable), ROOT) as resident,
        pytest.raises(InputError, match="--judge needs a vision-language model"),
    ):
        resident.ask(json.loads(json.dumps(judge_job(tmp_path).to_dict())), timeout=60)
