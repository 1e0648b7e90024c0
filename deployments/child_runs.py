"""Waiting for flow runs of other workers, in threads, such that they end with the run that waits for them.

A signal reaches the main thread only: without this, threads would go on waiting until the process is killed, and the
other workers' runs would go on for nobody.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run
from prefect.states import Cancelling

_interrupted = threading.Event()
_children: set[UUID] = set()


class RunInterruptedError(RuntimeError):
    """This run is told to end: whatever it waits for, it waits no longer."""


@contextmanager
def ending_children() -> Iterator[None]:
    """Around what waits for threads with children: if this run is cancelled they are, and no thread waits on."""
    _interrupted.clear()
    try:
        yield
    except BaseException:
        children = list(_children)
        _interrupted.set()
        if _is_cancelled():
            for child in children:
                cancel(child)
        raise


@contextmanager
def waiting_for(child: UUID) -> Iterator[None]:
    """Around a loop that waits for a child's end."""
    _children.add(child)
    try:
        yield
    finally:
        _children.discard(child)


def pause(seconds: float) -> None:
    """Sleep between two looks at a child.

    Raises:
        RunInterruptedError: this run is told to end.
    """
    if _interrupted.wait(seconds):
        raise RunInterruptedError("this run was stopped")


def cancel(child: UUID) -> None:
    """Ask for a run's end; one that is over already is left as it is."""
    with suppress(PrefectHTTPStatusError), get_client(sync_client=True) as client:
        client.set_flow_run_state(child, Cancelling())


def _is_cancelled() -> bool:
    """Whether somebody cancelled this run; a box that shuts down ends it too, but others may go on with its parts."""
    run_id = flow_run.id
    if run_id is None:
        return False
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(str(run_id))).state
    return bool(state and (state.is_cancelling() or state.is_cancelled()))
