"""The cache keys of all jobs that a flow makes from its settings, made by the flows' own builders; nothing is run."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.batch import Batch
from flows.inputs import Fingerprints, adopted_key, find_videos, fingerprint_inputs
from flows.removal_batch import RemovalBatch, Result
from flows.remove_batch import RemoveBatch
from flows.result_phases import look_at_results
from flows.study_batch import StudyBatch
from lib.errors import InputError
from lib.removers.base import RemovalRequest
from lib.removers.registry import get_anchor, make_remover
from lib.settings import AutoRefineSettings, RemoveSettings, RunSettings
from lib.settings.study import StudySettings
from lib.video.datasets import Video
from tasks import anchor, prior
from tasks.jobs import GuidedJob, Job, RemovalJob

Keys = dict[str, str]  # "<video>: <job>" -> cache key
_CAPTION = 'prompt: ["a quiet street"]\nn_prompt: [blurry]\ntext_guidance_scale: 2.0\n'


def keys_of(settings: RunSettings) -> Keys:
    """The keys of all jobs of a run with these settings, in an output folder that holds nothing yet."""
    batch, keys = _batch(settings), {}
    scan = find_videos(settings)
    assert scan.videos and not scan.unmatched, scan
    for video in scan.videos:
        found = fingerprint_inputs([video])[video.name]
        if isinstance(found, InputError):
            raise found
        jobs = _removals_alone(batch, video, found) if isinstance(batch, RemoveBatch) else _phases(batch, video, found)
        for name, key in jobs:
            assert f"{video.name}: {name}" not in keys, name
            keys[f"{video.name}: {name}"] = key
    return keys


def _batch(settings: RunSettings) -> Batch | RemoveBatch:
    if isinstance(settings, StudySettings):
        return StudyBatch(settings)
    if isinstance(settings, AutoRefineSettings):
        return Batch(settings)
    assert isinstance(settings, RemoveSettings)
    return RemoveBatch(settings)


def _removals_alone(batch: RemoveBatch, video: Video, fingerprints: Fingerprints) -> Iterator[tuple[str, str]]:
    job = batch.remove(video, fingerprints)
    yield "remove", job.cache_key
    yield from _parts(job)
    yield from _looks(batch, video, fingerprints, job)
    if batch.settings.products.save_comparison:
        yield "comparison", batch.comparison(job, job.cache_key).cache_key


def _phases(batch: Batch, video: Video, fingerprints: Fingerprints) -> Iterator[tuple[str, str]]:
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
            yield from _looks(batch, video, fingerprints, job, f" {variant.key}")
        return
    refine = batch.refine(coarse)
    yield "refine", refine.cache_key
    for name, key in _parts(coarse):
        yield f"{name} of coarse", key
    yield from _parts(refine)
    yield from _looks(batch, video, fingerprints, refine)
    if batch.settings.products.save_comparison:
        yield "comparison", batch.comparison_of_phases(coarse, coarse_key, refine, refine.cache_key).cache_key
        kept = adopted_key(prompt_file)  # any file will do
        yield "comparison of kept results", batch.comparison_of_phases(coarse, kept, refine, kept).cache_key


def _looks(
    batch: RemovalBatch[Any], video: Video, fingerprints: Fingerprints, job: RemovalJob, of: str = ""
) -> Iterator[tuple[str, str]]:
    """What is made of a result: preview, numbers, comparison with the truth, a judgement."""
    made: list[Job] = []

    def note(_task: object, jobs: Sequence[Job], **_options: object) -> None:
        made.extend(jobs)

    result = Result(job, job.cache_key, batch.result_path(job))
    run = SimpleNamespace(
        batch=batch,
        settings=batch.settings,
        inputs=[(video, fingerprints)],
        run_phase=note,
        run_light_phase=note,
    )
    look_at_results(run, {video.name: result})  # type: ignore[arg-type]
    if isinstance(batch, Batch) and batch.settings.judge.judge:
        made.append(batch.judge(result))
    for item in made:
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
