"""The work pools: all of type process, so their workers start flow runs as processes of their own."""

from collections.abc import Iterable

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker


def ensure_pools(client: SyncPrefectClient, names: Iterable[str]) -> list[str]:
    """Create the pools that are missing; their names."""
    template = ProcessWorker.get_default_base_job_template()
    made = []
    for name in names:
        try:
            client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        except ObjectAlreadyExists:
            continue
        made.append(name)
    return made
