"""Nights over an inbox, in this process: what is taken, what is left, what is told."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from embedded_support import ROOT, run_command
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.flow_engine import run_flow as run_flow_run
from prefect.states import AwaitingRetry, Running
from tests_support import moving_square, write_frames

from flows import inbox as inbox_flow
from flows.command_line import parse
from flows.inbox import auto_refine_inbox
from flows.inbox_program import main
from lib.errors import InputError
from lib.inbox.ledger import Ledger, open_ledger
from lib.settings.inbox import InboxSettings


class Nights:
    def __init__(self, root: Path) -> None:
        self.inbox, self.outbox = root / "inbox", root / "outbox"
        self.inbox.mkdir()
        self.words = ["--inbox", str(self.inbox), "--outbox", str(self.outbox), "--engine", "propagation"]
        self.words += ["--settle_seconds", "0", "--task_retries", "0"]

    def add(self, name: str, *, usable: bool = True) -> None:
        clip, masks = moving_square(seed=len(name), frames=4, height=48, width=64)
        write_frames(self.inbox / name / "video", clip)
        write_frames(self.inbox / name / "mask", masks if usable else np.zeros_like(masks))

    def night(self, *words: str) -> State[Any]:
        settings, _ = parse([*self.words, *words], InboxSettings)
        return auto_refine_inbox(settings, return_state=True)

    def again(self, state: State[Any]) -> State[Any]:
        """Run the same flow run once more, as a worker does after a retry from the UI."""
        with get_client(sync_client=True) as client:
            assert state.state_details.flow_run_id
            client.set_flow_run_state(state.state_details.flow_run_id, AwaitingRetry(), force=True)
            run = client.read_flow_run(state.state_details.flow_run_id)
        parameters = {"settings": parse(self.words, InboxSettings)[0]}
        return cast(State[Any], run_flow_run(auto_refine_inbox, run, parameters=parameters, return_type="state"))

    def taken(self) -> list[str]:
        """The videos of the last night in which something was done."""
        return [video["name"] for video in json.loads((self.outbox / "summary.json").read_text())["videos"]]

    def ledger(self) -> dict[str, tuple[str, int]]:
        videos = json.loads((self.outbox / ".prefect" / "inbox.json").read_text())["videos"]
        return {name: (entry["status"], entry["attempts"]) for name, entry in videos.items()}

    def reports(self) -> list[Path]:
        return sorted((self.outbox / "reports").glob("*.html"))


@pytest.fixture
def nights(inline: None, tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_each_night_takes_what_is_new(nights):
    assert nights.night().message == "nothing new: the inbox is empty"
    assert nights.reports() == []
    nights.add("bear")
    (nights.inbox / "bus").mkdir()
    (nights.inbox / "bus" / "video.mp4.part").write_bytes(b"half")
    state = nights.night()
    assert state.is_completed()
    assert state.message == "1 of 1 videos have a result; 1 still being copied"
    assert (nights.outbox / "final" / "bear" / "propagation.mp4").is_file()
    page = nights.reports()[0].read_text()
    assert "../final/bear/propagation.mp4" in page
    assert "video.mp4.part is a half copy" in page
    assert "<dt>--engine</dt><dd>propagation</dd>" in page
    assert nights.night().message == "nothing new: 1 still being copied, 1 done before"
    assert len(nights.reports()) == 1
    nights.add("camel")
    assert nights.night().is_completed()
    assert nights.taken() == ["camel"]
    assert nights.ledger() == {"bear": ("done", 0), "camel": ("done", 0)}


def test_a_video_that_fails_stops_no_other_and_is_tried_on_three_nights(nights):
    nights.add("bear")
    nights.add("broken", usable=False)
    for night in (1, 2, 3):
        state = nights.night()
        assert state.is_failed()
        assert state.message == f"1 of {2 if night == 1 else 1} videos failed: broken"
        assert nights.ledger() == {"bear": ("done", 0), "broken": ("failed", night)}
    state = nights.night()
    assert state.is_completed()
    assert state.message == "nothing new: 1 given up, 1 done before"
    shutil.rmtree(nights.inbox / "broken")
    nights.add("broken")
    assert nights.night().is_completed()
    assert nights.taken() == ["broken"]


def test_a_night_that_is_run_again_does_only_what_failed(nights):
    nights.add("bear")
    nights.add("broken", usable=False)
    first = nights.night()
    again = nights.again(first)
    assert again.is_failed()
    assert again.message == "1 of 1 videos failed: broken"
    assert nights.taken() == ["broken"]
    assert nights.ledger() == {"bear": ("done", 0), "broken": ("failed", 2)}
    shutil.rmtree(nights.inbox / "broken")
    nights.add("broken")
    last = nights.again(again)
    assert last.is_completed()
    assert last.state_details.flow_run_id == first.state_details.flow_run_id
    assert nights.ledger() == {"bear": ("done", 0), "broken": ("done", 0)}


def test_a_night_that_was_killed_is_taken_up_by_its_own_run(nights):
    """The server still takes the inner run for running, and the ledger the video for taken."""
    nights.add("bear")
    first = nights.night()
    run_id = first.state_details.flow_run_id
    inner = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(flow_run_filter=inner)
        client.set_flow_run_state(run.id, Running(), force=True)
        client.set_task_run_state(run.parent_task_run_id, Running(), force=True)
    ledger = Ledger(nights.outbox)
    ledger.take({"bear": ledger.entry("bear").identity}, str(run_id))
    again = nights.again(first)
    assert again.is_completed()
    assert nights.ledger() == {"bear": ("done", 0)}
    summary = json.loads((nights.outbox / "summary.json").read_text())
    assert summary["counts"]["cached"] == 1


def test_a_deleted_result_is_made_again(nights):
    nights.add("bear")
    nights.night()
    result = nights.outbox / "final" / "bear" / "propagation.mp4"
    content = result.read_bytes()
    result.unlink()
    assert nights.night().is_completed()
    assert result.read_bytes() == content


def test_a_night_that_cannot_begin_counts_for_no_video(nights, tmp_path):
    nights.add("bear")
    state = nights.night("--engine", "propainter", "--propainter_model_dir", str(tmp_path / "nothing"))
    error = state.result(raise_on_failure=False)
    assert isinstance(error, InputError)
    assert str(tmp_path / "nothing") in str(error)
    assert nights.ledger() == {"bear": ("taken", 0)}
    assert nights.night().is_completed()


def test_two_nights_at_once_do_not_share_the_work(nights):
    nights.add("bear")
    with open_ledger(nights.outbox, "inbox of yesterday"):
        state = nights.night()
    assert state.is_completed()
    assert state.message == f"nothing done: {nights.outbox}: another run is at work on it (inbox of yesterday)"
    assert not (nights.outbox / "summary.json").exists()


def test_a_report_that_cannot_be_written_loses_nothing(nights):
    nights.add("bear")
    nights.outbox.mkdir()
    (nights.outbox / "reports").write_text("in the way")
    assert nights.night().is_completed()
    assert nights.ledger() == {"bear": ("done", 0)}


def test_the_name_tells_the_night_in_the_boxs_time_zone(monkeypatch):
    from datetime import datetime, timezone
    from types import SimpleNamespace

    started = datetime(2026, 11, 23, 1, 0, tzinfo=timezone.utc)
    monkeypatch.setattr(inbox_flow, "flow_run", SimpleNamespace(scheduled_start_time=started))
    monkeypatch.setenv("AUTO_REFINE_TIMEZONE", "Europe/Berlin")
    assert inbox_flow._run_name() == "inbox 2026-11-23 02:00"


@pytest.fixture
def planned(tmp_path: Path) -> Nights:
    """For what needs no server."""
    return Nights(tmp_path)


def test_the_plan_tells_what_is_taken_and_left(planned, capsys):
    planned.add("bear")
    (planned.inbox / "bus").mkdir()
    assert main([*planned.words, "--plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["bear  taken: new", "bus  left: incomplete: holds neither video* nor mask*"]
    assert lines[-1] == "0 cached, 4 to do, 0 blocked"  # coarse, caption, refine, evaluate
    shutil.rmtree(planned.inbox / "bear")
    assert main([*planned.words, "--plan"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing new: 1 incomplete"
    assert not planned.outbox.exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda nights: nights.inbox.rmdir(), "expected a folder"),
        (lambda nights: nights.words.extend(["--outbox", str(nights.inbox / "out")]), "lies in the inbox"),
    ],
    ids=["no inbox", "outbox in the inbox"],
)
def test_what_cannot_work_is_said_before_anything_starts(
    planned: Nights, capsys: pytest.CaptureFixture[str], spoil: Callable[[Nights], None], said: str
):
    spoil(planned)
    assert main(planned.words) == 2
    assert said in capsys.readouterr().err


def test_a_plan_does_without_prefect(planned):
    planned.add("bear")
    code = "import sys; from flows.inbox_program import main; main(sys.argv[1:]); assert 'prefect' not in sys.modules"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *planned.words, "--plan"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "bear  taken: new" in done.stdout


def test_by_hand_the_layout_works_as_a_data_set(planned, run_flow):
    planned.add("bear")
    words = ["--engine", "propagation", "--dataset", "inbox", "--video_root", str(planned.inbox)]
    run = run_flow([*words, "--output_dir", str(planned.outbox)])
    assert run.video("bear").status == "done"


def test_the_script_brings_its_own_server_and_answers_with_an_exit_code(planned):
    planned.add("broken", usable=False)
    command = run_command(planned.words, planned.outbox, ROOT / "flows" / "inbox.py")
    assert command.wait() == 1, command.text()
    assert command.text().splitlines()[-1] == "1 of 1 videos failed: broken"
    assert f"report: {planned.reports()[0]}" in command.text()
    assert planned.ledger() == {"broken": ("failed", 1)}
    command.assert_nothing_left()
