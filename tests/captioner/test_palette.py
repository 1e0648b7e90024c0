import numpy as np
import pytest

from lib.captioner.backend import CaptionerOptions, CaptionPicture, backend_names, load_captioner
from lib.captioner.colour import COLOUR_NAMES, nearest_colour_names, srgb_to_lab
from lib.captioner.palette import PaletteCaptioner
from lib.errors import InputError

SIZE = (90, 120)


def describe(*pixels, hole=None):
    hole = np.zeros(SIZE, bool) if hole is None else hole
    return PaletteCaptioner().describe([CaptionPicture(picture, hole) for picture in pixels])


def bands(*colours):
    picture = np.empty((*SIZE, 3), np.uint8)
    for index, colour in enumerate(colours):
        picture[30 * index : 30 * (index + 1)] = colour
    return picture


BEACH = bands((115, 175, 230), (30, 130, 130), (225, 210, 180))
NIGHT = bands((12, 12, 12), (20, 30, 75), (65, 65, 65))


def test_says_what_is_there():
    text = describe(BEACH).text
    assert "light blue above" in text
    assert "teal in the middle" in text
    assert "beige below" in text
    assert "bright" in text
    assert "dark" in describe(NIGHT).text


def test_pixels_in_the_hole_change_nothing():
    hole = np.zeros(SIZE, bool)
    hole[20:70, 30:90] = True
    noisy = BEACH.copy()
    noisy[hole] = np.random.default_rng(0).integers(0, 256, (int(hole.sum()), 3))
    assert describe(noisy, hole=hole) == describe(BEACH, hole=hole)
    assert describe(noisy) != describe(BEACH)  # the same pixels count where they are seen


def test_two_scenes_give_two_sentences():
    flipped = BEACH[::-1].copy()
    assert len({describe(scene).text for scene in (BEACH, NIGHT, flipped)}) == 3


def test_several_pictures_are_described_together():
    both = describe(BEACH, NIGHT).text
    assert both not in {describe(BEACH).text, describe(NIGHT).text}
    assert "light blue" in both
    assert "black" in both


def test_a_hidden_third_is_not_described():
    hole = np.zeros(SIZE, bool)
    hole[60:] = True
    assert "below" not in describe(BEACH, hole=hole).text


def test_nothing_visible_is_a_flagged_fallback():
    caption = describe(BEACH, hole=np.ones(SIZE, bool))
    assert caption.source == "fallback"
    assert caption.flags == ("no_visible_pixels",)
    assert caption.text


@pytest.mark.parametrize("seed", range(40))
def test_always_one_short_sentence(seed):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    picture = blocks.repeat(15, 0).repeat(30, 1)
    picture = np.clip(picture + rng.normal(0, rng.integers(0, 30), picture.shape), 0, 255).astype(np.uint8)
    caption = describe(picture)
    assert len(caption.text.split()) <= 30
    assert caption.text[0].isupper()
    assert "." not in caption.text
    assert "\n" not in caption.text
    assert caption.source == "auto_palette"


def test_large_pictures_are_thinned_out_not_changed():
    large = BEACH.repeat(8, 0).repeat(8, 1)
    hole = np.zeros(large.shape[:2], bool)
    assert PaletteCaptioner().describe([CaptionPicture(large, hole)]) == describe(BEACH)


def test_lab_of_known_colours():
    known = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [119, 119, 119]], np.uint8)
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.2], [50.03, 0, 0]]
    np.testing.assert_allclose(srgb_to_lab(known), expected, atol=0.05)


def test_names_of_plain_colours():
    plain = np.array([[250, 10, 10], [10, 10, 10], [250, 250, 250], [60, 140, 60]], np.uint8)
    names = [COLOUR_NAMES[index] for index in nearest_colour_names(srgb_to_lab(plain))]
    assert names == ["red", "black", "white", "green"]


def test_registry_names_its_choices():
    captioner = load_captioner(CaptionerOptions("palette"))
    assert captioner.facts() == {"name": "palette", "version": "1"}
    assert "palette" in backend_names()
    with pytest.raises(InputError, match=r"'nosuch'.*palette"):
        load_captioner(CaptionerOptions("nosuch"))
