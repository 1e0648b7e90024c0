"""Progress artifacts in Prefect's UI, updated seldom enough to cost nothing."""

import time
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

_SECONDS_BETWEEN_UPDATES = 2.0


class Progress:
    """Call it with the share done (0..1); it belongs to the task or flow run in which it is made."""

    def __init__(self, description: str) -> None:
        # Prefect's signature also covers its asynchronous use.
        self._artifact_id = cast(UUID, create_progress_artifact(progress=0.0, description=description))
        self._updated = time.monotonic()

    def __call__(self, fraction: float, description: str | None = None) -> None:
        now = time.monotonic()
        if fraction < 1.0 and now - self._updated < _SECONDS_BETWEEN_UPDATES:
            return
        self._updated = now
        percent = round(100.0 * min(fraction, 1.0), 1)
        update_progress_artifact(artifact_id=self._artifact_id, progress=percent, description=description)
