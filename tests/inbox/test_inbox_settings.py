from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.command_line import parse
from lib.settings import AutoRefineSettings
from lib.settings.inbox import Inbox, InboxSettings

FOLDERS = {"inbox": "in", "outbox": "out"}


def test_it_has_the_groups_of_auto_refine_but_for_its_inputs():
    ours = {name: field.annotation for name, field in InboxSettings.model_fields.items()}
    theirs = {name: field.annotation for name, field in AutoRefineSettings.model_fields.items()}
    assert {**ours, "input_output": theirs["input_output"]} == {**theirs, "inbox": Inbox}


def test_the_run_gets_what_was_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = {"inbox": FOLDERS, "engine": {"engine": "propagation"}, "execution": {"gpus": [0, 2], "shards": 2}}
    settings = InboxSettings.model_validate(said).with_absolute_paths()
    run = settings.run_settings(["bear", "bus"])
    assert run.input_output.video_names == ("bear", "bus")
    assert run.input_output.dataset == "inbox"
    assert (run.input_output.video_root, run.output_dir) == (tmp_path / "in", tmp_path / "out")
    assert settings.output_dir == Path(tmp_path / "out")
    assert (run.engine.engine, run.execution.gpus, run.execution.shards) == ("propagation", (0, 2), 2)


def test_links_are_followed_only_on_demand():
    words = ["--inbox", "in", "--outbox", "out"]
    assert not parse(words, InboxSettings)[0].inbox.follow_links
    assert parse([*words, "--follow_links"], InboxSettings)[0].inbox.follow_links


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"inbox": {"inbox": "box", "outbox": "box/out"}}, "lies in the inbox"),
        ({"inbox": {"inbox": "box", "outbox": "box"}}, "lies in the inbox"),
        ({"inbox": {"inbox": "~nobody-of-that-name/in", "outbox": "out"}}, "found no home folder for ~nobody-of"),
        ({"inbox": FOLDERS, "engine": {"engine": "propagation"}, "anchor": {"anchor_method": "sd-inpaint"}}, "anchor"),
        ({"inbox": {**FOLDERS, "max_attempts": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused_at_once(said, problem):
    with pytest.raises(ValidationError, match=problem):
        InboxSettings.model_validate(said)
