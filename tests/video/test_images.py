"""Which pictures of a folder are frames, in which order, and what is refused."""

import os

import pytest
from colour_profiles import ADOBE, DISPLAY_P3, matrix_profile
from PIL import Image

from lib.errors import InputError
from lib.video.images import folder_reading, frame_folder, list_frames, list_images


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["2.png", "10.png", "1.png"], ["1.png", "2.png", "10.png"]),
        (["1.jpg", "2.JPEG", "3.Jfif", "4.jpe"], ["1.jpg", "2.JPEG", "3.Jfif", "4.jpe"]),
        (["1.tif", "2.TIFF"], ["1.tif", "2.TIFF"]),
        (["1.ppm", "2.pgm", "3.pbm", "4.pnm"], ["1.ppm", "2.pgm", "3.pbm", "4.pnm"]),
        (["1.png", ".2.png", "Thumbs.db", "notes.txt", "._1.tif", ".DS_Store", "meta.json"], ["1.png"]),
        (["1.jpg", "1.dng", "2.jpg", "2.dng"], ["1.jpg", "2.jpg"]),  # a camera's raw files beside its pictures
        (["1.png", "folder.png/x.txt", "sub/2.jpg"], ["1.png"]),
        (["notes.txt"], []),
    ],
)
def test_pictures_of_one_kind_are_listed_in_natural_order(tmp_path, names, expected):
    touch(tmp_path, *names)
    assert [path.name for path in list_images(tmp_path)] == expected


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["1.png", "2.png", "stray.tif"], r"2 PNG pictures, and of other kinds stray\.tif; expected pictures of one"),
        (["1.jpg", "2.jpg", "3.png", "4.webp"], r"2 JPEG pictures, and of other kinds 3\.png, 4\.webp;"),
        (["1.png", "2.png", "3.exr"], r"other kinds 3\.exr; .*OpenEXR \(\.exr\) is not supported, convert to 16-bit"),
        (["a.png", *(f"{n}.tif" for n in range(9)), *(f"x{n}.bmp" for n in range(7))], r"x3\.bmp and 3 more"),
        (["1.png", "1.tif", "2.png"], r"holds both 1\.png and 1\.tif; expected one picture a frame"),
        (["1.jpg", "1.jpeg"], r"holds both 1\.jpeg and 1\.jpg"),
    ],
)
def test_a_stray_picture_is_refused_by_name(tmp_path, names, said):
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=said):
        list_images(tmp_path)


def test_a_picture_that_cannot_be_looked_at_is_no_missing_frame(tmp_path):
    touch(tmp_path, "0.png", "2.png")
    (tmp_path / "1.png").symlink_to("gone.png")
    with pytest.raises(InputError, match=r"1\.png is a link to nothing; copy the picture again"):
        list_images(tmp_path)
    (tmp_path / "1.png").unlink()
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1\.png is a named pipe"):
        list_images(tmp_path)


@pytest.mark.parametrize(
    ("names", "inner"),
    [
        (["0.png", "sub/0.png"], "."),
        (["frames/0.png", "notes.txt"], "frames"),
        (["frames/0.png", ".hidden/0.png", "empty/x.txt", "__MACOSX/._0.png"], "frames"),
        (["frames/0.exr"], "frames"),
        (["frames/0.png", "raw/0.exr"], "frames"),
        (["poster.psd", "frames/0.png"], "frames"),
        (["notes.txt"], "."),
        (["a/b/0.png"], "."),
    ],
)
def test_frames_one_folder_deeper_are_found(tmp_path, names, inner):
    touch(tmp_path, *names)
    assert frame_folder(tmp_path) == tmp_path / inner


def test_frames_of_a_nested_folder_are_listed(tmp_path):
    touch(tmp_path, "frames/1.png", "frames/0.png")
    assert list_frames(tmp_path) == (tmp_path / "frames" / "0.png", tmp_path / "frames" / "1.png")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["left/0.png", "right/0.png"], "holds no pictures itself, but 2 folders of pictures: left, right; expected"),
        (["0.exr", "1.exr"], r"found no frames, expected .*it holds 2 files like 0\.exr: OpenEXR \(\.exr\) is not"),
        (["frames/0.dng"], r"it holds 1 files like 0\.dng: camera raw .* convert to 16-bit PNG or TIFF"),
        (["shot.r3d"], r"like shot\.r3d: RED raw \(\.r3d\) is not supported, convert to ProRes or H\.264"),
        (["notes.txt"], r"found no frames, expected files ending in \.jpg"),
        (
            ["clip.mp4", "notes.txt"],
            r"found no frames, expected .*; it holds the video clip\.mp4: give that file itself",
        ),
        (["0.gif", "1.gif"], r"found no frames, expected .*; it holds 2 files like 0\.gif: convert them to PNG"),
        (["thumb.jpg", "frames/0.png", "frames/1.png"], r"holds the picture thumb\.jpg and, in frames, 2 pictures; ex"),
    ],
)
def test_folders_without_frames_say_what_they_hold(tmp_path, names, said):
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=said):
        list_frames(tmp_path)


def test_a_folders_reading_is_that_of_all_its_frames(tmp_path):
    for index, profile in enumerate((None, ADOBE, matrix_profile(DISPLAY_P3, 2.2, "P3"), ADOBE)):
        Image.new("RGB", (2, 2), "red").save(tmp_path / f"{index}.png", **({"icc_profile": profile} if profile else {}))
    assert folder_reading(tmp_path) == {"icc": ["Adobe-like", "P3"]}
    (tmp_path / "2.png").unlink()
    assert folder_reading(tmp_path) == {"icc": "Adobe-like"}
    Image.new("LA", (2, 2), (3, 3)).save(tmp_path / "4.png")
    assert folder_reading(tmp_path) == {"alpha": True, "icc": "Adobe-like"}


def test_pictures_that_once_did_not_count_are_in_the_reading(tmp_path):
    """Results that lack their frames must not pass for those of the whole folder."""
    for name in ("0.jpg", "1.jfif"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, format="JPEG")
    assert folder_reading(tmp_path) == {"more_kinds": True}
    (tmp_path / "0.jpg").rename(tmp_path / "0.jpe")
    assert folder_reading(tmp_path) == {}
