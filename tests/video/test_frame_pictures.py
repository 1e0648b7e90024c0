"""Still pictures as frames: the exact pixels of each kind of file."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from colour_profiles import ADOBE, DISPLAY_P3, SRGB, adobe_to_srgb, gray_profile, inks_profile, matrix_profile
from picture_inputs import as_before, save_deep_png, save_tiff
from PIL import Image, ImageCms
from video_inputs import moving_frames

from lib.errors import InputError
from lib.video.images import list_images, open_image, picture_reading, read_frame_picture, upright
from lib.video.suffixes import FRAME_SUFFIXES

PLAIN_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOURS = ((200, 60, 40), (100, 150, 200), (128, 128, 128), (0, 0, 0), (255, 255, 255), (10, 90, 30))
FRAME = moving_frames(1, 16, 24)[0]
DEEP = np.random.default_rng(3).integers(0, 65_536, (5, 7, 3), dtype=np.uint16)


def texts(path):
    return [str(note) for note in read_frame_picture(path)[1]]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_are_upright(tmp_path, orientation, mode, suffix):
    # What undoes each orientation, in terms of numpy.
    turn = {
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: np.swapaxes(x, 0, 1),
        6: lambda x: np.rot90(x, -1),
        7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2),
        8: np.rot90,
    }[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    stored = Image.fromarray(FRAME).convert(mode)
    path, plain = tmp_path / f"a{suffix}", tmp_path / f"plain{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    stored.save(path, exif=exif, **options)
    stored.save(plain, **options)
    frame, notes = read_frame_picture(path)
    assert np.array_equal(frame, turn(as_before(plain)))
    sideways = (suffix, mode) == (".tif", "L") and orientation > 4  # sheared by Pillow left to itself
    assert np.array_equal(frame, as_before(path)) != sideways
    assert (notes, picture_reading(path)) == ((), {"sideways": True} if sideways else {})
    with open_image(path) as image:
        assert np.array_equal(np.asarray(upright(image).convert("RGB")), frame)


@pytest.mark.parametrize(
    "suffix",
    [suffix for suffix in FRAME_SUFFIXES if suffix not in (".pgm", ".pbm")],
)
@pytest.mark.parametrize("upper", [False, True])
def test_plain_pictures_of_all_kinds_are_read_as_before(tmp_path, suffix, upper):
    path = tmp_path / f"0{suffix}"
    Image.fromarray(FRAME).save(path)
    if upper:
        path = path.rename(path.with_suffix(suffix.upper()))
    assert list_images(tmp_path) == (path,)
    frame, notes = read_frame_picture(path)
    assert np.array_equal(frame, as_before(path))
    assert np.abs(frame.astype(int) - FRAME).max() <= (60 if suffix[1:3] in ("jp", "jf", "av", "we", "j2") else 0)
    assert (notes, picture_reading(path)) == ((), {})


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".pgm", "L"), (".pbm", "1"), (".png", "P"), (".png", "1"), (".gif", "P")]
)
def test_gray_and_palettes_are_read_as_before(tmp_path, suffix, mode):
    path = tmp_path / f"0{suffix}"
    Image.fromarray(FRAME).convert(mode).save(path)
    path = path.rename(path.with_suffix(".png")) if suffix == ".gif" else path  # a file under another kind's name
    assert np.array_equal(read_frame_picture(path)[0], as_before(path))
    assert (texts(path), picture_reading(path)) == ([], {})


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_adobe_rgb_becomes_srgb(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    row = np.repeat(np.array([COLOURS], np.uint8), 16, axis=0).repeat(16, axis=1)
    Image.fromarray(row).save(path, icc_profile=ADOBE, **({"quality": 100, "subsampling": 0} if "j" in suffix else {}))
    frame, notes = read_frame_picture(path)
    expected = [adobe_to_srgb(colour) for colour in COLOURS]
    assert np.abs(frame[8, 8::16].astype(int) - expected).max() <= (1 if suffix != ".jpg" else 3)
    assert np.abs(frame[8, 8].astype(int) - COLOURS[0]).max() > 25
    assert (notes, picture_reading(path)) == ((), {"icc": "Adobe-like"})


@pytest.mark.parametrize(
    ("mode", "profile", "expected"),
    [
        ("L", gray_profile(1.8), 119),  # 255 * srgb((100 / 255) ** 1.8)
        ("L", ADOBE, 101),  # a gray picture under a colour profile
        ("P", ADOBE, 101),
        ("LA", gray_profile(1.8), 119),
    ],
)
def test_profiles_of_gray_pictures_count(tmp_path, mode, profile, expected):
    path = tmp_path / "a.png"
    Image.new("L", (4, 4), 100).convert(mode).save(path, icc_profile=profile)
    frame, notes = read_frame_picture(path)
    assert np.abs(frame.astype(int) - expected).max() <= 1
    assert notes == ()


def test_wide_primaries_are_seen_by_their_pixels_and_by_their_name(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 2), (200, 60, 40)).save(path, icc_profile=matrix_profile(DISPLAY_P3, 2.2, "Display P3"))
    red, green, blue = read_frame_picture(path)[0][0, 0].astype(int)
    assert (red, blue) > (210, 0)
    assert green < 60
    assert blue < 40
    assert picture_reading(path) == {"icc": "Display P3"}


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_a_profile_that_is_srgb_changes_nothing(tmp_path, mode):
    path = tmp_path / "a.png"
    Image.fromarray(FRAME).convert(mode).save(path, icc_profile=PLAIN_SRGB)
    assert np.array_equal(read_frame_picture(path)[0], as_before(path))
    assert (texts(path), picture_reading(path)) == ([], {})


def test_whether_a_profile_is_srgb_does_not_hang_on_its_name(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(FRAME).save(path, icc_profile=matrix_profile(SRGB, 1.0, "sRGB IEC61966-2.1"))
    assert picture_reading(path) == {"icc": "sRGB IEC61966-2.1"}
    assert not np.array_equal(read_frame_picture(path)[0], as_before(path))


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"no profile at all"),
        ("RGB", ADOBE[:200]),
        ("RGB", inks_profile()),
        ("RGB", gray_profile(1.8)),
        ("CMYK", ADOBE),
        ("RGB", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()),
    ],
)
def test_useless_profiles_are_left_out_and_named(tmp_path, mode, profile):
    path = tmp_path / "a.tif"
    Image.fromarray(FRAME).convert(mode).save(path, icc_profile=profile)
    assert np.array_equal(read_frame_picture(path)[0], as_before(path))
    assert "the pictures' colour profile is damaged or not made for them: it was left out" in texts(path)
    assert picture_reading(path) == {}


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_inks_follow_their_profile(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.new("CMYK", (8, 8), (0, 0, 255, 0)).save(path, icc_profile=inks_profile())
    frame, notes = read_frame_picture(path)
    assert np.abs(frame.astype(int) - (255, 252, 0)).max() <= 2
    assert (notes, picture_reading(path)) == ((), {"icc": "inks"})


def test_inks_without_a_profile_are_a_guess(tmp_path):
    Image.new("CMYK", (2, 2), (255, 0, 0, 0)).save(tmp_path / "a.tif")
    frame, (note,) = read_frame_picture(tmp_path / "a.tif")
    assert frame[0, 0].tolist() == [0, 255, 255]
    assert (note.kind, picture_reading(tmp_path / "a.tif")) == ("input", {})


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGBA", (200, 100, 51, 128), (100, 50, 26)),
        ("RGBA", (200, 100, 50, 0), (0, 0, 0)),
        ("LA", (200, 51), (40, 40, 40)),
    ],
)
def test_transparent_pixels_lie_on_black(tmp_path, mode, value, expected):
    path = tmp_path / "a.png"
    Image.new(mode, (3, 2), value).save(path)
    frame, (note,) = read_frame_picture(path)
    assert frame.tolist() == [[list(expected)] * 3] * 2
    assert note.kind == "input"
    assert "transparent pixels: they were laid over black" in note.text
    assert picture_reading(path) == {"alpha": True}


@pytest.mark.parametrize("mode", ["P", "RGB", "L", "1"])
def test_a_transparent_colour_lies_on_black(tmp_path, mode):
    path = tmp_path / "a.png"
    image = Image.new("RGB", (2, 1), (255, 255, 255))
    image.putpixel((0, 0), (0, 0, 0))
    image = image.convert(mode)
    key = image.getpixel((1, 0))
    image.save(path, transparency=key)
    assert read_frame_picture(path)[0].tolist() == [[[0, 0, 0], [0, 0, 0]]]
    assert as_before(path)[0, 1].tolist() == [255, 255, 255]
    assert picture_reading(path) == {"alpha": True}


def test_transparency_and_profile_together(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (2, 2), (*COLOURS[0], 128)).save(path, icc_profile=ADOBE)
    expected = np.array(adobe_to_srgb(COLOURS[0])) * 128 / 255
    assert np.abs(read_frame_picture(path)[0][0, 0] - expected).max() <= 1
    assert picture_reading(path) == {"icc": "Adobe-like", "alpha": True}


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_opaque_alpha_channel_changes_nothing(tmp_path, mode):
    path = tmp_path / "a.png"
    Image.fromarray(FRAME).convert(mode).save(path)
    assert np.array_equal(read_frame_picture(path)[0], as_before(path))
    assert (texts(path), picture_reading(path)) == ([], {})


@pytest.mark.parametrize("channels", [1, 3])
def test_deep_png_keeps_its_upper_bits(tmp_path, channels):
    path = tmp_path / "a.png"
    save_deep_png(path, DEEP[..., :channels])
    assert np.array_equal(read_frame_picture(path)[0], np.broadcast_to(DEEP[..., :channels] >> 8, DEEP.shape))
    assert (texts(path), picture_reading(path)) == ([], {})


def test_deep_png_with_a_transparent_gray(tmp_path):
    path = tmp_path / "a.png"
    values = np.array([[[0x8000], [0x8001]]], np.uint16)
    save_deep_png(path, values, (b"tRNS", struct.pack(">H", 0x8001)))
    assert read_frame_picture(path)[0].tolist() == [[[128] * 3, [0] * 3]]
    assert picture_reading(path) == {"alpha": True}


def test_deep_png_with_opacities(tmp_path):
    path = tmp_path / "a.png"
    save_deep_png(path, np.full((2, 2, 4), (0xC8FF, 0x6400, 0x3300, 0x8000), np.uint16))
    assert read_frame_picture(path)[0][0, 0].tolist() == [100, 50, 26]


GRAY = DEEP[..., :1]


@pytest.mark.parametrize(
    ("values", "options", "expected", "reading"),
    [
        (DEEP, {"photometric": 2}, DEEP >> 8, {}),
        (DEEP, {"photometric": 2, "planar": True}, DEEP >> 8, {"planar": True}),
        (GRAY, {"photometric": 1}, GRAY >> 8, {}),
        (GRAY, {"photometric": 0}, (65_535 - GRAY) >> 8, {"inverted": True}),
        (GRAY[:4, :6] >> 4, {"photometric": 1, "depth": 12}, GRAY[:4, :6] >> 8, {"depth": 12}),
        (GRAY.astype(np.int32), {"photometric": 1, "signed": True}, GRAY >> 8, {}),
        ((GRAY >> 1).astype(np.int16), {"photometric": 1, "signed": True}, GRAY >> 9, {}),
    ],
)
def test_deep_tiff_keeps_its_upper_bits(tmp_path, values, options, expected, reading):
    path = tmp_path / "a.tif"
    save_tiff(path, values, **options)
    frame, notes = read_frame_picture(path)
    assert np.array_equal(frame, np.broadcast_to(expected, (*expected.shape[:2], 3)))
    assert (notes, picture_reading(path)) == ((), reading)


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (GRAY.astype(np.float32) / 65_535, {"sample_format": 3}, "holds float values, expected a picture of whole"),
        (-GRAY.astype(np.int32), {"signed": True}, "holds values from -.*, expected 0 to 65535; save it with 8 or 16"),
        (GRAY.astype(np.int32) * 2, {"signed": True}, "holds values from .*, expected 0 to 65535"),
        (DEEP.astype(np.float32), {"sample_format": 3, "photometric": 2}, "picture cannot be decoded"),
    ],
)
def test_values_that_are_no_colours_are_refused(tmp_path, values, options, said):
    path = tmp_path / "a.tif"
    save_tiff(path, values, **{"photometric": 1, **options})
    with pytest.raises(InputError, match=said):
        read_frame_picture(path)


def test_lab_and_luma_are_right(tmp_path):
    lab = Image.new("LAB", (1, 1), (136, 208, 195))  # the encoding of L* 53.2, a* 80, b* 67: pure red
    lab.save(tmp_path / "lab.tif")
    assert np.abs(read_frame_picture(tmp_path / "lab.tif")[0][0, 0].astype(int) - (255, 0, 0)).max() <= 12
    Image.new("RGB", (8, 8), (255, 0, 0)).convert("YCbCr").save(tmp_path / "luma.tif")
    assert np.abs(read_frame_picture(tmp_path / "luma.tif")[0][0, 0].astype(int) - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.png", "a.avif"])
def test_of_several_pictures_in_a_file_the_first_is_taken(tmp_path, name):
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / name, save_all=True, append_images=[second], **({"lossless": True} if "webp" in name else {}))
    frame, (note,) = read_frame_picture(tmp_path / name)
    assert np.abs(frame.astype(int) - (255, 0, 0)).max() <= 2
    assert (note.kind, note.text) == ("input", "picture files hold several pictures each: only the first was taken")
    assert picture_reading(tmp_path / name) == {}


def test_a_cameras_previews_are_no_pages(tmp_path):
    Image.new("RGB", (8, 8), "red").save(
        tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))]
    )
    assert read_frame_picture(tmp_path / "a.jpg")[1] == ()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp", "a.avif", "a.jp2"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6])
def test_damaged_files_are_input_errors(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="picture cannot be decoded"):
        read_frame_picture(tmp_path / name)


def test_programs_are_not_decoded_as_pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(InputError, match="picture cannot be decoded"):
        read_frame_picture(tmp_path / "a.png")


def test_plain_pictures_are_read_without_imageio(tmp_path):
    Image.fromarray(FRAME).save(tmp_path / "a.png", icc_profile=ADOBE)
    code = (
        "import sys; from pathlib import Path; from lib.video.images import read_frame_picture;"
        "read_frame_picture(Path(sys.argv[1])); print([n for n in ('imageio', 'av', 'cv2') if n in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.png"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.strip() == "[]"
