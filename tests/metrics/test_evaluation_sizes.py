"""Evaluations of what removals really write: other sizes, shorter videos, wide blends, holes at the edges."""

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from evaluation_support import BLEND, HEIGHT, PROCESSING, WIDTH, Case, object_masks, plate
from tests_support import write_frames

from lib.errors import InputError
from lib.metrics.definitions import METRICS
from lib.metrics.evaluation import ClipFiles, Protocol, evaluate_clip
from lib.metrics.moment import Moment
from lib.metrics.scores import Scores
from lib.removers.base import RemovalRequest, RemovalResult
from lib.removers.clip_removal import remove_from_clip
from lib.removers.propagation import PropagationRemover
from lib.settings import Processing
from lib.video.compose import Blend, Feather, GaussianBlend
from lib.video.datasets import Video

OF_NETWORKS = {"lpips", "vfid", "temporal_consistency"}


class GreenRemover(PropagationRemover):
    """Fills everything, so that every pixel of the source that is left is left by composing."""

    name = "green"
    blend = GaussianBlend()

    def remove(self, request: RemovalRequest) -> RemovalResult:
        return RemovalResult(np.full_like(request.frames, (20, 200, 40)))


@pytest.fixture
def case(tmp_path) -> Case:
    return Case(tmp_path, plate(), object_masks(speed=3))


def evaluated(case: Case, result: Path, processing: Processing, blend: Blend, protocol: Protocol = "plain") -> Scores:
    files = ClipFiles(case.folder / "source", case.folder / "masks", result, case.truth)
    return evaluate_clip(files, processing, blend, protocol=protocol)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"feather": 0},
        {"feather": 6},
        {"mask_dilation_iter": 0},
        {"max_img_size": 64},
        {"width": 90},
        {"height": 96, "width": 96},
        {"height": 41, "width": 67, "max_img_size": 64, "feather": 3},
        {"video_length": 2},
    ],
)
def test_what_was_kept_is_kept_to_the_bit_whatever_the_sizes(case, changes):
    """The evaluation finds the very hole of the removal: one pixel off, and the green fill would show."""
    processing = Processing(**changes)
    video = Video(name="clip", video_path=case.folder / "source", mask_path=case.folder / "masks")
    remove_from_clip(video, case.folder, GreenRemover(), processing, lossless=True)
    blend = GaussianBlend() if processing.feather is None else Feather(processing.feather)
    scores = evaluated(case, case.folder / "green.mkv", processing, blend)
    assert scores.values["max_difference_kept"] == 0
    assert scores.values["psnr_inside"] < 20 < scores.values["psnr_outside"]
    assert scores.frames == (2 if "video_length" in changes else 6)
    if blend.reach > 2:  # the check would see what the blend changes
        closer = evaluated(case, case.folder / "green.mkv", processing, Feather(blend.reach - 2))
        assert closer.values["max_difference_kept"] > 0


def test_a_truth_is_stretched_as_the_source_was(case):
    stretched = np.stack([cv2.resize(frame, (HEIGHT, HEIGHT), interpolation=cv2.INTER_AREA) for frame in case.clean])
    result = case.lossless("stretched", stretched)
    values = evaluated(case, result, PROCESSING.model_copy(update={"width": HEIGHT, "height": HEIGHT}), BLEND).values
    assert values["psnr"] == 100 and values["psnr_inside"] == 100


def test_wide_feathers_leave_surroundings_to_tell_flicker_by(case):
    result = case.lossless("result", case.clean)
    narrow, wide = (evaluated(case, result, PROCESSING, Feather(reach)).values for reach in (0, 20))
    assert wide["flicker_inside"] == narrow["flicker_inside"]


@pytest.mark.parametrize("protocol", ["plain", "propainter"])
@pytest.mark.parametrize("frames", [1, 2])
def test_every_metric_without_networks_has_a_number_or_a_reason(tmp_path, protocol, frames):
    case = Case(tmp_path, plate(frames), object_masks(frames))
    scores = evaluated(case, case.lossless("result", case.clean), PROCESSING, BLEND, protocol)
    assert set(scores.values) | set(scores.unavailable) == set(METRICS) - OF_NETWORKS
    assert not set(scores.values) & set(scores.unavailable)
    assert "flicker_inside" in scores.unavailable


def test_holes_that_fill_the_frames_leave_reasons(tmp_path):
    case = Case(tmp_path, plate(3), np.ones((3, HEIGHT, WIDTH), bool))
    scores = evaluated(case, case.lossless("result", case.clean), PROCESSING, BLEND)
    missing = {"psnr_outside", "ssim_outside", "flicker_inside", "max_difference_kept"}
    assert set(scores.unavailable) == missing
    assert scores.unavailable["psnr_outside"] == "the holes fill all frames"
    assert scores.values["hole_share"] == 1 and scores.values["psnr_inside"] == 100


def test_frames_smaller_than_the_window_of_ssim(tmp_path):
    source = np.full((3, 6, 30, 3), 90, np.uint8)
    masks = np.zeros((3, 6, 30), np.uint8)
    masks[:, 2:4, 10:14] = 255
    paths = [write_frames(tmp_path / name, list(clip)) for name, clip in (("s", source), ("m", masks), ("r", source))]
    truth = write_frames(tmp_path / "t", list(source + np.uint8(40)))
    scores = evaluate_clip(ClipFiles(*paths, truth), Processing(mask_dilation_iter=0), Feather(0))[0]
    assert "30x6 are smaller than the window of 7" in scores.unavailable["ssim"]
    assert scores.values["psnr"] == pytest.approx(20 * np.log10(255 / 40), abs=1e-4)


def test_a_source_that_ends_before_its_result_names_both(case):
    result = case.lossless("result", np.concatenate([case.clean, case.clean]))
    with pytest.raises(InputError, match=r"source: holds 6 frames, its result .*result\.mkv 12"):
        evaluated(case, result, PROCESSING, BLEND)


class Watching:
    """Sees what metrics see."""

    keys: ClassVar[tuple[str, ...]] = ("lpips",)

    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def add(self, moment: Moment) -> None:
        self.moments.append(moment)

    def values(self) -> dict[str, float]:
        return {"lpips": 0.25}

    def unavailable(self) -> dict[str, str]:
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"i3d_result": np.ones(3), "i3d_truth": np.zeros(3)}


@pytest.mark.parametrize(("protocol", "size"), [("plain", (HEIGHT, WIDTH)), ("propainter", (240, 432))])
def test_metrics_see_one_frame_and_the_one_before(case, protocol, size):
    watching, shares = Watching(), []
    files = ClipFiles(case.folder / "source", case.folder / "masks", case.lossless("r", case.clean), case.truth)
    scores, arrays = evaluate_clip(
        files, PROCESSING, BLEND, protocol=protocol, networks=[watching], report=shares.append
    )
    assert [moment.index for moment in watching.moments] == list(range(6))
    for before, moment in zip([None, *watching.moments], watching.moments, strict=False):
        assert all(frame.shape[:2] == size for frame in (moment.source, moment.result, moment.hole, moment.kept))
        assert not (moment.hole & moment.kept).any()
        if before:
            assert moment.previous and moment.previous.result is before.result
            assert moment.previous.previous is None, "a clip would be kept in memory"
    assert scores.values["lpips"] == 0.25 and set(arrays) == {"i3d_result", "i3d_truth"}
    assert shares == pytest.approx([n / 6 for n in range(1, 7)])


def test_what_networks_measured_against_no_real_truth_is_dropped(case):
    result = case.lossless("r", case.clean)
    for truth in (None, case.folder / "source"):
        files = ClipFiles(case.folder / "source", case.folder / "masks", result, truth)
        scores, arrays = evaluate_clip(files, PROCESSING, BLEND, networks=[Watching()])
        assert "lpips" not in scores.values and {"lpips", "vfid"} <= set(scores.unavailable)
        assert set(arrays) == {"i3d_result"}
