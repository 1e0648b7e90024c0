"""A child run's log lines in its parent's log, so that one page tells the whole story."""

import logging
import time
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterTimestamp
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_BETWEEN_LAST_LOOKS = 0.3
_PATIENCE = 4.0  # seconds; a run that was killed has no last words
_WORKER = "prefect.flow_runs.worker"  # it tells of starting and ending processes
_LAST_WORDS = "Finished in state"
_OVERLAP = timedelta(seconds=10)  # lines arrive in bundles, those of several tasks not in order
_PAGE = 200


class ForwardedLogs:
    """Call `forward` now and then while the child runs, and `finish` at its end."""

    def __init__(self, client: SyncPrefectClient, flow_run_id: UUID) -> None:
        self._client, self._flow_run_id = client, flow_run_id
        self._seen: set[UUID] = set()
        self._newest: Log | None = None
        self._looked = 0.0
        self._complete = False
        try:
            self._logger = get_run_logger()
        except MissingContextError:  # outside of a run
            self._logger = logging.getLogger(__name__)

    def forward(self) -> None:
        """Say what is new, at most every two seconds."""
        if time.monotonic() - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._say_new_lines()

    def finish(self) -> None:
        """Say the rest: a run's last lines reach the server a little after its last state."""
        end = time.monotonic() + _PATIENCE
        self._say_new_lines()
        while self._logger.isEnabledFor(logging.INFO) and not self._complete and time.monotonic() < end:
            time.sleep(_SECONDS_BETWEEN_LAST_LOOKS)
            self._say_new_lines()

    def _say_new_lines(self) -> None:
        self._looked = time.monotonic()
        for log in self._new_lines():
            self._seen.add(log.id)
            self._newest = log
            self._complete |= log.message.startswith(_LAST_WORDS) and log.task_run_id is None
            if log.name != _WORKER:
                self._logger.log(log.level, "%s", log.message)

    def _new_lines(self) -> list[Log]:
        since = LogFilterTimestamp(after_=self._newest.timestamp - _OVERLAP) if self._newest else None
        chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self._flow_run_id]), timestamp=since)
        lines: list[Log] = []
        while True:
            page = self._client.read_logs(chosen, limit=_PAGE, offset=len(lines), sort=LogSort.TIMESTAMP_ASC)
            lines += page
            if len(page) < _PAGE:
                return [line for line in lines if line.id not in self._seen]
