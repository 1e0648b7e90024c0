"""Pictures and stand-ins for the tests of judging."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lib.captioner.judge_job import JudgedPictures, JudgeJob
from lib.captioner.judge_questions import NEW_OBJECT_QUESTION, REMAINDER_QUESTION

YES, NO = "Yes, a dark trace of a dog.", "No, only grass."
BEFORE, AFTER = (200, 30, 30), (30, 160, 30)


class ScriptedJudge:
    """Answers each question by its script, in order, the last answer again and again; remembers what it was asked."""

    name = "Scripted-VL-0B"

    def __init__(self, remainder: Sequence[str] = (NO,), new_object: Sequence[str] = (NO,)) -> None:
        self.scripts = {REMAINDER_QUESTION: list(remainder), NEW_OBJECT_QUESTION: list(new_object)}
        self.asked: list[tuple[str, str, list[np.ndarray], int]] = []

    def facts(self) -> dict[str, str]:
        return {"device": "cpu"}

    def answer(self, system: str, question: str, pictures: Sequence[np.ndarray], max_new_tokens: int) -> str:
        self.asked.append((system, question, list(pictures), max_new_tokens))
        script = next(script for start, script in self.scripts.items() if question.startswith(start))
        return script.pop(0) if len(script) > 1 else script[0]


def judge_job(folder: Path, frames: Sequence[int] = (4,), **values: str) -> JudgeJob:
    """A job on plain pictures: red before, green after."""
    pictures = []
    folder.mkdir(parents=True, exist_ok=True)
    for index in frames:
        paths = [folder / f"{kind}_{index}.png" for kind in ("before", "after")]
        for path, colour in zip(paths, (BEFORE, AFTER), strict=True):
            Image.new("RGB", (96, 64), colour).save(path)
        pictures.append(JudgedPictures(index, str(paths[0]), str(paths[1]), f"judged/{index:06d}.jpg"))
    given = {"name": "final/bear", "video": "bear", "output_json": str(folder / "out" / "judgement.json"), **values}
    return JudgeJob(pictures=tuple(pictures), **given)
