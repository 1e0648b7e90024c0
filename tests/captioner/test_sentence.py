import random
import re
import unicodedata

import pytest
from raw_captions import RAW_CAPTIONS, RAW_OBJECTS

from lib.captioner.words.prompts import SYSTEM_PROMPT
from lib.captioner.words.sentence import (
    FLAGS,
    MAX_OBJECT_WORDS,
    MAX_WORDS,
    MIN_WORDS,
    clean_object_phrase,
    clean_sentence,
)


@pytest.mark.parametrize(("raw", "text", "flags"), RAW_CAPTIONS)
def test_answers_become_sentences(raw, text, flags):
    sentence = clean_sentence(raw)
    assert (sentence.text, sentence.flags) == (text, flags)


@pytest.mark.parametrize(("raw", "phrase"), RAW_OBJECTS)
def test_answers_become_object_phrases(raw, phrase):
    assert clean_object_phrase(raw) == phrase


def test_the_table_knows_every_flag():
    assert {flag for _, _, flags in RAW_CAPTIONS for flag in flags} == set(FLAGS)
    assert len(RAW_CAPTIONS) >= 80


def test_examples_of_the_system_prompt_pass_unchanged():
    examples = re.findall(r'^- "(.*)"$', SYSTEM_PROMPT, re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        assert clean_sentence(example).text == example
        assert clean_sentence(example).flags == ()


def check_is_a_sentence(raw):
    sentence = clean_sentence(raw)
    text = sentence.text
    assert len(text.split()) <= MAX_WORDS
    assert len(text.splitlines()) <= 1
    assert not text.endswith(".")
    assert text == text.strip()
    if text and text[0].isascii():
        assert not text[0].islower()
    text.encode()  # no lone surrogates
    assert list(sentence.flags) == [flag for flag in FLAGS if flag in sentence.flags]
    assert ("short" in sentence.flags) == (len(text.split()) < MIN_WORDS) == (not sentence.usable)
    assert clean_sentence(text).text == text


@pytest.mark.parametrize("seed", range(60))
def test_pieces_of_answers_in_any_order_make_a_sentence(seed):
    rng = random.Random(seed)
    words = " ".join(raw for raw, _, _ in RAW_CAPTIONS).split(" ")
    glue = ["", " ", ", ", ". ", "\n", "\n\n", "\n- ", " and ", " with ", '"', "**", "<think>", "</think>", "(", "'s "]
    for _ in range(20):
        check_is_a_sentence("".join(rng.choice(words) + rng.choice(glue) for _ in range(rng.randrange(60))))


@pytest.mark.parametrize("seed", range(60))
def test_any_characters_make_a_sentence(seed):
    rng = random.Random(seed)
    low = "".join(chr(code) for code in range(0x250))
    for _ in range(20):
        anything = "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(40)))
        latin = "".join(rng.choice(low + " .,\n" * 30) for _ in range(rng.randrange(120)))
        check_is_a_sentence(anything + latin)
        phrase = clean_object_phrase(latin + anything)
        assert len(phrase.split()) <= MAX_OBJECT_WORDS
        assert len(phrase.splitlines()) <= 1


def test_every_case_pair_of_letters_can_come_first():
    for code in range(0x2000):
        letter = chr(code)
        if unicodedata.category(letter) == "Ll":
            check_is_a_sentence(f"{letter} wall with ivy and moss")


def test_a_very_long_answer_is_quick_to_clean():
    check_is_a_sentence("the gray region and a man with a dog in the park, " * 2000)
    check_is_a_sentence("a " * 20000)
    check_is_a_sentence("(" * 5000 + "[" * 5000 + "<" * 5000)
