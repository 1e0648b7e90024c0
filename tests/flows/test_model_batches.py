"""What the model is asked to do is shared among GPUs, which runs lease from each other."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow
from tests_support import Dataset, moving_square, write_frames

from flows import model_batches
from flows.batch import Batch
from flows.captions import caption_missing
from flows.command_line import parse
from flows.inputs import find_videos, fingerprint_inputs
from flows.judging import judge_missing
from flows.model_batches import lease_gpus
from flows.removal_batch import Result
from lib.captioner.batch_folder import BatchFolder
from lib.runtime.slots import Slot
from tasks import caption as caption_module
from tasks.caption import End
from tasks.jobs import CoarseJob

Answers = Callable[[Callable[[BatchFolder, int | None], None]], dict[str, End]]
NAMES = [f"video{n}" for n in range(4)]


def test_leases_are_taken_as_far_as_they_go(tmp_path: Path):
    with lease_gpus((0, 2), 2, tmp_path) as first:
        assert first == [0, 2]
    with lease_gpus((0, 2), 1, tmp_path) as one, lease_gpus((0, 2), 2, tmp_path) as rest:
        assert (one, rest) == ([0], [2])
    with lease_gpus((), 0, tmp_path) as none:
        assert none == []


def test_a_lease_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_batches, "_POLL_SECONDS", 0.05)
    other = Slot(0).lease(tmp_path)
    assert other is not None
    threading.Timer(1.0, other.release).start()
    with lease_gpus((0,), 1, tmp_path) as gpus:
        assert gpus == [0]


def captions(batch: Batch, coarse: list[CoarseJob]) -> dict[str, End]:
    return caption_missing(batch, [batch.caption(job, "") for job in coarse])


def judgements(batch: Batch, coarse: list[CoarseJob]) -> dict[str, End]:
    results = [Result(job, f"key of {job.video.name}", result_of(job)) for job in coarse]
    return judge_missing(batch, [batch.judge(result) for result in results])


def result_of(job: CoarseJob) -> Path:
    clean, _ = moving_square(0, 6, 64, 96, with_object=False)
    return write_frames(job.output_dir / "final" / job.video.name / "propagation", clean)


@pytest.fixture(params=[captions, judgements])
def answers(
    request: pytest.FixtureRequest,
    dataset: Dataset,
    tmp_path: Path,
    prefect_server: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Answers:
    """How each of four videos ends on two GPUs, where two jobs are worth a model."""
    monkeypatch.setattr(model_batches, "_WORTH_A_MODEL", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(caption_module, "ensure_caption_deployment", lambda: None)
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
    batch = Batch(parse([*dataset.flags(tmp_path / "out"), "--gpus", "0,1", "--caption_source", "original"])[0])
    batch.__dict__["caption_gpus"] = (0, 1)  # the palette captioner needs none
    videos = find_videos(batch.settings).videos
    prints = fingerprint_inputs(videos, batch.settings)
    coarse = [batch.coarse(video, prints[video.name]) for video in videos]

    def ask(on_gpu: Callable[[BatchFolder, int | None], None]) -> dict[str, End]:
        def run(folder: BatchFolder, _env: object, _name: str, _timeout: float, gpu: int | None) -> None:
            on_gpu(folder, gpu)
            raise caption_module.CaptionPoolError("ended")

        monkeypatch.setattr(caption_module, "run_caption_batch", run)
        ends = flow(lambda: request.param(batch, coarse), name="model")()
        return {Path(name).name: end for name, end in ends.items()}

    return ask


def answer(folder: BatchFolder, gpu: int | None) -> None:
    for job in folder.read()[1]:
        folder.note_record(job.name, {"by": gpu})


def test_work_is_shared_among_gpus(answers: Answers):
    """Two batches at once, each on its own GPU, every video once."""
    asked: list[tuple[int | None, list[str]]] = []
    both = threading.Barrier(2, timeout=60)

    def on_gpu(folder: BatchFolder, gpu: int | None) -> None:
        asked.append((gpu, [Path(job.name).name for job in folder.read()[1]]))
        both.wait()
        answer(folder, gpu)

    ends = answers(on_gpu)
    assert sorted(asked) == [(0, ["video0", "video2"]), (1, ["video1", "video3"])]
    assert {name: end["record"]["by"] for name, end in ends.items()} == {
        name: index % 2 for index, name in enumerate(NAMES)
    }


def test_a_batch_that_breaks_costs_its_own_share(answers: Answers):
    """As when the server answers with an error: what the other GPU said stays."""

    def on_gpu(folder: BatchFolder, gpu: int | None) -> None:
        if gpu == 1:
            raise RuntimeError("the API is gone")
        answer(folder, gpu)

    ends = answers(on_gpu)
    assert {name for name, end in ends.items() if "record" in end} == {"video0", "video2"}
    assert all("the API is gone" in ends[name]["error"] for name in ("video1", "video3"))
