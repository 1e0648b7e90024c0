"""Colour science against published values, and tags."""

import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lib.errors import InputError
from lib.video.colour import ColourTags, check_tags, reads_plainly, tags_of
from lib.video.decode import to_array
from lib.video.primaries import rgb_matrix
from lib.video.sdr import from_sdr, to_sdr
from lib.video.transfer import (
    hlg_gain,
    hlg_inverse_gain,
    hlg_to_scene,
    nits_to_pq,
    pq_to_nits,
    scene_to_hlg,
    tone_map,
    tone_unmap,
)

BT709 = ColourTags(1, 1, 1, False)
HLG, PQ = ColourTags(9, 18, 9, False), ColourTags(9, 16, 9, False)
BT2020, DISPLAY_P3, DCI = ColourTags(9, 14, 9, False), ColourTags(1, 13, 12, False), ColourTags(1, 1, 11, False)
PATH = Path("clip.mov")


def frame_of(pixel_format="yuv420p", size=(64, 64), matrix=2, transfer=2, primaries=2, span=0):
    frame = av.VideoFrame(size[1], size[0], pixel_format)
    frame.colorspace, frame.color_trc, frame.color_primaries, frame.color_range = matrix, transfer, primaries, span
    return frame


def psnr(found, expected):
    return -10 * np.log10(np.mean((found.astype(float) - expected) ** 2))


def gray(value, tags):
    return int(to_sdr(np.full((1, 1, 3), round(value * 65535), np.uint16), tags)[0, 0, 0])


def signals(tags, brightest_code, seed=0):
    """Smooth R'G'B' 0..1 with these tags, within BT.709's gamut and below a code of SDR; made without tables."""
    small = np.random.default_rng(seed).random((9, 16, 3)).astype(np.float32)
    light = cv2.resize(small, (320, 180), interpolation=cv2.INTER_LINEAR).astype(float)
    light = (light * brightest_code / 255) ** 2.4
    if tags.transfer == 13:
        light = (cv2.resize(small, (320, 180)).astype(float) * brightest_code / 255) ** 2.2
    light = np.maximum(light, 2e-4) @ rgb_matrix(1, tags.primaries).T
    if tags.transfer == 16:
        return nits_to_pq(light * 203)
    if tags.transfer == 18:
        display = light * 0.203
        return scene_to_hlg(display * hlg_inverse_gain(display @ [0.2627, 0.6780, 0.0593])[..., None])
    return light ** (1 / 2.4)


def test_pq_and_hlg_have_the_levels_of_bt2408():
    assert pq_to_nits(np.array([0.0, 0.5806, 0.7518, 1.0])) == pytest.approx([0, 203, 1000, 10000], rel=2e-3)
    assert nits_to_pq(np.array([100.0, 203, 1000, 4000])) == pytest.approx([0.508, 0.581, 0.752, 0.903], abs=1e-3)
    scene = hlg_to_scene(np.array([0.5, 0.75, 1.0]))
    assert scene == pytest.approx([1 / 12, 0.265, 1], abs=1e-3)
    assert 1000 * (scene * hlg_gain(scene))[1:] == pytest.approx([203, 1000], rel=5e-3)


def test_curves_have_inverses():
    signal = np.linspace(0, 1, 1001)
    assert nits_to_pq(pq_to_nits(signal)) == pytest.approx(signal, abs=1e-6)
    assert scene_to_hlg(hlg_to_scene(signal)) == pytest.approx(signal, abs=1e-6)
    light = np.linspace(0.001, 1, 100)
    shown = light * hlg_gain(light)
    assert shown * hlg_inverse_gain(shown) == pytest.approx(light)


def test_tone_mapping_is_the_identity_below_its_knee_then_rolls_off_to_white():
    knee = pq_to_nits(1.5 * nits_to_pq(np.array(203.0)) - 0.5 * nits_to_pq(np.array(1000.0)))
    low, all_of_it = np.linspace(0, knee * 0.999, 100), np.linspace(0, 1000, 5001)
    assert np.array_equal(tone_map(low), low)
    mapped = tone_map(all_of_it)
    assert (np.diff(mapped) > 0).all()
    assert (mapped <= all_of_it + 1e-6).all()
    assert tone_map(np.array([1000.0, 4000.0])) == pytest.approx([203, 203])
    assert tone_unmap(mapped[:-20]) == pytest.approx(all_of_it[:-20], rel=1e-3, abs=1e-2)


def test_tone_mapping_takes_the_stated_peak():
    assert tone_map(np.array(4000.0), peak=4000) == pytest.approx(203)
    assert tone_map(np.array(1000.0), peak=4000) < 203


def test_primaries_have_the_matrix_of_bt2407_and_bt2087():
    expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert rgb_matrix(9, 1) == pytest.approx(np.array(expected), abs=1e-4)
    back = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    assert rgb_matrix(1, 9) == pytest.approx(np.array(back), abs=1e-4)


@pytest.mark.parametrize("primaries", [4, 5, 6, 7, 8, 9, 11, 12, 22])
def test_white_stays_white(primaries):
    assert rgb_matrix(primaries, 1).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("tags", [BT2020, DISPLAY_P3, DCI])
def test_grays_of_sdr_keep_their_numbers(tags):
    assert [gray(code / 255, tags) for code in range(0, 256, 5)] == list(range(0, 256, 5))


def test_reference_white_of_hdr_is_nearly_white_and_the_peak_is_white():
    assert gray(0.5807, PQ) == pytest.approx(gray(0.75, HLG), abs=1)
    assert 225 < gray(0.75, HLG) < 235
    assert gray(0.7519, PQ) == gray(1, PQ) == gray(1, HLG) == 255
    assert gray(0, PQ) == gray(0, HLG) == 0


def test_below_the_knee_light_is_as_bright_as_it_is():
    assert gray(nits_to_pq(np.array(50.0)), PQ) == pytest.approx(255 * (50 / 203) ** (1 / 2.4), abs=0.6)


def test_hues_of_saturated_highlights_hold():
    red = nits_to_pq(np.array([600.0, 60.0, 60.0]) @ rgb_matrix(1, 9).T)
    shown = to_sdr(np.rint(red * 65535).astype(np.uint16)[None, None], PQ)[0, 0] / 255.0
    assert (shown[1:] ** 2.4 / shown[0] ** 2.4) == pytest.approx(0.1, abs=0.006)


@pytest.mark.parametrize("tags", [HLG, PQ, BT2020, DISPLAY_P3], ids=["hlg", "pq", "bt2020", "p3"])
def test_the_way_back_gives_the_signal(tags):
    expected = signals(tags, 175)
    shown = to_sdr(np.rint(expected * 65535).astype(np.uint16), tags)
    assert psnr(from_sdr(shown, tags), expected) > 45


@pytest.mark.parametrize("tags", [HLG, PQ], ids=["hlg", "pq"])
def test_the_way_back_holds_above_the_knee(tags):
    expected = np.repeat(np.linspace(0.5, 0.65 if tags == PQ else 0.85, 200)[None, :, None], 3, axis=-1)
    shown = to_sdr(np.rint(expected * 65535).astype(np.uint16), tags)
    assert psnr(from_sdr(shown, tags), expected) > 40


@pytest.mark.parametrize("tags", [HLG, PQ, BT2020, DISPLAY_P3, BT709], ids=["hlg", "pq", "bt2020", "p3", "bt709"])
def test_every_sdr_colour_comes_back(tags):
    brightest = 235 if tags == HLG else 255  # HLG's display cannot show a saturated blue as bright as white
    picture = np.random.default_rng(0).integers(4, brightest + 1, (60, 80, 3), np.uint8)
    signal = from_sdr(picture, tags)
    assert signal.dtype == np.float32 and signal.min() >= 0 and signal.max() <= 1
    again = to_sdr(np.rint(signal * 65535).astype(np.uint16), tags).astype(int)
    assert np.abs(again - picture).max() <= 4
    assert np.abs(again - picture).mean() < 0.3


def test_plain_pictures_are_only_rounded():
    rgb = np.array([[[0, 257, 65535], [128, 129, 32896]]], np.uint16)
    assert to_sdr(rgb, BT709).tolist() == [[[0, 1, 255], [0, 1, 128]]]


@pytest.mark.parametrize("tags", [BT709, PQ])
def test_white_may_be_another_number(tags):
    signal = np.linspace(0, 1, 50)[None, :, None].repeat(3, axis=-1)
    shown = [to_sdr(np.rint(signal * white).astype(np.uint16), tags, white).astype(int) for white in (65280, 65535)]
    assert np.abs(shown[0] - shown[1]).max() <= 1
    assert (shown[0] != shown[1]).mean() < 0.05
    assert (to_sdr(np.full((1, 1, 3), 65535, np.uint16), tags, 65280) == 255).all()


def test_full_hd_is_quick():
    rgb = np.random.default_rng(0).integers(0, 65536, (1080, 1920, 3), np.uint16)
    to_sdr(rgb[:2], HLG)
    start = time.process_time()
    to_sdr(rgb, HLG)
    assert time.process_time() - start < 1  # 0.07 s on an idle core


def test_tags_of_a_file_that_says_nothing_are_guessed_by_its_size():
    assert tags_of(frame_of(size=(480, 720))) == ColourTags(5, 2, 2, False)
    assert tags_of(frame_of(size=(1080, 1920))) == ColourTags(1, 2, 2, False)
    assert tags_of(frame_of(matrix=3, transfer=0, primaries=3)) == ColourTags(5, 2, 2, False)


@pytest.mark.parametrize(
    ("pixel_format", "span", "expected"),
    [
        ("yuv420p10le", 1, ColourTags(9, 16, 9, False)),
        ("yuv420p10le", 2, ColourTags(9, 16, 9, True)),
        ("yuvj420p", 0, ColourTags(9, 16, 9, True)),
        ("gbrp10le", 0, ColourTags(0, 16, 9, True)),
        ("gray10le", 1, ColourTags(9, 16, 9, True)),
    ],
)
def test_tags_are_the_frames(pixel_format, span, expected):
    assert tags_of(frame_of(pixel_format, matrix=9, transfer=16, primaries=9, span=span)) == expected


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        (ColourTags(8, 1, 1, False), r"matrix 8 \(YCgCo\)"),
        (ColourTags(14, 16, 9, False), r"matrix 14 \(ICtCp\)"),
        (ColourTags(10, 14, 9, False), "constant luminance"),
        (ColourTags(1, 8, 1, False), "linear light"),
        (ColourTags(1, 77, 1, False), r"characteristic 77 \(unknown\)"),
        (ColourTags(1, 1, 10, False), "XYZ"),
        (ColourTags(1, 1, 99, False), r"primaries 99 \(unknown\)"),
    ],
)
def test_what_would_be_shown_wrongly_is_refused_by_name(tags, named):
    with pytest.raises(InputError, match=rf"clip\.mov: found colour .*{named}|clip\.mov: found transfer .*{named}"):
        check_tags(tags, PATH)


@pytest.mark.parametrize("tags", [BT709, HLG, PQ, BT2020, DISPLAY_P3, DCI, ColourTags(0, 2, 2, True)])
def test_what_can_be_shown_passes(tags):
    check_tags(tags, PATH)


def test_only_ordinary_colours_read_plainly():
    plain = [BT709, ColourTags(5, 2, 2, False), ColourTags(6, 6, 6, False), ColourTags(1, 13, 22, True)]
    assert all(reads_plainly(tags) for tags in plain)
    assert not any(reads_plainly(tags) for tags in (HLG, PQ, BT2020, DISPLAY_P3, DCI, ColourTags(1, 16, 1, False)))


@pytest.mark.parametrize("size", [(48, 64), (720, 1280)])
def test_primaries_of_bt2020_have_its_matrix_where_a_file_names_none(size):
    frame = frame_of("yuv444p10le", size, matrix=2, transfer=18, primaries=9, span=1)
    assert tags_of(frame) == HLG
    green = (680, 204, 192)  # of BT.2020: luma, and chroma far below the middle
    for plane, value in zip(frame.planes, green, strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
    told = frame_of("yuv444p10le", size, matrix=9, transfer=18, primaries=9, span=1)
    for plane, value in zip(told.planes, green, strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
    assert np.array_equal(to_array(frame, PATH), to_array(told, PATH))
    assert to_array(frame, PATH)[0, 0].argmax() == 1
