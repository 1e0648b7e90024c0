"""Scores against closed forms and scikit-image, and cases whose numbers are known."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from evaluation_support import BLEND, HEIGHT, PROCESSING, WIDTH, Case, object_masks, plate
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from lib.errors import InputError
from lib.metrics.definitions import METRICS
from lib.metrics.evaluation import NO_TRUTH, TRUTH_IS_INPUT, ClipFiles, evaluate_clip
from lib.metrics.scores import read_scores
from lib.metrics.truth import PSNR_OF_EQUAL
from lib.video.writer import write_clip

TRUTH_KEYS = {"psnr", "psnr_inside", "psnr_outside", "ssim", "ssim_inside", "ssim_outside", "lpips", "vfid"}


@pytest.fixture
def case(tmp_path) -> Case:
    return Case(tmp_path, plate(), object_masks(speed=3))


def test_the_truth_itself_is_perfect(case):
    values = case.scores(case.clean).values
    assert all(values[f"psnr{where}"] == PSNR_OF_EQUAL for where in ("", "_inside", "_outside"))
    assert all(values[f"ssim{where}"] == pytest.approx(1) for where in ("", "_inside", "_outside"))


def test_a_constant_offset_has_the_psnr_of_the_formula(case):
    offset = case.clean.copy()
    offset[case.holes] += 7
    values = case.scores(offset).values
    assert values["psnr_inside"] == pytest.approx(20 * np.log10(255 / 7), abs=1e-4)
    assert values["psnr"] == pytest.approx(10 * np.log10(255**2 / (49 * case.holes.mean())), abs=1e-4)
    assert values["psnr_outside"] == PSNR_OF_EQUAL


def test_whole_frames_against_scikit_image(case):
    noisy = _noisy(case.clean)
    values = case.scores(noisy).values
    pairs = list(zip(case.clean, noisy, strict=True))
    ssim = [structural_similarity(a, b, channel_axis=-1, data_range=255) for a, b in pairs]
    assert values["psnr"] == pytest.approx(peak_signal_noise_ratio(case.clean, noisy, data_range=255), abs=1e-4)
    assert values["ssim"] == pytest.approx(np.mean(ssim), abs=1e-4)


def test_the_papers_protocol_against_scikit_image(case):
    noisy = _noisy(case.clean)
    scores = case.scores(noisy, protocol="propainter")
    resized = [[cv2.resize(f, (432, 240), interpolation=cv2.INTER_CUBIC) for f in clip] for clip in (case.clean, noisy)]
    pairs = list(zip(*resized, strict=True))
    ssim = [structural_similarity(a, b, channel_axis=-1, data_range=255, win_size=65) for a, b in pairs]
    psnr = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    assert scores.values["psnr"] == pytest.approx(np.mean(psnr), abs=1e-3)
    assert scores.values["ssim"] == pytest.approx(np.mean(ssim), abs=1e-4)
    assert "432x240" in scores.unavailable["max_difference_kept"]


def test_nothing_changes_beyond_the_blend_before_encoding(case):
    filled = np.full_like(case.clean, 90)
    assert case.scores(case.composed(filled)).values["max_difference_kept"] == 0
    touched = case.composed(filled)
    touched[2, 0, 0, 1] ^= 4
    assert case.scores(touched).values["max_difference_kept"] == 4


def test_encoding_is_what_an_mp4_changes_elsewhere(case):
    path = case.folder / "result.mp4"
    write_clip(path, case.clean, Fraction(24))
    files = ClipFiles(case.folder / "source", case.folder / "masks", path, case.truth)
    values = evaluate_clip(files, PROCESSING, BLEND)[0].values
    assert 0 < values["max_difference_kept"] < 60
    assert 25 < values["psnr_outside"] < PSNR_OF_EQUAL


def test_no_ground_truth_is_said(case):
    scores = case.scores(case.clean, truth=None)
    assert {key for key, why in scores.unavailable.items() if why == NO_TRUTH} == TRUTH_KEYS
    assert not TRUTH_KEYS & set(scores.values)
    assert {"warp_error_inside", "flicker_inside", "max_difference_kept", "hole_share"} <= set(scores.values)


@pytest.mark.parametrize("kind", ["the very frames", "encoded again"])
def test_the_video_as_its_own_truth_scores_nothing_in_the_hole(case, kind):
    truth = case.folder / "source"
    if kind == "encoded again":
        truth = case.folder / "source.mp4"
        write_clip(truth, case.source, Fraction(24))
    scores = case.scores(case.clean, truth=truth)
    assert {key for key, why in scores.unavailable.items() if why == TRUTH_IS_INPUT} == TRUTH_KEYS - {
        "psnr_outside",
        "ssim_outside",
    }
    assert scores.values["psnr_outside"] > 25


def test_a_truth_of_another_size_is_scaled_and_of_another_shape_refused(case):
    large = np.stack([cv2.resize(f, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST) for f in case.clean])
    assert case.scores(case.clean, truth=case.lossless("large", large)).values["psnr_inside"] == PSNR_OF_EQUAL
    square = case.lossless("square", np.ascontiguousarray(large[:, :, :HEIGHT]))
    assert "another aspect ratio" in case.scores(case.clean, truth=square).unavailable["psnr"]


def test_a_truth_that_ends_early_names_both_files(case):
    with pytest.raises(InputError, match=r"short\.mkv: the ground truth ends after 4 frames, .*result\.mkv has 6"):
        case.scores(case.clean, truth=case.lossless("short", case.clean[:4]))


def test_flicker_is_the_amplitude(case):
    flickering = case.clean.copy()
    for n, hole in enumerate(case.holes):
        flickering[n][hole] = 100 + (6 if n % 2 else -6)
    still = np.where(case.holes[..., None], np.uint8(100), case.clean)
    base = _flicker(case, still)
    assert _flicker(case, flickering) == pytest.approx(6, abs=base + 0.01)
    drifting = case.clean.copy()
    for n, hole in enumerate(case.holes):
        drifting[n][hole] = 100 + 4 * n
    assert _flicker(case, drifting) <= base + 0.01


def _flicker(case: Case, result: np.ndarray) -> float:
    return case.scores(result).values["flicker_inside"]


def test_the_warp_error_follows_the_scene_and_not_the_object(tmp_path):
    """The background moves by 2 pixels a frame, the object in front of it by 5 the other way."""
    clean = plate(frames=5, shift=2)
    case = Case(tmp_path, clean, object_masks(frames=5, speed=-5))
    truth = case.scores(clean).values["warp_error_inside"]
    frozen = case.composed(np.broadcast_to(clean[:1], clean.shape).copy())
    flickering = clean.copy()
    flickering[1::2][case.holes[1::2]] += 8
    assert truth < 3
    assert case.scores(frozen).values["warp_error_inside"] > 4 * truth
    assert case.scores(flickering).values["warp_error_inside"] == pytest.approx(8, abs=2 * truth)
    assert case.scores(case.source).values["warp_error_inside"] > 2 * truth


def test_hole_statistics(tmp_path):
    masks = object_masks()
    masks[:3] = False
    case = Case(tmp_path, plate(), masks)
    values = case.scores(case.clean).values
    share = case.holes[3].mean()
    assert values["hole_share_max"] == pytest.approx(share, abs=1e-6)
    assert values["hole_share"] == pytest.approx(share / 2, abs=1e-6)
    assert values["hole_frames"] == 0.5


def test_every_number_has_a_definition_and_survives_json(case, tmp_path):
    scores = case.scores(case.clean)
    assert set(scores.values) | set(scores.unavailable) <= set(METRICS)
    assert all(metric.definition and metric.label and metric.source for metric in METRICS.values())
    path = tmp_path / "metrics.json"
    path.write_text(scores.model_dump_json())
    assert read_scores(path) == scores
    path.write_text("[]")
    with pytest.raises(InputError, match=r"metrics\.json: holds no metrics"):
        read_scores(path)


def _noisy(clean: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(9).normal(0, 12, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8)
