"""A batch in parts for several boxes: each part is a flow run of shard-pool, and whichever box is free takes the next.

All boxes see the same videos, weights and output directory (shared storage) under the same paths. What a box that dies
leaves of its part another box does; what is done stays done, as in any other run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from pydantic import ValidationError

from deployments import SHARD_POOL
from deployments.child_runs import ending_children, pause, waiting_for
from flows.inputs import pixel_count
from flows.report import Summary, VideoSummary, summarise_failure
from lib.errors import InputError
from lib.settings import AutoRefineSettings
from lib.video.datasets import Video

DEPLOYMENT = "auto-refine/auto-refine-shard"
_MAX_TRIES = 3  # of a part whose box is lost
_POLL_SECONDS = 2.0
_UNFINISHED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]


@dataclass(frozen=True)
class Shard:
    """A part of a batch."""

    number: int  # from 1
    count: int
    names: tuple[str, ...]
    settings: AutoRefineSettings  # of its run: these videos only

    @property
    def title(self) -> str:
        return f"part {self.number} of {self.count}"


def split(settings: AutoRefineSettings, videos: Sequence[Video]) -> list[Shard]:
    """At most as many parts as asked for, alike in size: the largest video goes to what is smallest so far."""
    limit = settings.processing.video_length
    sizes = {video.name: pixel_count(video, limit) for video in videos}
    parts: list[list[str]] = [[] for _ in range(min(settings.execution.shards, len(videos)))]
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        min(parts, key=lambda part: (sum(sizes[other] for other in part), len(part))).append(name)
    return [
        Shard(number, len(parts), tuple(sorted(part)), _settings_of(settings, sorted(part)))
        for number, part in enumerate(parts, 1)
    ]


def _settings_of(settings: AutoRefineSettings, names: Sequence[str]) -> AutoRefineSettings:
    source = settings.input_output.model_copy(update={"video_names": tuple(names)})
    execution = settings.execution.model_copy(update={"shards": 0})
    return settings.model_copy(update={"input_output": source, "execution": execution})


def shard_summary(output_dir: Path, run_id: object) -> Path:
    """Where the run of a part leaves what became of its videos."""
    return output_dir / ".prefect" / "shards" / f"{run_id}.json"


def check_shards(settings: AutoRefineSettings) -> None:
    """See that there is somebody to take the parts.

    Raises:
        InputError: a single video cannot be split; the server has no such deployment or no worker for it.
    """
    if settings.input_output.input_video:
        raise InputError("--shards splits a folder of videos; found --input_video: leave --shards out")
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(DEPLOYMENT)
            status = client.read_work_pool(SHARD_POOL).status
        except ObjectNotFound:
            raise InputError(
                f"--shards: the server at {client.api_url} has no deployment {DEPLOYMENT} or no pool {SHARD_POOL}; "
                "set it up: python -m deployments.server_setup"
            ) from None
    if status != WorkPoolStatus.READY:
        raise InputError(
            f"--shards: no worker polls {SHARD_POOL}; start one on each box: "
            f"prefect worker start --pool {SHARD_POOL} --type process --limit 1"
        )


def run_shards(shards: Sequence[Shard]) -> list[VideoSummary]:
    """Have all parts done; how every video ended."""
    with ending_children():
        futures: list[PrefectFuture[list[VideoSummary]]] = [run_shard.submit(shard, shard.title) for shard in shards]
        for future in futures:
            future.wait()
    found: list[VideoSummary] = []
    for shard, future in zip(shards, futures, strict=True):
        state = future.state
        found += state.result() if state.is_completed() else _all_failed(shard, state.message or "")
    return found


@task(name="shard", task_run_name="{title}", persist_result=False, cache_policy=NO_CACHE)
def run_shard(shard: Shard, title: str) -> list[VideoSummary]:
    """Have one part done; again, by another box, if its box is lost."""
    reason = ""
    for attempt in range(_MAX_TRIES):
        run = _wait_for_end(_start(shard, title, attempt))
        state = run.state
        reason = f"{title} ended {state.name}: {state.message}" if state else f"{title} ended without a state"
        summary = _read_summary(shard_summary(shard.settings.output_dir, run.id))
        if summary:
            return list(summary.videos)
        if state is None or not state.is_crashed():
            break
        get_run_logger().warning("%s; its videos go to whichever box is free", reason)
    return _all_failed(shard, reason)


def _start(shard: Shard, title: str, attempt: int) -> FlowRun:
    """The part's run: one that an earlier try of this batch has left at work, else a new one."""
    tag = f"batch-{flow_run.root_flow_run_id}"
    with get_client(sync_client=True) as client:
        if left := _find_unfinished(client, tag, title):
            return left
    return cast(
        FlowRun,
        run_deployment(
            DEPLOYMENT,
            parameters={"settings": shard.settings.model_dump(mode="json"), "shard": title},
            flow_run_name=title,
            tags=[tag],
            timeout=0,
            idempotency_key=f"{tag}-{flow_run.run_count}-{shard.number}-{attempt}",
        ),
    )


def _find_unfinished(client: SyncPrefectClient, tag: str, title: str) -> FlowRun | None:
    wanted = FlowRunFilter(
        name=FlowRunFilterName(any_=[title]),
        tags=FlowRunFilterTags(all_=[tag]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNFINISHED)),
    )
    return next(iter(client.read_flow_runs(flow_run_filter=wanted, limit=1)), None)


def _wait_for_end(run: FlowRun) -> FlowRun:
    with get_client(sync_client=True) as client, waiting_for(run.id):
        while not (run.state and run.state.is_final()):
            pause(_POLL_SECONDS)
            run = client.read_flow_run(run.id)
    return run


def _read_summary(path: Path) -> Summary | None:
    try:
        return Summary.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _all_failed(shard: Shard, reason: str) -> list[Any]:
    return [summarise_failure(name, "shard", reason) for name in shard.names]
