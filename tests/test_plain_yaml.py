"""YAML that is meant to take long, to become large, or to fill a terminal."""

import time
import tracemalloc

import pytest

from lib.captioner.prompt_file import existing_prompt, is_edited, load_prompt_mapping
from lib.captioner.schema import read_prompt_file
from lib.errors import InputError
from lib.plain_yaml import MOST_BYTES, MOST_LEVELS, MOST_VALUES, line_of, parse_yaml, read_bounded, shown

LAUGHS = "a: &a [ha, ha]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
PROMPT_LAUGHS = LAUGHS + "prompt: *i\n"
HOSTILE = [
    (PROMPT_LAUGHS, "aliases are not taken"),
    ("a: &a [*a]\nprompt: *a\n", "aliases are not taken"),
    ("a: &a {x: y}\n<<: *a\nprompt: b\n", "aliases are not taken"),
    ("prompt: " + "[" * 5000, f"more than {MOST_LEVELS} lists or mappings in each other"),
    ("prompt: a\nx: " + "{a: " * 5000, f"more than {MOST_LEVELS}"),
    ("- " * 5000, f"more than {MOST_LEVELS}"),
    ("? " * 5000, f"more than {MOST_LEVELS}"),
    ("prompt: [" + "a," * MOST_VALUES + "a]", f"more than {MOST_VALUES} values"),
    ("prompt: 0x" + "f" * 5000, "a number of more than 300 digits"),
    ("0x" + "f" * 900 + ": a", "a number of more than 300 digits"),
    ("prompt: " + ":".join(["1"] * 50_000), "a number of more than 300 digits"),
    ("prompt: a\n" + "#" * MOST_BYTES, "more than 128 KiB"),
]


@pytest.mark.parametrize(("text", "said"), HOSTILE, ids=[said for _, said in HOSTILE])
def test_a_hostile_prompt_file_is_refused_in_one_short_line(tmp_path, text, said):
    path = tmp_path / "bear.yaml"
    path.write_text(text)
    for read in (existing_prompt, load_prompt_mapping, read_prompt_file):
        with pytest.raises(InputError, match=said) as refused:
            read(path)
        message = str(refused.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        assert len(message.removeprefix(str(path))) < 300
    assert is_edited(path)  # never overwritten unasked


def test_a_billion_laughs_fail_at_once_and_take_no_memory(tmp_path):
    path = tmp_path / "bear.yaml"
    path.write_text(PROMPT_LAUGHS)
    assert path.stat().st_size < 400
    with pytest.raises(InputError):
        existing_prompt(path)
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(InputError):
        existing_prompt(path)
    seconds, (_, most) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.1
    assert most < 1_000_000


def test_a_file_that_never_ends_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "bear.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="more than 128 KiB"):
        read_bounded(path)


def test_what_lies_within_the_bounds_is_read(tmp_path):
    nested = "[" * (MOST_LEVELS - 1) + "]" * (MOST_LEVELS - 1)
    text = f"deep: {nested}\nmany: [{'a,' * (MOST_VALUES - MOST_LEVELS - 4)}]\n"
    said = parse_yaml(tmp_path, text.encode(), "mend it")
    assert len(said["many"]) == MOST_VALUES - MOST_LEVELS - 4
    with pytest.raises(InputError):
        parse_yaml(tmp_path, text.replace("[[", "[[[", 1).replace("]]", "]]]", 1).encode(), "mend it")
    anchored = parse_yaml(tmp_path, b"prompt: &name a park\nseed: 0x10\nlarge: -0x" + b"f" * 200, "mend it")
    assert anchored == {"prompt": "a park", "seed": 16, "large": -(16**200 - 1)}


def test_a_line_is_found_or_is_not():
    assert line_of(b"# note\na: 1\nprompt: x\n", "prompt") == 3
    assert line_of(b"a: 1\n", "prompt") is None
    assert line_of(b"- a\n", "a") is None
    assert line_of(LAUGHS.encode(), "c") is None


def test_what_a_message_shows_is_one_short_line_without_control_characters(tmp_path):
    long_text = "x" * 5000
    assert len(shown([long_text])) == 120
    assert shown("two\nlines \x1b[31m") == r"'two\nlines \x1b[31m'"
    with pytest.raises(InputError) as refused:
        parse_yaml(tmp_path, f"prompt: !<tag:{long_text}> a".encode(), "mend it")
    assert len(str(refused.value)) < 300
    path = tmp_path / "bear.yaml"
    path.write_text(f"prompt: [7, {long_text}]")
    for read in (existing_prompt, read_prompt_file):
        with pytest.raises(InputError, match=r"prompt is \[7, 'xxx.*…; expected") as refused:
            read(path)
        assert len(str(refused.value).removeprefix(str(path))) < 300
