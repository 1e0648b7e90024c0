"""A run that is cancelled takes the runs that it waits for with it; one whose box shuts down leaves them be."""

import threading
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Cancelling, Running

from deployments.child_runs import RunInterruptedError, ending_children, pause, waiting_for


@flow
def child() -> None: ...


def new_child() -> UUID:
    with get_client(sync_client=True) as client:
        return client.create_flow_run(child, state=Running()).id


def state_of(run_id: UUID) -> str:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run_id).state
    return state.name or "" if state else ""


def wait_in_thread(run_id: UUID) -> tuple[threading.Thread, list[BaseException]]:
    waits, ends = threading.Event(), []

    def wait() -> None:
        with waiting_for(run_id):
            waits.set()
            try:
                pause(60)
            except RunInterruptedError as error:
                ends.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(10)
    return thread, ends


@pytest.mark.parametrize("cancelled", [True, False])
def test_children_end_with_a_cancelled_run(prefect_server: None, cancelled: bool):
    run_id = new_child()

    @flow
    def parent() -> None:
        with ending_children():
            thread, ends = wait_in_thread(run_id)
            if cancelled:
                with get_client(sync_client=True) as client:
                    client.set_flow_run_state(UUID(str(flow_run.id)), Cancelling(), force=True)
            told.append((thread, ends))
            raise KeyboardInterrupt

    told: list[tuple[threading.Thread, list[BaseException]]] = []
    with pytest.raises(KeyboardInterrupt):
        parent()
    [(thread, ends)] = told
    thread.join(10)
    assert [type(error) for error in ends] == [RunInterruptedError]
    assert state_of(run_id) == ("Cancelling" if cancelled else "Running")


def test_a_new_run_in_the_same_process_waits_again(prefect_server: None):
    with pytest.raises(KeyboardInterrupt), ending_children():
        raise KeyboardInterrupt
    with pytest.raises(RunInterruptedError):
        pause(0)
    with ending_children():
        pause(0)
