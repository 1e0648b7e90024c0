"""The prior as a step: made once, kept losslessly, made again only when somebody needs it and it is gone."""

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect import flow, task
from tests_support import moving_square

from lib.removers.base import RemovalRequest, RemovalResult
from lib.removers.propagation import PropagationRemover
from lib.settings import Engine, Processing
from lib.video.clip import read_clip
from lib.video.datasets import Video
from tasks.caching import bind
from tasks.jobs import CoarseJob
from tasks.prior import PriorStep


class NoisePrior(PropagationRemover):
    """An engine that counts its calls."""

    name = "noise"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def fingerprint(self) -> dict[str, str]:
        return {"engine": self.name}

    def remove(self, request: RemovalRequest) -> RemovalResult:
        self.calls += 1
        request.report(1.0)
        frames = np.random.default_rng(5).integers(0, 256, request.frames.shape, np.uint8)
        return RemovalResult(frames, facts={"share": 0.5}, notes=["noted"])


@pytest.fixture
def job(tmp_path: Path, prefect_server: None) -> CoarseJob:
    return CoarseJob(
        video=Video(name="bear", video_path=Path("v"), mask_path=Path("m")),
        output_dir=tmp_path,
        video_fingerprint="a",
        mask_fingerprint="b",
        engine=Engine(),
        prior=None,
        options=None,
        engine_fingerprint={},
        processing=Processing(),
    )


@pytest.fixture
def request_() -> RemovalRequest:
    frames, masks = moving_square(1, 3, 41, 57)
    return RemovalRequest(frames, masks > 0, video_name="bear")


def get(job: CoarseJob, remover: NoisePrior, request: RemovalRequest, *, fails: bool = False) -> Any:
    """What a removal task gets, as the task of a flow."""

    @task(persist_result=True)
    def removal(job: CoarseJob) -> None:
        given.append(PriorStep(job, remover)(request, Fraction(24)))
        if fails:
            raise RuntimeError("after the prior")

    @flow(persist_result=False)
    def run() -> None:
        bind(removal, job.output_dir)(job, return_state=True)

    given: list[Any] = []
    run(return_state=True)
    return given[0]


def test_it_is_made_once_and_read_again_without_loss(job, request_):
    remover = NoisePrior()
    first = get(job, remover, request_, fails=True)
    path = job.output_dir / "priors" / "bear" / "57x41.mkv"
    assert np.array_equal(read_clip(path).frames, first.frames)
    second = get(job, remover, request_)  # the failure of what came after it cost nothing
    assert remover.calls == 1
    assert np.array_equal(second.frames, first.frames)
    assert second.facts == first.facts == {"share": 0.5}


def test_what_does_not_matter_to_it_does_not_make_it_again(job, request_):
    remover = NoisePrior()
    get(job, remover, request_)
    processing = Processing(seed=7, feather=9)
    get(job.model_copy(update={"processing": processing, "engine_fingerprint": {"code": "2"}}), remover, request_)
    assert remover.calls == 1
    for number, change in enumerate(
        ({"processing": Processing(mask_dilation_iter=9)}, {"mask_fingerprint": "c"}, {"video_fingerprint": "c"}), 2
    ):
        get(job.model_copy(update=change), remover, request_)
        assert remover.calls == number


@pytest.mark.parametrize("harm", ["delete", "corrupt"])
def test_a_file_that_is_gone_or_changed_is_made_again(job, request_, harm):
    remover = NoisePrior()
    first = get(job, remover, request_)
    path = job.output_dir / "priors" / "bear" / "57x41.mkv"
    path.unlink() if harm == "delete" else path.write_bytes(path.read_bytes()[:-1] + b"x")
    second = get(job, remover, request_)
    assert remover.calls == 2
    assert np.array_equal(second.frames, first.frames) and path.is_file()


def test_another_size_lies_beside_it(job, request_):
    remover = NoisePrior()
    get(job, remover, request_)
    low = dataclasses.replace(request_, frames=request_.frames[:, :20, :30], masks=request_.masks[:, :20, :30])
    get(job.model_copy(update={"processing": Processing(width=30, height=20)}), remover, low)
    get(job, remover, request_)
    assert remover.calls == 2
    assert {path.name for path in (job.output_dir / "priors" / "bear").iterdir()} == {"57x41.mkv", "30x20.mkv"}
