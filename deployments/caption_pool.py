"""The caption pool: its work pool, the deployment in it, and one call that runs a batch there."""

import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any, cast

from prefect import Flow, flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, WorkPool, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from deployments import caption_deployment_name, caption_pool_name
from deployments.child_runs import pause, waiting_for
from deployments.forwarded_logs import ForwardedLogs
from deployments.pools import ensure_pools
from lib.captioner.batch_folder import BatchFolder
from lib.captioner.environment import CaptionEnv
from lib.captioner.resident_client import LOAD_SECONDS

PROJECT_ROOT = Path(__file__).resolve().parents[1]
_ENTRYPOINT = "flows/caption_videos.py:caption_videos"
_POLL_SECONDS = 0.5
_SPARE_SECONDS = 120.0  # for the worker to start the run, and for a child to end


class CaptionPoolError(RuntimeError):
    """The caption pool cannot take or finish a batch; says what to do."""


def deployment_name() -> str:
    """Flow and deployment of the captioner in this process's caption pool; every pool has its own."""
    return f"caption-videos/{caption_deployment_name()}"


def ensure_caption_deployment() -> None:
    """Create the pool and its deployment where they are missing. Calling it again changes nothing."""
    with get_client(sync_client=True) as client:
        ensure_pools(client, [caption_pool_name()])
        if _has_deployment(client):
            return
    # Prefect's signatures also cover their asynchronous use.
    remote = cast(Flow[..., Any], flow.from_source(source=str(PROJECT_ROOT), entrypoint=_ENTRYPOINT))
    made = remote.to_deployment(name=caption_deployment_name(), work_pool_name=caption_pool_name())
    cast(RunnerDeployment, made).apply()


def _has_deployment(client: SyncPrefectClient) -> bool:
    try:
        client.read_deployment_by_name(deployment_name())
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
                f"no worker polls the pool {caption_pool_name()} (waited {timeout:.0f} s); "
                f"start one: prefect worker start --pool {caption_pool_name()} --type process"
            )
        time.sleep(_POLL_SECONDS)


def _pool() -> WorkPool:
    with get_client(sync_client=True) as client:
        return client.read_work_pool(caption_pool_name())


def run_caption_batch(
    batch: BatchFolder, env: CaptionEnv, run_name: str, seconds_per_video: float, gpu: int | None = None
) -> FlowRun:
    """Run the batch folder in the pool and wait for the end; in the caption environment if that has prefect.

    Args:
        gpu: the only GPU that the captioner sees, as this process counts them; None: what its worker sees.

    Raises:
        CaptionPoolError: no worker, or the run makes no progress for longer than a load and a video may take.
    """
    wait_for_worker()
    parameters = {"batch": str(batch.path), "interpreter": str(env.python), "seconds_per_video": seconds_per_video}
    shown = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": visible_device(gpu)}
    variables: dict[str, Any] = {"env": {"PYTHONPATH": str(PROJECT_ROOT), **shown}, "working_dir": str(PROJECT_ROOT)}
    engine = env.python if env.has_prefect else Path(sys.executable)
    variables["command"] = f"{shlex.quote(str(engine))} -m prefect.engine"
    run = cast(
        FlowRun,
        run_deployment(
            deployment_name(), parameters=parameters, job_variables=variables, flow_run_name=run_name, timeout=0
        ),
    )
    return _wait_for_end(run, batch, LOAD_SECONDS + seconds_per_video + _SPARE_SECONDS)


def _wait_for_end(run: FlowRun, batch: BatchFolder, patience: float) -> FlowRun:
    """The ended run; one that shows no life for `patience` seconds is cancelled, so that its GPU is free again."""
    seen, since = batch.progress(), time.monotonic()
    with get_client(sync_client=True) as client, waiting_for(run.id):
        logs = ForwardedLogs(client, run.id)
        while not (run.state and run.state.is_final()):
            waits_its_turn = run.state and run.state.is_scheduled() and _pool().status == WorkPoolStatus.READY
            if waits_its_turn or batch.progress() != seen:
                seen, since = batch.progress(), time.monotonic()
            if time.monotonic() - since > patience:
                client.set_flow_run_state(run.id, Cancelling(), force=True)
                raise _no_life(run, patience)
            pause(_POLL_SECONDS)
            run = client.read_flow_run(run.id)
            logs.forward()
        logs.finish()
    return run


def _no_life(run: FlowRun, patience: float) -> CaptionPoolError:
    return CaptionPoolError(
        f"the caption run {run.name} showed no life for {patience:.0f} s (it was "
        f"{run.state.name if run.state else 'unknown'}) and was cancelled; look at its log in the UI and at the worker "
        f"of {caption_pool_name()}"
    )


def visible_device(gpu: int) -> str:
    """What CUDA_VISIBLE_DEVICES must hold for a child that shall see only the GPU that is number `gpu` here."""
    shown = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return shown[gpu] if gpu < len(shown) else str(gpu)
