"""Which pixels of which kind of mask are object, and what is in doubt about it."""

from fractions import Fraction

import numpy as np
import pytest
from mask_inputs import (
    MASKS,
    SIZE,
    clip_of,
    palette_picture,
    read,
    reading,
    save_pictures,
    texts,
)
from PIL import Image
from video_inputs import save_frames

from lib.errors import InputError
from lib.notes import Note
from lib.video.masks import read_masks
from lib.video.writer import write_clip

BLACK, WHITE, RED, DARK = (0, 0, 0), (255, 255, 255), (128, 0, 0), (10, 10, 10)
EMPTY = np.zeros(SIZE, bool)
SOME = np.stack([MASKS[0], EMPTY, MASKS[2]])
COLOUR_NOTE = (
    "the masks' palettes hold two colours and index 0 is the brighter one: the brighter colour is taken as object",
)
ALPHA_NOTE = ("the masks are of one colour: the object was read from the alpha channel",)


# Palettes: colours of indices 0, 1, ...; the index of what the mask shows, and of the rest; whether by colour.
PALETTES = {
    "annotation": ((BLACK, RED), 1, 0, False),
    "black and white": ((BLACK, WHITE), 1, 0, False),
    "white first": ((WHITE, BLACK), 0, 1, True),
    "bright first": ((RED, DARK), 0, 1, True),
    "dark gray first": ((DARK, RED), 1, 0, False),
    "white first, third colour unused": ((WHITE, BLACK, RED), 0, 1, True),
    "white first but unused": ((WHITE, BLACK, WHITE), 2, 1, True),
    "equally bright": ((RED, RED, BLACK), 1, 0, False),
}


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tga", ".gif"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("case", PALETTES)
def test_palettes(tmp_path, case, padded, suffix):
    if case == "black and white" and suffix == ".bmp":
        padded = True  # see the next test
    colours, shown, rest, by_colour = PALETTES[case]
    pictures = [palette_picture(np.where(mask, shown, rest), *colours, padded=padded) for mask in SOME]
    options = {"optimize": False} if suffix == ".gif" else {}
    folder = save_pictures(tmp_path / "m", pictures, suffix, **options)
    track = read(folder, 3)
    assert np.array_equal(track.masks, SOME)
    assert texts(track) == (COLOUR_NOTE if by_colour else ())
    assert reading(folder, 3) == ({"palette": "colour"} if by_colour else {})


def test_a_bmp_that_pillow_misreads_is_refused(tmp_path):
    palette_picture(MASKS[0], BLACK, WHITE).save(tmp_path / "m.bmp")
    for use in (read, reading):
        with pytest.raises(InputError, match=r"m\.bmp: a BMP file of 8 bits a pixel with a palette of 2 colours"):
            use(tmp_path / "m.bmp")


def test_palettes_that_differ_from_frame_to_frame_are_judged_together(tmp_path):
    pictures = [
        palette_picture(EMPTY, BLACK),
        palette_picture(~MASKS[1], WHITE, BLACK),
        palette_picture(MASKS[2], BLACK, WHITE),
        palette_picture(EMPTY + 0, WHITE),
    ]
    folder = save_pictures(tmp_path / "m", pictures)
    track = read(folder)
    assert np.array_equal(track.masks, np.stack([EMPTY, MASKS[1], MASKS[2], ~EMPTY]))
    assert texts(track) == COLOUR_NOTE


def test_three_colours_leave_index_0_the_background(tmp_path):
    third = MASKS[1] + 0
    third[40:44, 50:60] = 2
    folder = save_pictures(
        tmp_path / "m", [palette_picture(indices, WHITE, BLACK, RED) for indices in (MASKS[0], third)]
    )
    track = read(folder, 2)
    assert np.array_equal(track.masks, np.stack([MASKS[0], third > 0]))
    assert track.notes == ()
    assert reading(folder, 2) == {}


def test_the_whole_source_is_judged_whatever_is_wanted(tmp_path):
    third = MASKS[1] + 0
    third[40:44, 50:60] = 2
    pictures = [palette_picture(indices, WHITE, BLACK, RED) for indices in (MASKS[0], third)]
    folder = save_pictures(tmp_path / "m", pictures)
    assert np.array_equal(read_masks(folder, clip_of(2), SIZE, positions=1).masks, MASKS[:1])


def test_ids_and_thresholds_ignore_what_a_palette_looks_like(tmp_path):
    folder = save_pictures(tmp_path / "m", [palette_picture(mask, WHITE, BLACK) for mask in SOME])
    assert np.array_equal(read(folder, 3, object_ids=(1,)).masks, SOME)
    assert np.array_equal(read(folder, 3, threshold=100).masks, ~SOME)
    assert reading(folder, 3, object_ids=(1,)) == reading(folder, 3, threshold=100) == {}


def test_a_transparent_first_colour_is_background(tmp_path):
    folder = save_pictures(tmp_path / "m", [palette_picture(mask, WHITE, RED) for mask in SOME], transparency=0)
    track = read(folder, 3)
    assert np.array_equal(track.masks, SOME)
    assert track.notes == ()


def with_alpha(colour, alpha) -> Image.Image:
    values = np.zeros((*SIZE, 4), np.uint8)
    values[..., :3] = colour
    values[..., 3] = alpha
    return Image.fromarray(values)


def gray_alpha(gray, alpha) -> Image.Image:
    return Image.fromarray(np.dstack([np.full(SIZE, gray, np.uint8), np.uint8(alpha)]), mode="LA")


def see_through(mask: np.ndarray, colour=BLACK) -> Image.Image:
    picture = palette_picture(mask, colour, colour)
    picture.info["transparency"] = b"\0\xff"
    return picture


# Pictures of SOME: by alpha or not; what the earlier reading would have made the same.
ALPHA = {
    "black": ([with_alpha(BLACK, mask * 255) for mask in SOME], True, {"alpha": True}),
    "white": ([with_alpha(WHITE, mask * 255) for mask in SOME], True, {"alpha": True}),
    "soft": ([with_alpha(WHITE, mask * 7) for mask in SOME], True, {"alpha": True}),
    "gray": ([gray_alpha(0, mask * 255) for mask in SOME], True, {"alpha": True}),
    "palette": ([see_through(mask) for mask in SOME], True, {}),
    "white, black where empty": (
        [with_alpha(WHITE if mask.any() else BLACK, mask * 255) for mask in SOME], True, {"alpha": True}
    ),
    "white, opaque black where empty": (
        [with_alpha(WHITE, mask * 255) if mask.any() else with_alpha(BLACK, 255) for mask in SOME],
        True,
        {"alpha": True},
    ),
    "colour, opaque": ([with_alpha(mask[..., None] * WHITE, 255) for mask in SOME], False, {}),
    "colour, cut out": ([with_alpha(mask[..., None] * WHITE, mask * 255) for mask in SOME], False, {}),
    "colour, half transparent": ([with_alpha(mask[..., None] * WHITE, 128) for mask in SOME], False, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", ALPHA)
def test_alpha_counts_where_colours_show_nothing(tmp_path, case):
    pictures, by_alpha, expected = ALPHA[case]
    folder = save_pictures(tmp_path / "m", pictures)
    track = read(folder, 3)
    assert np.array_equal(track.masks, SOME)
    assert texts(track) == (ALPHA_NOTE if by_alpha else ())
    assert track.notes == tuple(Note(text, "input") for text in texts(track))
    assert reading(folder, 3) == expected


@pytest.mark.parametrize("options", [{"lossless": True, "exact": True}, {"quality": 90, "exact": True}])
def test_alpha_of_webp(tmp_path, options):
    folder = save_pictures(tmp_path / "m", [with_alpha(WHITE, mask * 255) for mask in SOME], ".webp", **options)
    track = read(folder, 3)
    assert np.array_equal(track.masks, SOME)
    assert texts(track) == ALPHA_NOTE


def test_a_threshold_applies_to_alpha(tmp_path):
    folder = save_pictures(tmp_path / "m", [with_alpha(BLACK, 50 + mask * 100) for mask in SOME[:1]])
    assert np.array_equal(read(folder, 1, threshold=100).masks, SOME[:1])
    assert reading(folder, 1, threshold=100) == {"alpha": True}
    with pytest.raises(InputError, match=r"gray values above 200 .*the brightest is 150\)"):
        read(folder, 1, threshold=200)


LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".tga", ".webp")


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("value", [1, 100, 255])
def test_any_value_of_a_lossless_mask_is_object(tmp_path, suffix, value):
    options = {"lossless": True} if suffix == ".webp" else {}
    pictures = [Image.fromarray(mask.astype(np.uint8) * value) for mask in SOME]
    folder = save_pictures(tmp_path / "m", pictures, suffix, **options)
    track = read(folder, 3)
    assert np.array_equal(track.masks, SOME)
    assert track.notes == ()
    assert reading(folder, 3) == {}
    assert np.array_equal(read(folder / f"00000{suffix}", 3).masks, SOME[[0, 0, 0]])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pbm", ".tga", ".gif"])
def test_one_bit_masks(tmp_path, suffix):
    folder = save_pictures(tmp_path / "m", [Image.fromarray(mask) for mask in SOME], suffix)
    assert np.array_equal(read(folder, 3).masks, SOME)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
@pytest.mark.parametrize("value", [1, 256, 65535])
def test_sixteen_bits(tmp_path, suffix, value):
    pictures = [Image.fromarray(mask.astype(np.uint16) * value) for mask in SOME]
    folder = save_pictures(tmp_path / "m", pictures, suffix)
    assert np.array_equal(read(folder, 3).masks, SOME)
    if value == 65535:
        assert np.array_equal(read(folder, 3, threshold=254).masks, SOME)


LOSSY = {".jpg": {"quality": 90}, ".webp": {"quality": 90}, ".mp4": {}}


def lossy(folder, grays, suffix):
    if suffix == ".mp4":
        write_clip(folder / "m.mp4", np.repeat(grays[..., None].astype(np.uint8), 3, axis=-1), Fraction(24))
        return folder / "m.mp4"
    pictures = [Image.fromarray(gray.astype(np.uint8)) for gray in grays]
    return save_pictures(folder / "m", pictures, suffix, **LOSSY[suffix])


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_masks_of_two_clear_values_need_no_threshold(tmp_path, suffix):
    track = read(lossy(tmp_path, SOME * 255, suffix), 3)
    assert (track.masks != SOME).mean() < 0.004
    assert track.notes == ()


@pytest.mark.parametrize("suffix", LOSSY)
@pytest.mark.parametrize("gray", [80, 128, 175])
def test_gray_lossy_masks_ask_for_a_threshold(tmp_path, suffix, gray):
    wide = np.zeros((3, *SIZE), bool)
    wide[:, 10:30, 10:50] = True
    path = lossy(tmp_path, wide * gray, suffix)
    message = r"2\d\.\d % of the masks' pixels are neither dark nor bright \(0-31: 7\d\.\d\d %, .*--mask_threshold N"
    with pytest.raises(InputError, match=message):
        read(path, 3)
    track = read(path, 3, threshold=40)
    assert (track.masks != wide).mean() < 0.01
    assert track.notes == ()


@pytest.mark.parametrize("suffix", LOSSY)
def test_a_small_gray_object_is_told(tmp_path, suffix):
    small = np.zeros((3, *SIZE), np.uint8)
    small[:, 16:24, 16:32] = 150  # 4 % of the frame
    track = read(lossy(tmp_path, small, suffix), 3)
    (note,) = track.notes
    assert note.kind == "input"
    assert note.text.startswith("more than half of what may be object in the masks is gray (0-31: 9")
    assert "--mask_threshold" in note.text


@pytest.mark.parametrize("suffix", LOSSY)
def test_a_gray_object_that_is_none_is_named(tmp_path, suffix):
    small = np.zeros((3, *SIZE), np.uint8)
    small[:, 16:24, 16:32] = 100
    message = r"no object in .*lossy mask\) \(gray values found: .*, 64-127: [34]\.\d\d %.*the brightest is 1\d\d\).*"
    with pytest.raises(InputError, match=message + "--mask_threshold"):
        read(lossy(tmp_path, small, suffix), 3)


def test_a_picture_counts_as_what_it_is_not_as_what_it_is_named(tmp_path):
    folder = save_pictures(tmp_path / "m", [Image.fromarray(mask * np.uint8(255)) for mask in SOME], format="JPEG")
    track = read(folder, 3)
    assert (track.masks != SOME).mean() < 0.004
    assert reading(folder, 3) == {"kind": "content"}


def test_several_pictures_in_a_file_are_told(tmp_path):
    pages = [Image.fromarray(mask) for mask in MASKS]
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=pages[1:])
    track = read(tmp_path / "m.tif")
    assert np.array_equal(track.masks, MASKS[[0, 0, 0, 0]])
    assert texts(track) == ("mask files hold several pictures each: only the first was taken",)


def test_an_animation_is_a_video(tmp_path):
    pages = [Image.fromarray(mask * np.uint8(255)) for mask in MASKS]
    pages[0].save(tmp_path / "m.gif", save_all=True, append_images=pages[1:], duration=40)
    assert np.array_equal(read(tmp_path / "m.gif").masks, MASKS)


def oriented(picture: Image.Image, orientation: int) -> Image.Exif:
    exif = picture.getexif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured(tmp_path, suffix, orientation):
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = Image.fromarray(MASKS[0] * np.uint8(255))
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    path = tmp_path / f"m{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    stored.save(path, exif=oriented(stored, orientation), **options)
    track = read(path, 2)
    assert (track.masks != MASKS[0]).mean() < 0.004
    assert track.notes == ()
    assert reading(path) == ({"orientation": True} if orientation > 1 else {})


@pytest.mark.parametrize("kind", ["gray", "annotation"])
def test_plain_masks_are_read_from_headers_alone(tmp_path, kind, monkeypatch):
    pictures = [Image.fromarray(mask) if kind == "gray" else palette_picture(mask, BLACK, RED) for mask in MASKS]
    folder = save_pictures(tmp_path / "m", pictures)

    def load(image):
        raise AssertionError(f"{image.filename} was decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    assert reading(folder) == {}


def test_the_reading_refuses_what_cannot_be_opened(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "00000.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    for path in (tmp_path / "m", tmp_path / "none"):
        with pytest.raises(InputError):
            reading(path, 1)


@pytest.mark.parametrize("name", ["masks", "frames"])
def test_masks_in_a_folder_within_the_folder(tmp_path, name):
    save_frames(tmp_path / "mask" / name, MASKS.astype(np.uint8) * 255)
    track = read(tmp_path / "mask")
    assert np.array_equal(track.masks, MASKS)
    assert track.notes == ()
    assert reading(tmp_path / "mask") == {}


def test_masks_that_once_did_not_count_are_in_the_reading(tmp_path):
    folder = save_frames(tmp_path / "m", MASKS.astype(np.uint8) * 255, ".jpg")
    assert reading(folder) == {}
    (folder / "00003.jpg").rename(folder / "00003.jfif")
    assert reading(folder) == {"more_kinds": True}
