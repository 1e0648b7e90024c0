"""Pools, deployments and automations: what can be tested without a server; the rest is in test_box_story.py."""

import sys

import pytest
import yaml
from embedded_support import ROOT

from deployments import AUTOMATIONS, GPU_POOL, SHARD_POOL, server_setup
from deployments.automations import _automations
from deployments.server_setup import deploy_environment, main
from lib.settings import AutoRefineSettings
from lib.settings.inbox import InboxSettings


def test_without_a_server_it_says_what_to_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert main([]) == 2
    assert "PREFECT_API_URL is not set" in capsys.readouterr().err


def test_folders_are_those_of_the_box_or_below_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(server_setup, "PROJECT_ROOT", tmp_path)
    env = deploy_environment({"AUTO_REFINE_INBOX": "/srv/inbox", "AUTO_REFINE_OUTBOX": ""})
    assert env["AUTO_REFINE_INBOX"] == "/srv/inbox"
    assert env["AUTO_REFINE_OUTBOX"] == str(tmp_path / "outbox")
    assert env["AUTO_REFINE_CAPTION_PYTHON"] == sys.executable
    python = tmp_path / ".venv-caption" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert deploy_environment({})["AUTO_REFINE_CAPTION_PYTHON"] == str(python)


def test_prefect_yaml_fits_the_settings():
    """What it presets must be valid as soon as a person has added the rest."""
    deployments = {d["name"]: d for d in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    InboxSettings.model_validate(deployments["auto-refine-nightly"]["parameters"]["settings"])
    preset = deployments["auto-refine"]["parameters"]["settings"]
    one = {"input_video": "v.mp4", "input_mask": "m.png"}
    AutoRefineSettings.model_validate({**preset, "input_output": {**preset["input_output"], **one}})
    assert {d["work_pool"]["name"] for d in deployments.values()} == {GPU_POOL, SHARD_POOL, "caption-pool"}


def test_only_what_people_start_is_run_again_by_itself():
    by_name = {automation.name: automation for automation in _automations()}
    assert tuple(by_name) == AUTOMATIONS
    rerun = by_name[AUTOMATIONS[-1]].trigger.model_dump(mode="json")
    assert rerun["match"]["prefect.run-count"] == "1"
    assert rerun["match_related"]["prefect.resource.name"] == ["auto-refine", "auto-refine-nightly", "remove", "study"]
