"""Waiting for a caption run: as long as it lives, and no longer."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.flows import flow
from prefect.states import Completed, Running, Scheduled

from deployments import caption_pool
from deployments.caption_pool import CaptionPoolError, _wait_for_end
from lib.captioner.batch_folder import BatchFolder


@flow
def captions() -> None: ...


@pytest.fixture
def run(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> FlowRun:
    """A flow run that says it is running, as one does whose machine has died."""
    monkeypatch.setattr(caption_pool, "_POLL_SECONDS", 0.05)
    with get_client(sync_client=True) as client:
        return client.create_flow_run(captions, state=Running(), name="caption x3")


def state_of(run: FlowRun) -> str:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
    return state.type.value if state else ""


def test_a_run_without_a_sign_of_life_is_cancelled(run, tmp_path):
    with pytest.raises(CaptionPoolError, match=r"caption x3 showed no life for 0 s \(it was Running\).*caption-pool"):
        _wait_for_end(run, BatchFolder(tmp_path), patience=0.3)
    assert state_of(run) == "CANCELLING"


def test_progress_is_a_sign_of_life(run, tmp_path, monkeypatch):
    """Each look finds a new line, for longer than the patience; then the run has ended."""
    batch, looks = BatchFolder(tmp_path), iter(range(12))

    def one_more_line() -> int:
        if next(looks) == 10:
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(run.id, Completed(), force=True)
        batch.note_begin("bear")
        return Path(tmp_path, "outcomes.jsonl").stat().st_size

    monkeypatch.setattr(BatchFolder, "progress", lambda _self: one_more_line())
    ended = _wait_for_end(run, batch, patience=0.15)
    assert ended.state is not None
    assert ended.state.is_completed()


def test_a_run_that_waits_for_its_turn_is_let_wait(prefect_server, tmp_path, monkeypatch):
    """Scheduled in a pool that a worker polls: another run's captions may come first."""
    monkeypatch.setattr(caption_pool, "_POLL_SECONDS", 0.05)
    polls = iter(range(10))

    def ready_for_a_while():
        ready = next(polls, None) is not None
        return type("Pool", (), {"status": caption_pool.WorkPoolStatus.READY if ready else "NOT_READY"})

    monkeypatch.setattr(caption_pool, "_pool", ready_for_a_while)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(captions, state=Scheduled(), name="caption x1")
    with pytest.raises(CaptionPoolError, match="no life"):
        _wait_for_end(run, BatchFolder(tmp_path), patience=0.2)
    assert next(polls, None) is None  # it was not given up while the worker was there
