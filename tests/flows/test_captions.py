"""Where captions are made, and the captioner's log in the run that asked for them."""

import pytest
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.runtime import flow_run

from deployments import caption_deployment_name, caption_pool_name
from deployments.caption_pool import visible_device
from deployments.forwarded_logs import ForwardedLogs


@pytest.mark.parametrize(
    ("shown", "gpu", "device"), [(None, 2, "2"), ("", 0, "0"), ("4,6", 1, "6"), ("GPU-8f, GPU-9a", 0, "GPU-8f")]
)
def test_a_child_sees_the_gpu_that_is_meant(monkeypatch: pytest.MonkeyPatch, shown: str | None, gpu: int, device: str):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert visible_device(gpu) == device


@pytest.mark.parametrize(
    ("pool", "deployment"),
    [(None, "caption-videos"), ("caption-pool-box2", "caption-videos-box2"), ("other", "other")],
)
def test_each_box_has_a_caption_pool_and_deployment(monkeypatch: pytest.MonkeyPatch, pool: str | None, deployment: str):
    monkeypatch.delenv("AUTO_REFINE_CAPTION_POOL", raising=False)
    if pool:
        monkeypatch.setenv("AUTO_REFINE_CAPTION_POOL", pool)
    assert caption_pool_name() == pool or (pool is None and caption_pool_name() == "caption-pool")
    assert caption_deployment_name() == deployment


@flow
def speaking_child() -> str:
    get_run_logger().warning("the model was loaded")
    get_run_logger().error("no picture of bear")
    return str(flow_run.id)


@flow
def listening_parent(child_id: str) -> str:
    with get_client(sync_client=True) as client:
        logs = ForwardedLogs(client, child_id)  # type: ignore[arg-type]
        logs.forward()
        logs.finish()
    return str(flow_run.id)


def messages(run_id: str) -> list[tuple[int, str]]:
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))  # type: ignore[list-item]
    return [(log.level, log.message) for log in logs]


def test_the_childs_log_is_told_once_in_the_parents_run(prefect_server: None):
    from prefect.logging.handlers import APILogHandler

    child = speaking_child()
    APILogHandler().flush()
    parent = listening_parent(child)
    APILogHandler().flush()
    told = [line for line in messages(parent) if line[1] in ("the model was loaded", "no picture of bear")]
    assert sorted(told) == [(30, "the model was loaded"), (40, "no picture of bear")]
