"""The cache keys of all jobs that a flow makes from its settings, made by the flows' own builders; nothing is run."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prefect.logging import disable_run_logger

from flows.batch import Batch
from flows.inputs import adopted_key, find_videos
from flows.phases import Outcome
from flows.removal_batch import RemovalBatch, Result
from flows.remove_batch import RemoveBatch
from flows.result_phases import look_at_results
from flows.run import Run
from flows.study_batch import StudyBatch
from lib.removers.base import RemovalRequest
from lib.removers.registry import get_anchor, make_remover
from lib.settings import AutoRefineSettings, RemoveSettings, RunSettings
from lib.settings.study import StudySettings
from tasks import anchor, prior
from tasks.jobs import GuidedJob, Job, RemovalJob

Keys = dict[str, str]  # "<video>: <job>" -> cache key
_CAPTION = 'prompt: ["a quiet street"]\nn_prompt: [blurry]\ntext_guidance_scale: 2.0\n'


def keys_of(settings: RunSettings) -> Keys:
    """The keys of all jobs of a run with these settings, in an output folder that holds nothing yet."""
    batch, keys = _batch(settings), {}
    with disable_run_logger():
        run = _NotedRun("stored", batch)
    found = sorted(run.read_inputs(), key=lambda item: item[0].name)
    assert [video.name for video, _ in found] == [video.name for video in find_videos(settings).videos]
    for video, fingerprints in found:
        run.inputs = [(video, fingerprints)]
        jobs = _removals_alone(run, batch) if isinstance(batch, RemoveBatch) else _phases(run, batch)
        for name, key in jobs:
            assert f"{video.name}: {name}" not in keys, name
            keys[f"{video.name}: {name}"] = key
    return keys


class _NotedRun(Run[Any]):
    """A run that reads its inputs as always, and notes its jobs in place of running them."""

    def __init__(self, flow_name: str, batch: RemovalBatch[Any]) -> None:
        super().__init__(flow_name, batch)
        self.noted: list[Job] = []

    def run_phase(self, task: Any, jobs: Sequence[Job], **_options: Any) -> dict[str, Outcome]:
        self.noted.extend(jobs)
        return {}

    def run_light_phase(self, task: Any, jobs: Sequence[Job], *, quiet: bool = False) -> dict[str, Outcome]:
        return self.run_phase(task, jobs)


def _batch(settings: RunSettings) -> Batch | RemoveBatch:
    if isinstance(settings, StudySettings):
        return StudyBatch(settings)
    if isinstance(settings, AutoRefineSettings):
        return Batch(settings)
    assert isinstance(settings, RemoveSettings)
    return RemoveBatch(settings)


def _removals_alone(run: _NotedRun, batch: RemoveBatch) -> Iterator[tuple[str, str]]:
    video, fingerprints = run.inputs[0]
    job = batch.remove(video, fingerprints)
    yield "remove", job.cache_key
    yield from _parts(job)
    yield from _looks(run, job)
    if batch.settings.products.save_comparison:
        yield "comparison", batch.comparison(job, job.cache_key).cache_key


def _phases(run: _NotedRun, batch: Batch) -> Iterator[tuple[str, str]]:
    video, fingerprints = run.inputs[0]
    coarse = batch.coarse(video, fingerprints)
    yield "coarse", coarse.cache_key
    coarse_key = coarse.cache_key if batch.needs_coarse else ""
    prompt_file = batch.prompt_file(video)
    yield "caption", batch.caption(coarse, coarse_key).cache_key
    prompt_file.parent.mkdir(parents=True, exist_ok=True)
    prompt_file.write_text(_CAPTION, encoding="utf-8")
    yield "caption edited", batch.caption(coarse, coarse_key).cache_key
    if isinstance(batch, StudyBatch):
        for variant in batch.plan.variants:
            job = batch.variant(variant, coarse)
            yield f"variant {variant.key}", job.cache_key
            yield from _looks(run, job, f" {variant.key}")
        return
    refine = batch.refine(coarse)
    yield "refine", refine.cache_key
    for name, key in _parts(coarse):
        yield f"{name} of coarse", key
    yield from _parts(refine)
    yield from _looks(run, refine)
    if batch.settings.products.save_comparison:
        yield "comparison", batch.comparison_of_phases(coarse, coarse_key, refine, refine.cache_key).cache_key
        kept = adopted_key(prompt_file)  # any file will do
        yield "comparison of kept results", batch.comparison_of_phases(coarse, kept, refine, kept).cache_key


def _looks(run: _NotedRun, job: RemovalJob, of: str = "") -> Iterator[tuple[str, str]]:
    """What is made of a result: preview, numbers, comparison with the truth, a judgement."""
    batch, run.noted = run.batch, []
    result = Result(job, job.cache_key, batch.result_path(job))
    look_at_results(run, {job.video.name: result})
    if isinstance(batch, Batch) and batch.settings.judge.judge:
        run.noted.append(batch.judge(result))
    for item in run.noted:
        yield f"{item.phase}{of}", item.cache_key


class _CaughtError(Exception):
    """Carries the job that would have been run."""


def _parts(job: RemovalJob) -> Iterator[tuple[str, str]]:
    """The jobs within a removal: its prior, and its anchor where a network paints it."""
    remover = make_remover(job.engine, job.prior, job.options)
    picture = np.zeros((8, 8, 3), np.uint8)
    if remover.prior:
        request = RemovalRequest(picture[None], picture[None, ..., 0] > 0)
        yield "prior", _caught(prior, lambda: prior.PriorStep(job, remover.prior)(request, Fraction(24)))  # type: ignore[arg-type]
    if isinstance(job, GuidedJob) and job.anchor:
        painter = get_anchor(job.anchor, job.processing.seed)
        if painter.uses_prompt:
            frame, hole = Image.fromarray(picture), Image.fromarray(picture[..., 0])
            step = anchor.AnchorStep(job, painter)
            yield "anchor", _caught(anchor, lambda: step.inpaint(frame, hole, job.prompt, job.n_prompt))


def _caught(module: Any, step: Any) -> str:
    """The key of the job that a step hands to `run_nested`."""
    caught: list[Job] = []

    def catch(_task: object, job: Job, _make: object) -> None:
        caught.append(job)
        raise _CaughtError

    with pytest.MonkeyPatch.context() as patch, suppress(_CaughtError):
        patch.setattr(module, "bind", lambda task, _output_dir: task)
        patch.setattr(module, "run_nested", catch)
        step()
    return caught[0].cache_key
