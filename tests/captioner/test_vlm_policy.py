import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from lib.captioner.backend import MAX_PIXELS, CaptionerOptions, CaptionPicture
from lib.captioner.vlm import NEUTRAL_SENTENCE, VERSION, VlmCaptioner
from lib.captioner.words.prompts import (
    FIXED_PROMPTS,
    OBJECT_SYSTEM_PROMPT,
    PROBLEMS,
    STRICTER_USER_PROMPT,
    SUMMARY_SYSTEM_PROMPT,
    SYSTEM_PROMPT,
    USER_PROMPT,
)
from lib.captioner.words.sentence import FLAGS
from lib.errors import InputError

GOOD = "A quiet stone courtyard under soft light"
RICH = "A wide stone courtyard with ivy walls, wooden benches and soft evening light"
MAN = "A stone courtyard with a man"
MAN_LEFT = "A stone courtyard"
REFUSED = "I'm sorry, I can't help with that."
CROP = np.full((20, 30, 3), 90, np.uint8)


@dataclass(frozen=True)
class Answer:
    text: str
    max_pixels: int


@dataclass(frozen=True)
class Question:
    system: str
    user: str
    shown: list
    max_new_tokens: int


class ScriptedModel:
    """Gives its answers in order and remembers the questions; more questions than answers is an error."""

    name = "Scripted-VL-0B"

    def __init__(self, *answers, max_pixels=MAX_PIXELS):
        self.left = list(answers)
        self.max_pixels = max_pixels
        self.asked = []

    def ask(self, system, user, pictures, max_new_tokens=96):
        self.asked.append(Question(system, user, list(pictures), max_new_tokens))
        return Answer(self.left.pop(0), self.max_pixels)

    def facts(self):
        return {"device": "cpu", "dtype": "float32"}


def picture(value=0, hidden=False):
    hole = np.full((8, 10), hidden)
    hole[:4] = True
    return CaptionPicture(np.full((8, 10, 3), value, np.uint8), hole, value)


def describe(model, *pictures, crop=None, **options):
    captioner = VlmCaptioner(CaptionerOptions("vlm", **options), model)
    caption = captioner.describe(list(pictures) or [picture()], crop)
    assert model.left == []  # every scripted answer was asked for
    return caption


def test_a_good_answer_is_taken_as_it_is():
    model = ScriptedModel(f"{GOOD}.")
    caption = describe(model, picture(7))
    assert (caption.text, caption.source, caption.model, caption.flags) == (GOOD, "auto_masked", "Scripted-VL-0B", ())
    assert caption.raw == (f"{GOOD}.",)
    assert caption.object_phrase == ""
    [question] = model.asked
    assert (question.system, question.user) == (SYSTEM_PROMPT, USER_PROMPT)
    assert len(question.shown) == 1
    np.testing.assert_array_equal(question.shown[0], picture(7).pixels)


def test_the_users_system_prompt_is_asked_with():
    model = ScriptedModel(MAN, GOOD)
    describe(model, system_prompt="Describe the floor.")
    assert {question.system for question in model.asked} == {"Describe the floor."}


@pytest.mark.parametrize(
    ("wrong", "flags"),
    [
        (MAN, ["living"]),
        ("A stone courtyard with a gray silhouette", ["mask"]),
        (
            ", ".join(
                f"a wall of {colour} bricks" for colour in ("red", "blue", "green", "white", "black", "pink", "gold")
            ),
            ["long"],
        ),
        ("Stone", ["short"]),
        ("一个安静的院子", ["short", "not_english"]),
        (REFUSED, ["short", "refusal"]),
    ],
)
def test_a_flagged_answer_is_asked_for_once_more(wrong, flags):
    model = ScriptedModel(wrong, GOOD)
    caption = describe(model)
    assert (caption.text, caption.source, caption.flags) == (GOOD, "auto_masked", ())
    assert caption.raw == (wrong, GOOD)
    problems = " and ".join(PROBLEMS[flag] for flag in flags)
    assert model.asked[1].user == STRICTER_USER_PROMPT.format(problems=problems)
    np.testing.assert_array_equal(model.asked[1].shown[0], model.asked[0].shown[0])


@pytest.mark.parametrize(
    ("first", "second", "text", "flags"),
    [
        (MAN, "A gray silhouette of a dog on a tiled floor", MAN_LEFT, ("living",)),  # fewer flags
        ("A gray silhouette of a dog on a tiled floor", MAN, MAN_LEFT, ("living",)),
        (MAN, "A tiled floor with a dog", MAN_LEFT, ("living",)),  # the first of equals
        ("A man", MAN, MAN_LEFT, ("living",)),  # what is left of the first is too short
        (MAN, "Stone", MAN_LEFT, ("living",)),  # as few flags, but too short
        (MAN, REFUSED, MAN_LEFT, ("living",)),
    ],
)
def test_of_two_flagged_answers_the_better_is_salvaged(first, second, text, flags):
    caption = describe(ScriptedModel(first, second))
    assert (caption.text, caption.source, caption.flags) == (text, "auto_masked", flags)


def test_without_anything_to_salvage_the_sentence_is_neutral():
    caption = describe(ScriptedModel(REFUSED, ""))
    assert (caption.text, caption.source, caption.flags) == (NEUTRAL_SENTENCE, "fallback", ("short",))
    assert caption.raw == (REFUSED, "")


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ((GOOD, RICH, GOOD), RICH),
        ((RICH, RICH.replace("wide", "vast"), GOOD), RICH),  # the earlier of equals
        (("A quiet quiet, quiet courtyard of the stone", GOOD), GOOD),  # different words count
    ],
)
def test_the_most_descriptive_sentence_is_chosen(answers, text):
    caption = describe(ScriptedModel(*answers), *(picture(index) for index in range(len(answers))))
    assert caption.text == text
    assert caption.raw == answers


def test_an_unflagged_sentence_beats_a_richer_flagged_one():
    salvaged = f"{RICH}, with a man"
    caption = describe(ScriptedModel(salvaged, salvaged, GOOD), picture(1), picture(2))
    assert (caption.text, caption.flags) == (GOOD, ())
    caption = describe(ScriptedModel("", "", salvaged, salvaged), picture(1), picture(2))
    assert (caption.text, caption.source, caption.flags) == (RICH, "auto_masked", ("living",))


def test_frames_without_visible_pixels_are_not_asked_about():
    caption = describe(ScriptedModel(GOOD), picture(1, hidden=True), picture(2))
    assert (caption.text, caption.source, caption.flags) == (GOOD, "auto_masked", ())


def test_nothing_visible_is_never_asked_about():
    caption = describe(ScriptedModel(), picture(hidden=True), picture(hidden=True))
    assert (caption.text, caption.source) == (NEUTRAL_SENTENCE, "fallback")
    assert (caption.flags, caption.raw) == (("no_visible_pixels",), ())


def test_a_summary_is_asked_for_in_words_only():
    merged = "A quiet stone courtyard with ivy walls and benches"
    model = ScriptedModel(GOOD, RICH, f'"{merged}."')
    caption = describe(model, picture(1), picture(2), multi_sample_merge="summary")
    assert (caption.text, caption.flags) == (merged, ())
    question = model.asked[-1]
    assert question.system == SUMMARY_SYSTEM_PROMPT
    assert question.shown == []
    assert f"- {GOOD}\n- {RICH}\n" in question.user


@pytest.mark.parametrize("useless", ["", REFUSED, "A courtyard with a man and ivy on stone walls", "Stone courtyard"])
def test_a_useless_summary_gives_way_to_the_most_descriptive(useless):
    caption = describe(ScriptedModel(GOOD, RICH, useless), picture(1), picture(2), multi_sample_merge="summary")
    assert (caption.text, caption.flags) == (RICH, ())
    assert caption.raw[-1] == useless


def test_faulty_frames_stay_out_of_a_summary():
    model = ScriptedModel(GOOD, RICH, MAN, MAN, "A stone courtyard with benches")
    describe(model, picture(1), picture(2), picture(3), multi_sample_merge="summary")
    assert MAN_LEFT + "\n" not in model.asked[-1].user


def test_a_summary_of_faulty_frames_keeps_their_flags():
    model = ScriptedModel(MAN, MAN, "A tiled floor with a dog", "A dog on a tiled floor", "A tiled stone courtyard")
    caption = describe(model, picture(1), picture(2), multi_sample_merge="summary")
    assert (caption.text, caption.flags) == ("A tiled stone courtyard", ("living",))


def test_equal_sentences_need_no_summary():
    assert describe(ScriptedModel(GOOD, GOOD), picture(1), picture(2), multi_sample_merge="summary").text == GOOD


def test_the_object_is_named_from_its_crop():
    model = ScriptedModel(GOOD, "A brown bear.")
    caption = describe(model, crop=CROP)
    assert (caption.text, caption.object_phrase, caption.flags) == (GOOD, "brown bear", ())
    assert caption.raw == (GOOD, "A brown bear.")
    question = model.asked[-1]
    assert question.system == OBJECT_SYSTEM_PROMPT
    assert question.max_new_tokens < 96
    np.testing.assert_array_equal(question.shown[0], CROP)


@pytest.mark.parametrize("answer", ["", "unknown", REFUSED, "熊"])
def test_an_unnamed_object_is_flagged(answer):
    caption = describe(ScriptedModel(GOOD, answer), crop=CROP)
    assert (caption.text, caption.object_phrase, caption.flags) == (GOOD, "", ("object_unnamed",))


def test_an_empty_crop_is_not_asked_about():
    caption = describe(ScriptedModel(GOOD), crop=np.empty((0, 0, 3), np.uint8))
    assert (caption.object_phrase, caption.flags) == ("", ("object_unnamed",))


def test_the_object_of_a_wholly_hidden_scene_is_still_named():
    caption = describe(ScriptedModel("bear"), picture(hidden=True), crop=CROP)
    assert (caption.source, caption.object_phrase, caption.flags) == ("fallback", "bear", ("no_visible_pixels",))


def test_smaller_pictures_than_asked_for_are_flagged():
    assert describe(ScriptedModel(GOOD, max_pixels=4096)).flags == ("small_picture",)
    assert describe(ScriptedModel(GOOD, max_pixels=4096), max_pixels=4096).flags == ()
    both = describe(ScriptedModel(MAN, MAN, "unknown", max_pixels=4096), crop=CROP)
    assert both.flags == ("living", "small_picture", "object_unnamed")


def test_facts_name_captioner_and_model():
    captioner = VlmCaptioner(CaptionerOptions("vlm"), ScriptedModel())
    assert captioner.facts() == {"name": "Scripted-VL-0B", "version": VERSION, "device": "cpu", "dtype": "float32"}
    assert captioner.name == "Scripted-VL-0B"


def test_an_unknown_merge_is_named():
    with pytest.raises(InputError, match=r"'best'.*longest.*summary"):
        VlmCaptioner(CaptionerOptions("vlm", multi_sample_merge="best"), ScriptedModel())


def test_every_flag_has_its_words_and_every_prompt_is_in_the_key():
    assert tuple(PROBLEMS) == FLAGS
    assert {USER_PROMPT, STRICTER_USER_PROMPT, SUMMARY_SYSTEM_PROMPT, OBJECT_SYSTEM_PROMPT} <= set(FIXED_PROMPTS)


def test_the_policy_costs_no_heavy_import():
    code = "import sys, lib.captioner.vlm; print({'torch', 'transformers', 'pydantic', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
