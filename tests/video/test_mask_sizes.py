"""Sizes of masks that are taken, and masks that are inverted or look so."""

from fractions import Fraction

import numpy as np
import pytest
from mask_inputs import MASKS, SIZE, clip_of, gray_folder, read, reading, texts
from PIL import Image

from lib.errors import InputError
from lib.mask_tracks import inversion_notes, read_mask_track
from lib.notes import Note
from lib.settings import Processing
from lib.video.clip import ClipInfo

EMPTY = np.zeros(SIZE, bool)

# Masks of (H, W) for a clip of SIZE (48, 64) with pixels 4:3, shown as 85x48: the notes they cause.
SIZES = {
    (48, 64): (),
    (96, 128): (Note("masks of 128x96 resized to 64x48", "input"),),
    (48, 85): (Note("masks of 85x48, as the video is shown, brought to the 64x48 that it is stored at"),),
    (96, 170): (Note("masks of 170x96 resized to 64x48", "input"),),
}


@pytest.mark.parametrize("size", SIZES)
def test_sizes_that_are_taken(tmp_path, size):
    picture = Image.fromarray(MASKS[0]).resize((size[1], size[0]), Image.Resampling.NEAREST)
    picture.save(tmp_path / "m.png")
    track = read(tmp_path / "m.png", 2, sample_aspect=Fraction(4, 3))
    assert track.masks.shape == (2, *SIZE)
    assert np.array_equal(track.masks[0], MASKS[0])
    assert track.notes == SIZES[size]
    wider = size[1] / size[0] > 1.5
    assert reading(tmp_path / "m.png", sample_aspect=Fraction(4, 3)) == ({"size": "display"} if wider else {})


def test_other_sizes_are_refused_with_both(tmp_path):
    Image.new("L", (64, 64), 255).save(tmp_path / "m.png")
    message = r"m\.png: mask is 64x64, the video is 64x48 \(shown as 85x48\): aspect ratios differ"
    with pytest.raises(InputError, match=message):
        read(tmp_path / "m.png", sample_aspect=Fraction(4, 3))
    with pytest.raises(InputError, match=r"mask is 64x64, the video is 64x48: aspect"):
        read(tmp_path / "m.png")


def test_inversion_inverts_every_mask_that_there_is(tmp_path):
    folder = gray_folder(tmp_path / "m", MASKS[:2], first=1)
    track = read(folder, 5, invert=True)
    assert np.array_equal(track.masks, np.stack([EMPTY, ~MASKS[0], ~MASKS[1], EMPTY, EMPTY]))
    other = gray_folder(tmp_path / "objects" / "a")
    moved = np.roll(MASKS, 15, axis=1)
    gray_folder(tmp_path / "objects" / "b", moved)
    assert np.array_equal(read(other.parent, invert=True).masks, ~MASKS | ~moved)


def hole(*boxes: tuple[slice, slice], count: int = 4) -> np.ndarray:
    """Masks of all but boxes."""
    masks = np.ones((count, *SIZE), bool)
    for box in boxes:
        masks[(slice(None), *box)] = False
    return masks


INSIDE = (slice(5, 43), slice(5, 59))
AT_THE_BOTTOM = (slice(8, 48), slice(8, 56))
ALL = slice(None)
HOLES = {
    "an object": (MASKS, None),
    "none": (MASKS & False, None),
    "most of the frame": (hole((slice(0, 18), ALL)), "the hole covers 62% of the frame"),
    "not quite": (hole((slice(0, 20), ALL)), None),
    "in half of the frames": (np.concatenate([hole((slice(0, 10), ALL)), MASKS & False]), "the hole covers 79%"),
    "large in few frames": (np.concatenate([hole(INSIDE, count=1) | True, MASKS]), None),
    "around an island": (hole(INSIDE), "the hole touches all borders of the frame and surrounds one island"),
    "around an island at the border": (hole(AT_THE_BOTTOM), "the hole touches all borders"),
    "around two islands": (hole((slice(2, 46), slice(2, 30)), (slice(2, 46), slice(34, 62))), None),
    "an island in half of the frames": (np.concatenate([hole(INSIDE), MASKS]), None),
    "an island in most": (np.concatenate([hole(INSIDE), MASKS[:3], MASKS & False]), "the hole touches all borders"),
}


@pytest.mark.parametrize("case", HOLES)
def test_a_hole_that_looks_inverted_is_told(case):
    masks, expected = HOLES[case]
    notes = inversion_notes(masks, inverted=False)
    assert len(notes) == (expected is not None)
    for note in notes:
        assert note.kind == "input"
        assert note.text.startswith(str(expected))
        assert note.text.endswith("if the masks show what shall stay, give --invert_mask")


def test_a_track_is_read_as_the_settings_say(tmp_path):
    folder = gray_folder(tmp_path / "m", ~MASKS)
    clip = ClipInfo(tmp_path / "clip.mp4", *SIZE, clip_of(4))
    plain = read_mask_track(clip, folder, Processing(), 3)
    assert np.array_equal(plain.masks, ~MASKS[:3])
    assert texts(plain) == ("the hole covers 94% of the frame: if the masks show what shall stay, give --invert_mask",)
    track = read_mask_track(clip, folder, Processing(invert_mask=True), (1, 2))
    assert np.array_equal(track.masks, MASKS[1:3])
    assert track.notes == ()
    (note,) = read_mask_track(clip, gray_folder(tmp_path / "o"), Processing(invert_mask=True), 4).notes
    assert note.text.endswith("if the masks show what shall go, leave --invert_mask out")
