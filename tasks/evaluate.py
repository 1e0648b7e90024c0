"""The numbers of a result: beside the video, with what each of them means."""

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import task

from lib.errors import InputError
from lib.metrics.definitions import METRICS
from lib.metrics.scores import Scores
from lib.provenance import write_json
from lib.records import PhaseRecord
from lib.removers.gpu import naming_gpu_loss, torch_device
from lib.video.compose import Feather
from tasks.caching import worth_retrying
from tasks.progress import Progress
from tasks.recording import record_of
from tasks.result_jobs import EvaluateJob, metric_weights

if TYPE_CHECKING:  # torch takes seconds to import: only where a network measures
    from lib.metrics.networks.networks import MetricNetworks
    from lib.metrics.networks.weights import MetricWeights


@task(
    name="evaluate",
    task_run_name="evaluate-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def evaluate(job: EvaluateJob) -> PhaseRecord:
    """Write `metrics.json` beside the result, and what numbers of the whole data set are made of."""
    start = time.monotonic()
    with naming_gpu_loss():
        scores, arrays = _measure(job)
    paths = [write_json(job.scores_path, _content(scores))]
    if arrays:
        paths.append(_write_arrays(job.features_path, arrays))
    if metric_weights(job.weights).fingerprint() != job.weights_fingerprint:
        raise InputError(f"{job.video.name}: the metrics' weights were replaced meanwhile; leave them alone, run again")
    return record_of(job, paths, since=start, facts={**scores.values, "pid": os.getpid()})


def _measure(job: EvaluateJob) -> tuple[Scores, dict[str, np.ndarray]]:
    from lib.metrics.evaluation import ClipFiles, evaluate_clip  # scikit-image takes seconds: not for who only asks

    weights = metric_weights(job.weights)
    networks = _networks(weights, job.skip_vfid) if weights.given else None
    scores, arrays = evaluate_clip(
        ClipFiles(job.video.video_path, job.video.mask_path, job.result_path, job.video.gt_path),
        job.processing,
        Feather(job.reach),
        protocol=job.protocol,
        flow=networks.flow if networks and job.flow == "raft" else None,
        networks=networks.accumulators(job.protocol) if networks else (),
        report=Progress(f"evaluate {job.video.name}"),
    )
    missing = weights.unavailable()
    if job.skip_vfid:
        missing["vfid"] = "left out (--skip_vfid)"
    return scores.model_copy(update={"unavailable": {**missing, **scores.unavailable}}), arrays


@lru_cache(maxsize=1)
def _networks(weights: "MetricWeights", skip_vfid: bool) -> "MetricNetworks":
    from lib.metrics.networks.networks import MetricNetworks

    return MetricNetworks.load(weights, torch_device(), skip_vfid=skip_vfid)


def _content(scores: Scores) -> dict[str, Any]:
    """The scores and, so that the file can be read alone, what they mean."""
    named: Iterable[str] = [key for key in METRICS if key in scores.values or key in scores.unavailable]
    return {
        **scores.model_dump(mode="json"),
        "definitions": {key: dataclasses.asdict(METRICS[key]) for key in named},
    }


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    draft = path.with_name(f".{path.name}")
    with draft.open("wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]
    draft.replace(path)
    return path
