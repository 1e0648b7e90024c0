import pytest

from lib.captioner.judge_questions import (
    FIXED_TEXTS,
    NEW_OBJECT_QUESTION,
    REMAINDER_QUESTION,
    SYSTEM_PROMPT,
    read_answer,
)

WRAPPINGS = (
    "{}",
    "{}.",
    "{}, a dark trace of the dog",
    "**{}** - a wheel.",
    '"{}"',
    "1. {}",
    "Answer: {}",
    "The answer is {}, a leg.",
    "My final answer: **{}**.",
    "In the second image: {}, a foot.",
    '{{"answer": "{}", "seen": "a foot"}}',
    '```json\n{{"answer": "{}"}}\n```',
    "<think>Is it a no? Or is it a yes? No.</think>{}, a foot.",
    "It is a no. Or a yes.</think>\n{}",
    "\\boxed{{{}}}",
    "{}<|im_end|>",
    "I looked at the grass. So the answer is {}.",
    "The grass goes on inside the line.\n{}",
)


@pytest.mark.parametrize("said", ["yes", "no"])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_yes_and_a_no_are_found_in_many_wrappings(wrapping, said):
    for word in (said, said.upper(), said.capitalize()):
        assert read_answer(wrapping.format(word)) == said


def test_a_sentence_with_no_in_front_is_a_no():
    assert read_answer("No remainder is visible.") == "no"
    assert read_answer("No.") == read_answer("No, there is none, yes") == "no"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A quiet stone courtyard under soft light",
        "Yes or no",
        "yes/no",
        "Yes and no, it depends.",
        "No doubt a leg is left.",
        "No idea.",
        "Nothing is visible.",
        "Yesterday's light",
        "Not that I can see",
        "I cannot say whether yes or no",
        "<think>Yes, there is",
        "I'm sorry, I can't help with that.",
        "是的",
    ],
)
def test_anything_else_is_unclear(text):
    assert read_answer(text) == "unclear"


def test_questions_can_be_told_apart_and_are_in_the_key():
    assert {SYSTEM_PROMPT, REMAINDER_QUESTION, NEW_OBJECT_QUESTION} < set(FIXED_TEXTS)
    assert REMAINDER_QUESTION != NEW_OBJECT_QUESTION
    for question in (REMAINDER_QUESTION, NEW_OBJECT_QUESTION):
        assert "second image" in question
        assert "magenta line" in question
