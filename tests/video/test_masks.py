from fractions import Fraction

import cv2
import numpy as np
import pytest
from mask_inputs import MASKS, SIZE, clip_of, gray_folder, read
from PIL import Image
from video_inputs import box_masks, save_frames, save_palette

from lib.errors import InputError
from lib.notes import Note
from lib.video.masks import dilate, read_masks
from lib.video.writer import write_clip


@pytest.mark.parametrize("value", [1, 38, 127, 255])
def test_gray_png_counts_any_non_zero_value(tmp_path, value):
    track = read(gray_folder(tmp_path / "m", value=value))
    assert np.array_equal(track.masks, MASKS)
    assert track.notes == ()


def test_palette_png_counts_every_index(tmp_path):
    for t, mask in enumerate(MASKS):
        indices = mask.astype(np.uint8)
        indices[40:44, 50:60] = 2
        save_palette(tmp_path / "m" / f"{t:05d}.png", indices)
    expected = MASKS.copy()
    expected[:, 40:44, 50:60] = True
    assert np.array_equal(read(tmp_path / "m").masks, expected)
    assert np.array_equal(read(tmp_path / "m", object_ids=(1,)).masks, MASKS)
    assert np.array_equal(read(tmp_path / "m", object_ids=(2, 7)).masks, expected & ~MASKS)
    with pytest.raises(InputError, match=r"none of the object ids 3, 9 occurs; found 1, 2"):
        read(tmp_path / "m", object_ids=(9, 3))


def test_threshold_works_on_the_gray_value_of_a_palette(tmp_path):
    save_palette(tmp_path / "m.png", MASKS[0])
    assert np.array_equal(read(tmp_path / "m.png", threshold=37).masks[0], MASKS[0])
    with pytest.raises(InputError, match=r"m\.png.*gray values above 127"):
        read(tmp_path / "m.png", threshold=127)


def test_soft_mask_and_threshold(tmp_path):
    soft = np.zeros(SIZE, np.uint8)
    soft[10:20, 10:20], soft[12:18, 12:18] = 60, 250
    Image.fromarray(soft).save(tmp_path / "m.png")
    assert np.array_equal(read(tmp_path / "m.png").masks[0], soft > 0)
    assert np.array_equal(read(tmp_path / "m.png", threshold=127).masks[0], soft == 250)


def test_other_png_modes(tmp_path):
    mask = MASKS[0]
    blue = np.zeros((*SIZE, 3), np.uint8)
    blue[mask] = (0, 0, 3)
    opaque = np.dstack([blue, np.full(SIZE, 255, np.uint8)])
    pictures = {
        "one_bit": Image.fromarray(mask),
        "16_bit": Image.fromarray(mask.astype(np.uint16) * 256),
        "16_bit_low": Image.fromarray(mask.astype(np.uint16)),
        "rgb": Image.fromarray(blue),
        "rgba": Image.fromarray(opaque),
        "gray_alpha": Image.fromarray(np.dstack([mask.astype(np.uint8), np.full(SIZE, 255, np.uint8)]), mode="LA"),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
        assert np.array_equal(read(tmp_path / f"{name}.png").masks[3], mask), name
    with pytest.raises(InputError, match=r"rgb\.png.*palette or gray PNG, found RGB"):
        read(tmp_path / "rgb.png", object_ids=(1,))


@pytest.mark.parametrize("kind", ["jpeg", "video"])
def test_lossy_masks_ignore_what_compression_leaves_around_the_object(tmp_path, kind):
    grays = np.where(MASKS, 235, 25).astype(np.uint8)
    if kind == "jpeg":
        path = save_frames(tmp_path / "m", grays, ".jpg")
    else:
        path = tmp_path / "m.mp4"
        write_clip(path, np.repeat(grays[..., None], 3, axis=-1), Fraction(24))
    track = read(path)
    wrong = (track.masks != MASKS).mean()
    assert wrong < 0.004
    assert track.notes == ()
    assert read(path, threshold=10).masks.mean() > 0.95
    with pytest.raises(InputError, match="object ids need lossless masks"):
        read(path, object_ids=(1,))


def test_one_picture_holds_for_all_frames(tmp_path):
    folder = gray_folder(tmp_path / "m", MASKS[:1])
    (folder / "00000.png").rename(folder / "mask.png")
    for path in (folder, folder / "mask.png"):
        track = read(path, 5)
        assert np.array_equal(track.masks, np.repeat(MASKS[:1], 5, axis=0))
        assert track.notes == ()


def test_masks_come_for_the_frames_that_are_wanted(tmp_path):
    folder = gray_folder(tmp_path / "m")
    for positions in (2, (1, 3), [3, 0], range(4)):
        track = read_masks(folder, clip_of(4), SIZE, positions=positions)
        assert np.array_equal(track.masks, MASKS[list(range(2)) if positions == 2 else list(positions)])
        assert track.notes == ()
    for positions in (0, 5, (-1,), (4,), ()):
        with pytest.raises(ValueError, match="expected some of the clip's 4 frames"):
            read_masks(folder, clip_of(4), SIZE, positions=positions)


def test_object_folders_are_united(tmp_path):
    other = np.roll(MASKS, 15, axis=1)
    gray_folder(tmp_path / "m" / "person")
    gray_folder(tmp_path / "m" / "bicycle", other)
    assert np.array_equal(read(tmp_path / "m").masks, MASKS | other)


def test_other_size_of_the_same_shape_is_resized_with_a_note(tmp_path):
    folder = gray_folder(tmp_path / "m")
    track = read(folder, size=(96, 128))
    assert np.array_equal(track.masks, MASKS.repeat(2, axis=1).repeat(2, axis=2))
    assert track.notes == (Note("masks of 64x48 resized to 128x96", "input"),)


def test_other_shape_is_refused_with_both_sizes(tmp_path):
    with pytest.raises(InputError, match=r"00000\.png: mask is 64x48, the video is 64x64"):
        read(gray_folder(tmp_path / "m"), size=(64, 64))


def test_empty_frames_are_fine_but_an_empty_track_is_not(tmp_path):
    some = MASKS.copy()
    some[[0, 2]] = False
    assert np.array_equal(read(gray_folder(tmp_path / "some", some)).masks, some)
    with pytest.raises(InputError, match=r"none: no object in the masks"):
        read(gray_folder(tmp_path / "none", MASKS & False))


def test_unusable_paths(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "of videos").mkdir()
    (tmp_path / "of videos" / "m.mp4").write_bytes(b"video")
    (tmp_path / "m.heic").write_bytes(b"HEIC")
    (tmp_path / "m.png").write_bytes(b"no picture")
    for name, message in (
        ("nothing", "not found"),
        ("empty", "found no masks"),
        ("of videos", r"found no masks, .*; it holds the video m\.mp4: give that file itself"),
        ("m.heic", r"unknown kind of mask '\.heic'"),
        ("m.png", r"m\.png: picture cannot be decoded"),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path / name)
    with pytest.raises(InputError, match="exclude each other"):
        read(tmp_path / "m.png", threshold=1, object_ids=(1,))


@pytest.mark.parametrize("iterations", [0, 1, 2, 4, 5, 13, 60])
def test_dilation_equals_repeated_3x3(iterations):
    masks = box_masks(3, 40, 50)
    masks[1] = False
    masks[2, 0, 49] = masks[2, 39, 0] = True
    kernel = np.ones((3, 3), np.uint8)
    expected = [cv2.dilate(mask.astype(np.uint8), kernel, iterations=iterations) for mask in masks]
    before = masks.copy()
    assert np.array_equal(dilate(masks, iterations), np.array(expected, bool))
    assert np.array_equal(masks, before)
