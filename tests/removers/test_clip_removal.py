"""From files to files: what an engine is handed, how its result is composed, what is written."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests_support import Dataset

from lib.anchor.base import AnchorInpainter
from lib.notes import Note
from lib.removers.base import RemovalRequest, RemovalResult
from lib.removers.clip_removal import GivenPrior, Guidance, RemovalOutcome, remove_from_clip
from lib.removers.propagation import PropagationRemover
from lib.settings import Processing
from lib.video.clip import read_clip
from lib.video.compose import Blend, Feather, GaussianBlend, compose
from lib.video.datasets import Video
from lib.video.masks import dilate

FILL, PRIOR = 200, 90


class GrayAnchor(AnchorInpainter):
    name = "gray"
    notes = ("gray it is",)

    def for_video(self, video_name: str) -> "GrayAnchor":
        other = GrayAnchor()
        other.name = f"gray for {video_name}"
        return other

    def inpaint(
        self, frame: Image.Image, mask: Image.Image, prompt: str | None = None, n_prompt: str | None = None
    ) -> Image.Image:
        return frame


class FlatRemover(PropagationRemover):
    """An engine on multiples of 8 that starts from another's result and remembers what it was given."""

    name = "flat"
    size_multiple = 8
    blend: Blend = GaussianBlend()  # type: ignore[assignment]
    prior = PropagationRemover()  # type: ignore[assignment]

    def remove(self, request: RemovalRequest) -> RemovalResult:
        self.request = request
        result = RemovalResult(np.full_like(request.frames, FILL), prior=request.prior, notes=["flat"])
        result.anchor_frame = request.frames[request.anchor_frame_idx] if request.anchor else None
        return result


@pytest.fixture
def video(dataset: Dataset) -> Video:
    dataset.add("bear", frames=3, height=60, width=90)
    return Video(name="bear", video_path=dataset.videos / "bear", mask_path=dataset.masks / "bear")


def remove(
    video: Video, folder: Path, processing: Processing | None = None, guidance: Guidance | None = None
) -> tuple[FlatRemover, RemovalOutcome]:
    def make_prior(request: RemovalRequest, fps: Fraction) -> GivenPrior:
        assert request.frames.shape[:3] == request.masks.shape == (3, 60, 90)
        assert fps == 24 and request.video_name == "bear"
        return GivenPrior(np.full_like(request.frames, PRIOR), {"prior_windows": 1}, {"flow": 0.5})

    remover = FlatRemover()
    return remover, remove_from_clip(
        video, folder, remover, processing or Processing(), guidance, make_prior=make_prior, lossless=True
    )


def masks_of(video: Video) -> np.ndarray:
    masks = np.stack([np.asarray(Image.open(path)) > 0 for path in sorted(video.mask_path.iterdir())])
    return dilate(masks, 4)


def test_the_result_is_composed_as_the_engine_does_it_unless_told_otherwise(video, tmp_path):
    frames, masks = read_clip(video.video_path).frames, masks_of(video)
    fill = np.full_like(frames, FILL)
    for feather, blend in ((None, GaussianBlend()), (5, Feather(5))):
        remove(video, tmp_path, Processing(feather=feather))
        wanted = np.stack(list(compose(frames, fill, masks, blend)))
        assert np.array_equal(read_clip(tmp_path / "flat.mkv").frames, wanted)


def test_the_prior_is_handed_on_and_is_a_product_of_its_own(video, tmp_path):
    remover, outcome = remove(video, tmp_path)
    assert remover.request.frames.shape[1:3] == (64, 96)
    assert remover.request.prior is not None
    assert remover.request.prior.shape == remover.request.frames.shape
    assert {path.name for path in outcome.paths} == {"flat.mp4", "flat.mkv", "propagation.mp4"}
    shown = read_clip(tmp_path / "propagation.mp4").frames
    assert shown.shape == (3, 60, 90, 3)
    assert abs(shown[masks_of(video)].mean() - PRIOR) < 3
    assert outcome.facts["prior_windows"] == 1 and outcome.seconds["prior.flow"] == 0.5


def test_anchor_and_words_reach_the_request(video, tmp_path):
    guidance = Guidance(GrayAnchor(), 99, "wall", "man", "lake", "duck", 1.5)
    remover, outcome = remove(video, tmp_path, guidance=guidance)
    request = remover.request
    assert request.anchor is not None and request.anchor.name == "gray for bear"
    assert request.anchor_frame_idx == 2  # the last one there is
    assert (request.anchor_prompt, request.anchor_n_prompt) == ("wall", "man")
    assert (request.prompt, request.n_prompt, request.text_guidance_scale) == ("lake", "duck", 1.5)
    assert Image.open(tmp_path / "anchor_frame.png").size == (90, 60)
    assert outcome.notes == [Note("flat"), Note("gray it is")]


def test_without_guidance_nothing_is_said(video, tmp_path):
    remover, outcome = remove(video, tmp_path)
    request = remover.request
    assert request.anchor is None
    assert [request.anchor_prompt, request.prompt, request.n_prompt, request.text_guidance_scale] == ["", "", "", 0.0]
    assert outcome.notes == [Note("flat")]


class PartwiseRemover(FlatRemover):
    """Hands its frames over as they are made."""

    def remove(self, request: RemovalRequest) -> RemovalResult:
        result = super().remove(request)
        result.frames[:] = np.arange(len(result.frames), dtype=np.uint8)[:, None, None, None] * 40
        request.deliver(result.frames[:1])
        request.deliver(result.frames[1:2])
        return result


def test_frames_that_are_handed_over_early_make_the_same_clip(video: Video, tmp_path: Path) -> None:
    class LateRemover(PartwiseRemover):
        def remove(self, request: RemovalRequest) -> RemovalResult:
            return super().remove(dataclasses.replace(request, deliver=lambda _frames: None))

    for name, engine in (("early", PartwiseRemover()), ("late", LateRemover())):
        remove_from_clip(video, tmp_path / name, engine, Processing())
    early, late = ((tmp_path / name / "flat.mp4").read_bytes() for name in ("early", "late"))
    assert early == late


def test_an_engine_that_fails_leaves_no_half_clip(video: Video, tmp_path: Path) -> None:
    class FailingRemover(PartwiseRemover):
        def remove(self, request: RemovalRequest) -> RemovalResult:
            super().remove(request)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        remove_from_clip(video, tmp_path / "out", FailingRemover(), Processing())
    assert not list((tmp_path / "out").glob("*"))
