"""What the server does by itself when a worker or a whole box has died.

A run sends a heartbeat every half minute (PREFECT_FLOWS_HEARTBEAT_FREQUENCY). Its worker's death silences it, and the
database would say Running for ever.
"""

from datetime import timedelta
from typing import Any, cast

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deployments import AUTOMATIONS

_MISSED_HEARTBEATS = timedelta(seconds=90)
_STUCK_IN_PENDING = timedelta(minutes=10)
_STUCK_IN_CANCELLING = timedelta(minutes=3)
# A shard is run again by the run that split the batch.
_RERUN = ("auto-refine", "auto-refine-nightly", "remove", "study")
_FLOW_RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
_OVER = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Crashed", "Cancelled")}
_LOST, _NEVER_BEGAN, _NEVER_CANCELLED, _RUN_AGAIN = AUTOMATIONS


def ensure_automations() -> list[str]:
    """Create the automations that are missing and bring the others up to date; the names of those created."""
    made = []
    for automation in _automations():
        try:
            automation.id = cast(Automation, Automation.read(name=automation.name)).id
        except ValueError:
            automation.create()
            made.append(automation.name)
        else:
            automation.update()
    return made


def _automations() -> list[Automation]:
    return [
        Automation(
            name=_LOST,
            description="Its worker or its box has died: nothing else would end this run.",
            trigger=_silence("prefect.flow-run.heartbeat", {"prefect.flow-run.*"}, _MISSED_HEARTBEATS),
            actions=[_change(StateType.CRASHED, "Crashed", "No sign of life: its worker or its box has died.")],
        ),
        Automation(
            name=_NEVER_BEGAN,
            description="A worker took the run and died before it began.",
            trigger=_silence("prefect.flow-run.Pending", _OVER | _begun(), _STUCK_IN_PENDING),
            actions=[_change(StateType.CRASHED, "Crashed", "A worker took this run and never began it.")],
        ),
        Automation(
            name=_NEVER_CANCELLED,
            description="The worker that was to stop the run has died, and the run with it.",
            trigger=_silence("prefect.flow-run.Cancelling", _OVER, _STUCK_IN_CANCELLING),
            actions=[_change(StateType.CANCELLED, "Cancelled", "Its worker is gone.", force=True)],
        ),
        Automation(
            name=_RUN_AGAIN,
            description="What is done stays done: the second run only does the rest. A second crash stays a crash.",
            trigger=EventTrigger(
                expect={"prefect.flow-run.Crashed"},
                match=ResourceSpecification(
                    {"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": "1"}  # of its first try
                ),
                match_related=ResourceSpecification(
                    {"prefect.resource.role": "deployment", "prefect.resource.name": list(_RERUN)}
                ),
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[_change(StateType.SCHEDULED, "AwaitingRetry", "Once more after a crash.")],
        ),
    ]


def _change(state: StateType, name: str, message: str, *, force: bool = False) -> Any:
    return ChangeFlowRunState(state=state, name=name, message=message, force=force)


def _begun() -> set[str]:
    names = ("Running", "Cancelling", "Scheduled", "Late", "AwaitingRetry", "AwaitingConcurrencySlot")
    return {f"prefect.flow-run.{name}" for name in names}


def _silence(after: str, expect: set[str], within: timedelta) -> EventTrigger:
    """Fires when nothing of what is expected of a run has come in time."""
    return EventTrigger(
        after={after},
        expect=expect,
        match=_FLOW_RUNS,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
