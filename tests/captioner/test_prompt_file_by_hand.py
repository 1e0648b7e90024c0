"""Prompt files as people, editors and crashes leave them."""

import errno
import os
from pathlib import Path

import pytest

from lib.captioner.prompt_file import (
    PromptFields,
    existing_prompt,
    is_edited,
    is_ours,
    load_prompt_mapping,
    write_prompt_file,
    written_key,
)
from lib.captioner.schema import read_prompt_file
from lib.errors import InputError

FIELDS = PromptFields("A gray wall", "fog", 2.0, "auto_palette", "palette", "2026-02-09", (0,), "/v.mp4", "/m")
HAND_MADE = [  # content, the sentence it says ("" = none: captioned afresh) or what the refusal says
    (b"", ""),
    (b" \r\n\n", ""),
    (b"\xef\xbb\xbf", ""),
    (b"# prompt: a park\n# to do\n", ""),
    (b"---\n...\n", ""),
    (b"prompt:\n", ""),
    (b"prompt: ~\nn_prompt: fog\n", ""),
    (b"prompt: []", ""),
    (b"prompt: ['']", ""),
    (b"{}", ""),
    (b"prompt: a park", "a park"),
    (b"prompt: 'a park'\r\ntext_guidance_scale: 3\r\n", "a park"),
    (b"prompt: a park\rn_prompt: fog\r", "a park"),
    (b"\xef\xbb\xbfprompt:\n  - a park\n", "a park"),
    (b"prompt: >\n  a park\n", "a park"),
    (b"prompt: a park\ntext_guidance_scale: .nan", "a park"),
    (b"prompt: [a park, a second]", "a park"),
    (b'prompt:\n  - "a pa', r"line 2, column \d+: not valid YAML"),
    (b"prompt:\n  - a pa\nn_pro", "line 3.*not valid YAML"),
    (b"prompt:\n\t- a park", "line 2, column 1: not valid YAML"),
    (b"- a park", "found a list; expected a mapping"),
    (b"a park", "found a str; expected a mapping"),
    (b"7", "found a int; expected a mapping"),
    (b"prompt: 7", "prompt is 7; expected a string or a list of strings"),
    (b"prompt: [a park, 7]", r"prompt is \['a park', 7\]; expected a string"),
    (b"prompt: .nan", "prompt is nan; expected a string"),
    (b"prompt: yes", "prompt is True; expected a string"),
    (b"prompt: {a: park}", "prompt is .*; expected a string"),
    (b"prompt: {a park}", "prompt is .*; expected a string"),
    (b"prompt: 2026-02-09", "prompt is datetime.*; expected a string"),
    (b"prompt: 2026-99-99", "not valid YAML"),
    (b'prompt: !!int ""', "not valid YAML"),
    (b'prompt: !!bool "maybe"', "not valid YAML"),
    (b'prompt: !!timestamp "soon"', "not valid YAML"),
    (b"prompt: " + b"9" * 5000, "not valid YAML|prompt is 9"),
    (b"prompt: " + b"[" * 600, "not valid YAML"),
    (b"? [a]\n: b", "not valid YAML"),
    (b"prompt: a\n---\nprompt: b", "not valid YAML"),
    (b"prompt: *park", "not valid YAML"),
    (b"prompt: a\x00park", "not valid YAML"),
    ("prompt: ein Café".encode("latin-1"), "byte 15 that is not UTF-8; save the file as UTF-8"),
    ("prompt: a park".encode("utf-16"), "byte 0 that is not UTF-8"),
    (b"\x89PNG\r\n\x1a\n\x00", "not UTF-8"),
]


@pytest.mark.parametrize(("content", "said"), HAND_MADE)
def test_hand_made_files_are_read_or_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "bear.yaml"
    path.write_bytes(content)
    if said in {"", "a park"}:
        assert existing_prompt(path) == said
        load_prompt_mapping(path)
    else:
        with pytest.raises(InputError, match=said) as error:
            existing_prompt(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    try:
        read_prompt_file(path)
    except InputError as error:
        assert "\n" not in str(error)
    assert not is_ours(path)
    assert is_edited(path) == (said != "")
    assert path.read_bytes() == content


def _folder(path):
    path.mkdir()


def _link_to_nothing(path):
    path.symlink_to(path.with_name("gone") / "bear.yaml")


def _link_to_itself(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("lay", "said"),
    [
        (_folder, "found a folder"),
        (os.mkfifo, "found a device or pipe"),
        (_link_to_nothing, "is a link to .*gone/bear.yaml, which is not there"),
        (_link_to_itself, "cannot be read .*symbolic link"),
    ],
)
def test_what_is_no_file_is_refused_and_left_alone(tmp_path, lay, said):
    path = tmp_path / "bear.yaml"
    lay(path)
    for use in (existing_prompt, load_prompt_mapping, read_prompt_file, lambda path: write_prompt_file(path, FIELDS)):
        with pytest.raises(InputError, match=said):
            use(path)
    assert not is_ours(path)
    assert is_edited(path)
    assert [item.name for item in tmp_path.iterdir()] == ["bear.yaml"]
    assert not path.is_file()


def test_a_file_without_rights_and_one_below_a_file_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "bear.yaml"
    path.write_text("prompt: a park")
    with pytest.raises(InputError, match=r"cannot be read \(Not a directory\)"):
        existing_prompt(path / "below.yaml")

    def refuse(_path, _mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", refuse)  # tests may run as root, whom no rights stop
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\); check its rights"):
        existing_prompt(path)
    assert not is_ours(path)


def test_a_link_to_a_file_stays_a_link(tmp_path):
    path, target = tmp_path / "cache" / "bear.yaml", tmp_path / "kept" / "prompts.yaml"
    target.parent.mkdir()
    target.write_text("")
    path.parent.mkdir()
    path.symlink_to(target)
    write_prompt_file(path, FIELDS, "key")
    assert not is_edited(path)
    assert path.is_symlink()
    assert existing_prompt(target) == FIELDS.prompt
    assert written_key(path) == "key"


def test_a_half_written_file_says_the_whole_prompt_or_none_or_is_refused(tmp_path):
    path = tmp_path / "bear.yaml"
    write_prompt_file(path, FIELDS)
    whole = path.read_bytes()
    said = set()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        try:
            said.add(existing_prompt(path))
        except InputError as error:
            said.add("refused")
            assert "\n" not in str(error)
    assert said == {"", "refused", FIELDS.prompt}
