"""The caption pool: its work pool, the deployment in it, and one call that runs a batch there."""

import shlex
import time
from pathlib import Path
from typing import Any, cast

from prefect import Flow, flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, WorkPool, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from deployments import CAPTION_POOL
from lib.captioner.environment import CaptionEnv

DEPLOYMENT = "caption-videos/caption-env"
PROJECT_ROOT = Path(__file__).resolve().parents[1]
_ENTRYPOINT = "flows/caption_videos.py:caption_videos"
_POLL_SECONDS = 0.5


class CaptionPoolError(RuntimeError):
    """The caption pool cannot take or finish a batch; says what to do."""


def ensure_caption_deployment() -> None:
    """Create the pool and its deployment where they are missing. Calling it again changes nothing."""
    with get_client(sync_client=True) as client:
        _ensure_pool(client)
        if _has_deployment(client):
            return
    # Prefect's signatures also cover their asynchronous use.
    remote = cast(Flow[..., Any], flow.from_source(source=str(PROJECT_ROOT), entrypoint=_ENTRYPOINT))
    name = DEPLOYMENT.split("/")[1]
    cast(RunnerDeployment, remote.to_deployment(name=name, work_pool_name=CAPTION_POOL)).apply()


def _ensure_pool(client: SyncPrefectClient) -> None:
    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(WorkPoolCreate(name=CAPTION_POOL, type="process", base_job_template=template))
    except ObjectAlreadyExists:
        return


def _has_deployment(client: SyncPrefectClient) -> bool:
    try:
        client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        return False
    return True


def wait_for_worker(timeout: float = 60.0) -> None:
    """Wait until a worker polls the pool.

    Raises:
        CaptionPoolError: none does within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while _pool().status != WorkPoolStatus.READY:
        if time.monotonic() > deadline:
            raise CaptionPoolError(
                f"no worker polls the pool {CAPTION_POOL} (waited {timeout:.0f} s); "
                f"start one: prefect worker start --pool {CAPTION_POOL} --type process"
            )
        time.sleep(_POLL_SECONDS)


def _pool() -> WorkPool:
    with get_client(sync_client=True) as client:
        return client.read_work_pool(CAPTION_POOL)


def run_caption_batch(batch: Path, env: CaptionEnv, run_name: str, timeout: float) -> FlowRun:
    """Run the batch folder in the pool, in the caption environment's interpreter, and wait for the end.

    Raises:
        CaptionPoolError: no worker, or not finished within `timeout` seconds.
    """
    wait_for_worker()
    parameters: dict[str, Any] = {"batch": str(batch)}
    variables: dict[str, Any] = {"env": {"PYTHONPATH": str(PROJECT_ROOT)}, "working_dir": str(PROJECT_ROOT)}
    if env.has_prefect:
        variables["command"] = f"{shlex.quote(str(env.python))} -m prefect.engine"
    else:
        parameters["interpreter"] = str(env.python)
    run = cast(
        FlowRun,
        run_deployment(
            DEPLOYMENT,
            parameters=parameters,
            job_variables=variables,
            flow_run_name=run_name,
            timeout=timeout,
            poll_interval=_POLL_SECONDS,
        ),
    )
    if not (run.state and run.state.is_final()):
        raise CaptionPoolError(
            f"the caption run {run.name} was not finished after {timeout:.0f} s (it is "
            f"{run.state.name if run.state else 'unknown'}); look at its log in the UI, or raise --caption_timeout"
        )
    return run
