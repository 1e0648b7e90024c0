"""Each metric alone, fed with frames whose numbers are known in closed form."""

from collections.abc import Sequence

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from lib.metrics.flow import FlowEstimator
from lib.metrics.hole import Flicker, HoleStatistics, KeptDifference
from lib.metrics.moment import Accumulator, Moment
from lib.metrics.truth import PSNR_OF_EQUAL, Psnr, Ssim, TruthCheck, psnr_of
from lib.metrics.warp_error import WarpError

SIZE = (40, 60)
C1 = (0.01 * 255) ** 2  # of SSIM's formula, Wang et al. 2004


class SteadyFlow:
    """The same motion everywhere."""

    name = "steady"

    def __init__(self, x: float, y: float = 0.0) -> None:
        self._step = np.array([x, y], np.float32)

    def __call__(self, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        forth = np.broadcast_to(self._step, (*start.shape[:2], 2)).copy()
        return forth, -forth


def box(top: int = 12, bottom: int = 28, left: int = 20, right: int = 44) -> np.ndarray:
    hole = np.zeros(SIZE, bool)
    hole[top:bottom, left:right] = True
    return hole


def flat(level: float) -> np.ndarray:
    return np.full((*SIZE, 3), level, np.uint8)


def in_hole(inside: int, around: int, hole: np.ndarray | None = None) -> np.ndarray:
    return np.where((box() if hole is None else hole)[..., None], flat(inside), flat(around))


def textured(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(30, 220, (*SIZE, 3), np.uint8)


def fed(
    metric: Accumulator,
    results: Sequence[np.ndarray],
    *,
    truths: Sequence[np.ndarray] | None = None,
    sources: Sequence[np.ndarray] | None = None,
    holes: Sequence[np.ndarray] | None = None,
) -> Accumulator:
    """The metric after a clip; without sources the results are the sources too."""
    previous = None
    for index, result in enumerate(results):
        hole = holes[index] if holes is not None else box()
        truth = None if truths is None else truths[index]
        source = result if sources is None else sources[index]
        metric.add(Moment(index, source, result, truth, hole, ~hole, previous))
        previous = Moment(index, source, result, truth, hole, ~hole)
    return metric


def test_psnr_has_the_closed_form_in_each_region():
    values = fed(Psnr(per_frame=False), [in_hole(110, 103)], truths=[flat(100)]).values()
    share = box().mean()
    assert values["psnr_inside"] == pytest.approx(20 * np.log10(255 / 10))
    assert values["psnr_outside"] == pytest.approx(20 * np.log10(255 / 3))
    assert values["psnr"] == pytest.approx(10 * np.log10(255**2 / (100 * share + 9 * (1 - share))))


def test_papers_average_decibels_and_plain_averages_errors():
    results, truths = [flat(110), flat(102)], [flat(100), flat(100)]
    papers = fed(Psnr(per_frame=True), results, truths=truths).values()["psnr"]
    plain = fed(Psnr(per_frame=False), results, truths=truths).values()["psnr"]
    assert papers == pytest.approx((20 * np.log10(25.5) + 20 * np.log10(127.5)) / 2)
    assert plain == pytest.approx(10 * np.log10(255**2 / 52))


def test_large_and_small_holes_weigh_by_their_pixels_unless_papers_are_followed():
    small, large = box(12, 14, 20, 24), box()
    results = [in_hole(120, 100, small), flat(100)]
    truths = [flat(100), flat(100)]
    plain = fed(Psnr(per_frame=False), results, truths=truths, holes=[small, large]).values()["psnr_inside"]
    papers = fed(Psnr(per_frame=True), results, truths=truths, holes=[small, large]).values()["psnr_inside"]
    assert plain == pytest.approx(10 * np.log10(255**2 / (400 * 8 / (8 + 16 * 24))))
    assert papers == pytest.approx((20 * np.log10(255 / 20) + PSNR_OF_EQUAL) / 2)


def test_no_error_gives_the_cap_and_none_gives_more():
    assert psnr_of(0) == psnr_of(1e-9) == PSNR_OF_EQUAL
    assert psnr_of(1) == pytest.approx(48.1308, abs=1e-4)


def test_ssim_of_even_pictures_has_a_closed_form():
    """Without variance only the luminance term is left, everywhere the same."""
    values = fed(Ssim(7), [flat(90)], truths=[flat(140)]).values()
    wanted = (2 * 90 * 140 + C1) / (90**2 + 140**2 + C1)
    assert values == {key: pytest.approx(wanted, abs=1e-5) for key in ("ssim", "ssim_inside", "ssim_outside")}


@pytest.mark.parametrize("window", [7, 25])
def test_ssim_of_a_region_is_scikit_images_map_read_there(window):
    truths = [textured(1), textured(2)]
    results = [np.clip(t + np.random.default_rng(5).normal(0, 20, t.shape), 0, 255).astype(np.uint8) for t in truths]
    values = fed(Ssim(window), results, truths=truths).values()
    maps = [
        structural_similarity(a, b, win_size=window, channel_axis=-1, data_range=255, full=True)
        for a, b in zip(truths, results, strict=True)
    ]
    hole = box()
    assert values["ssim"] == pytest.approx(np.mean([found[0] for found in maps]), abs=1e-5)
    assert values["ssim_inside"] == pytest.approx(np.mean([found[1][hole] for found in maps]), abs=1e-5)
    assert values["ssim_outside"] == pytest.approx(np.mean([found[1][~hole] for found in maps]), abs=1e-5)


def test_a_window_wider_than_the_frame_is_a_reason_and_no_crash():
    metric = fed(Ssim(65), [flat(90)], truths=[flat(90)])
    assert metric.values() == {}
    reason = "frames of 60x40 are smaller than the window of 65"
    assert metric.unavailable() == dict.fromkeys(("ssim", "ssim_inside", "ssim_outside"), reason)


@pytest.mark.parametrize(
    ("hole", "region", "reason"),
    [(np.zeros(SIZE, bool), "inside", "no frame has a hole"), (np.ones(SIZE, bool), "outside", "fill all frames")],
)
@pytest.mark.parametrize("metric", [Psnr(per_frame=False), Psnr(per_frame=True), Ssim(7)])
def test_a_region_without_pixels_is_a_reason(metric, hole, region, reason):
    fresh = type(metric)(per_frame=True) if isinstance(metric, Psnr) else Ssim(7)
    fed(fresh, [flat(90)], truths=[flat(95)], holes=[hole])
    key = f"{fresh.keys[0]}_{region}"
    assert key not in fresh.values() and reason in fresh.unavailable()[key]
    assert set(fresh.values()) | set(fresh.unavailable()) == set(fresh.keys)


@pytest.mark.parametrize(
    ("inside", "around", "is_input"),
    [(0, 0, True), (2, 0, True), (4, 0, False), (4, 3, True), (7, 3, False), (15, 12, False)],
)
def test_a_truth_that_differs_as_little_in_the_hole_as_elsewhere_is_the_input(inside, around, is_input):
    check, hole = TruthCheck(), box()
    check.add(Moment(0, flat(100), flat(0), in_hole(100 + inside, 100 + around), hole, ~hole))
    assert check.is_input is is_input


def test_without_holes_or_truth_nothing_says_that_the_truth_is_the_input():
    empty = np.zeros(SIZE, bool)
    for truth, hole in ((flat(100), empty), (None, box())):
        check = TruthCheck()
        check.add(Moment(0, flat(100), flat(100), truth, hole, ~hole))
        assert not check.is_input


def test_the_largest_difference_counts_where_nothing_was_to_change():
    result = in_hole(200, 100)
    result[0, 0] = (100, 97, 102)
    values = fed(KeptDifference(), [flat(100), result], sources=[flat(100)] * 2).values()
    assert values == {"max_difference_kept": 3}
    full = fed(KeptDifference(), [flat(1)], holes=[np.ones(SIZE, bool)])
    assert full.values() == {} and "fill all frames" in full.unavailable()["max_difference_kept"]


def test_hole_statistics_are_shares():
    holes = [np.zeros(SIZE, bool), box(0, 10, 0, 60), box(0, 20, 0, 60), np.zeros(SIZE, bool)]
    values = fed(HoleStatistics(), [flat(0)] * 4, holes=holes).values()
    assert values == pytest.approx({"hole_share": 0.1875, "hole_share_max": 0.5, "hole_frames": 0.5})


@pytest.mark.parametrize(
    ("levels", "flicker"),
    [([106, 94, 106, 94, 106], 6), ([90, 94, 98, 102, 106], 0), ([100] * 5, 0), ([100, 100, 108, 100, 100], 8 / 3)],
)
def test_flicker_is_the_amplitude_and_a_steady_drift_has_none(levels, flicker):
    """A flash of 8: the three inner frames deviate by 4, 8 and 4 from their neighbours, and half of that counts."""
    assert _flicker_of(levels, [100] * 5) == pytest.approx(flicker)


def test_a_scene_that_flickers_itself_is_no_fault_of_the_result():
    blinking = [110, 90, 110, 90, 110]
    assert _flicker_of(blinking, blinking) == 0
    assert _flicker_of([100] * 5, blinking) == pytest.approx(10)


def test_flicker_needs_three_frames_in_a_row():
    holes = [box(), box(), np.zeros(SIZE, bool), box(), box()]
    metric = fed(Flicker(), [flat(100)] * 5, holes=holes)
    assert metric.values() == {} and "three frames in a row" in metric.unavailable()["flicker_inside"]


def _flicker_of(hole_levels: list[int], scene_levels: list[int]) -> float:
    results = [in_hole(a, b) for a, b in zip(hole_levels, scene_levels, strict=True)]
    return fed(Flicker(), results, sources=[flat(b) for b in scene_levels]).values()["flicker_inside"]


def _moved(step: int, frames: int = 4) -> list[np.ndarray]:
    """Texture that moves right by `step` pixels a frame."""
    wide = np.random.default_rng(3).integers(0, 250, (SIZE[0], SIZE[1] + 40, 3), np.uint8)
    return [np.ascontiguousarray(wide[:, 40 - n * step : 100 - n * step]) for n in range(frames)]


def _warp_error_of(results: Sequence[np.ndarray], flow: FlowEstimator) -> Accumulator:
    return fed(WarpError(flow), results)


def test_a_known_shift_has_no_warp_error_along_its_motion():
    moved = _moved(3)
    assert _warp_error_of(moved, SteadyFlow(-3)).values()["warp_error_inside"] == pytest.approx(0, abs=1e-3)
    changes = [np.abs(a.astype(int) - b)[box()].mean() for a, b in zip(moved[1:], moved, strict=False)]
    assert _warp_error_of(moved, SteadyFlow(0)).values()["warp_error_inside"] == pytest.approx(np.mean(changes))


def test_a_brightness_that_jumps_by_five_has_a_warp_error_of_five():
    moved = [frame + np.uint8(5 * (n % 2)) for n, frame in enumerate(_moved(3))]
    assert _warp_error_of(moved, SteadyFlow(-3)).values()["warp_error_inside"] == pytest.approx(5)


def test_pixels_that_come_from_outside_the_frame_do_not_count():
    """A hole at the border of a scene that moves right by 3: the first 3 columns have no predecessor."""
    hole, entered = box(left=0, right=10), np.zeros(SIZE, bool)
    entered[:, :3] = True
    metric = fed(WarpError(SteadyFlow(-3)), [flat(100), in_hole(200, 100, entered)], holes=[hole, hole])
    assert metric.values() == {"warp_error_inside": 0}


@pytest.mark.parametrize("kind", ["one frame", "no hole", "all moves out of the frame"])
def test_a_warp_error_that_cannot_be_had_has_a_reason(kind):
    frames = _moved(1, frames=1 if kind == "one frame" else 3)
    holes = [np.zeros(SIZE, bool)] * len(frames) if kind == "no hole" else None
    metric = fed(WarpError(SteadyFlow(100 if kind.startswith("all") else 0)), frames, holes=holes)
    assert metric.values() == {}
    assert "forth and back agree" in metric.unavailable()["warp_error_inside"]
