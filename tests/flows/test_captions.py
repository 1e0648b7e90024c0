"""Captions on several GPUs, and the captioner's log in the run that asked for them."""

import threading
from pathlib import Path

import pytest
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.runtime import flow_run
from tests_support import Dataset

from deployments import caption_deployment_name, caption_pool_name
from deployments.caption_pool import visible_device
from deployments.forwarded_logs import ForwardedLogs
from flows import captions
from flows.batch import Batch
from flows.captions import caption_missing, lease_gpus
from flows.command_line import parse
from flows.inputs import find_videos, fingerprint_inputs
from lib.runtime.slots import Slot
from tasks import caption as caption_module
from tasks.jobs import CaptionJob


def test_leases_are_taken_as_far_as_they_go(tmp_path: Path):
    with lease_gpus((0, 2), 2, tmp_path) as first:
        assert first == [0, 2]
    with lease_gpus((0, 2), 1, tmp_path) as one, lease_gpus((0, 2), 2, tmp_path) as rest:
        assert (one, rest) == ([0], [2])
    with lease_gpus((), 0, tmp_path) as none:
        assert none == []


def test_a_lease_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(captions, "_POLL_SECONDS", 0.05)
    other = Slot(0).lease(tmp_path)
    assert other is not None
    threading.Timer(1.0, other.release).start()
    with lease_gpus((0,), 1, tmp_path) as gpus:
        assert gpus == [0]


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


def test_captions_are_shared_among_gpus(
    dataset: Dataset, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
):
    """Two GPUs and more than a model's worth of captions: two batches, each on its own GPU, every video once."""
    monkeypatch.setattr(captions, "_WORTH_A_MODEL", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[tuple[int | None, list[str]]] = []
    both = threading.Barrier(2, timeout=60)

    def batch_on_gpu(folder, _env, _name, _timeout, gpu):
        _, jobs = folder.read()
        asked.append((gpu, [job.name for job in jobs]))
        both.wait()
        for job in jobs:
            folder.note_record(job.name, {"prompt": f"by {gpu}"})
        raise caption_module.CaptionPoolError("ended")

    monkeypatch.setattr(caption_module, "ensure_caption_deployment", lambda: None)
    monkeypatch.setattr(caption_module, "run_caption_batch", batch_on_gpu)
    names = [f"video{n}" for n in range(4)]
    for seed, name in enumerate(names):
        dataset.add(name, seed)
    batch = Batch(parse([*dataset.flags(tmp_path / "out"), "--gpus", "0,1", "--caption_source", "original"])[0])
    batch.__dict__["caption_gpus"] = (0, 1)  # the palette captioner needs none
    videos = find_videos(batch.settings).videos
    prints = fingerprint_inputs(videos)
    jobs: list[CaptionJob] = [batch.caption(batch.coarse(video, prints[video.name]), "") for video in videos]
    ends = flow(lambda: caption_missing(batch, jobs), name="captions")()
    assert sorted(asked) == [(0, ["video0", "video2"]), (1, ["video1", "video3"])]
    assert {name: end["record"]["prompt"] for name, end in ends.items()} == {
        name: f"by {index % 2}" for index, name in enumerate(names)
    }


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
