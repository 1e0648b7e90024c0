"""What scans cannot take is named with the reason and the way out; nothing of it ends a scan."""

import os
import socket
from pathlib import Path

import pytest
from dataset_inputs import fill, fill_inbox, names, reasons, touch

from lib.errors import InputError
from lib.video.datasets import scan_dataset


@pytest.fixture
def roots(tmp_path):
    videos, masks = tmp_path / "videos", tmp_path / "masks"
    videos.mkdir()
    masks.mkdir()
    return videos, masks


@pytest.mark.parametrize("suffix", [".exr", ".DPX", ".heic", ".cr2", ".psd", ".r3d", ".braw"])
@pytest.mark.parametrize("with_mask", [True, False])
def test_known_kinds_that_are_not_read_are_named_with_the_way_out(roots, suffix, with_mask):
    videos, masks = roots
    fill(videos, "a")
    fill(masks, "a", *(["b"] if with_mask else []))
    touch(videos, f"b{suffix}")
    scan = scan_dataset("custom", videos, masks)
    assert names(scan) == ["a"]
    assert list(reasons(scan)) == ["b"]
    assert f"b{suffix}: " in reasons(scan)["b"]
    assert f"({suffix.lower()}) is not supported, convert to " in reasons(scan)["b"]


@pytest.mark.parametrize("dataset", ["davis", "custom"])
def test_folders_of_frames_that_are_not_read_are_named_at_the_scan(roots, dataset):
    videos, masks = roots
    fill(videos, "a", "c")
    touch(videos, "b/0.exr", "b/1.exr", "b/notes.txt")
    touch(masks, "c/0.dpx")
    fill(masks, "a", "b")
    scan = scan_dataset(dataset, videos, masks)
    assert names(scan) == ["a"]
    said = "2 pictures that cannot be read, 0.exr: OpenEXR (.exr) is not supported, convert to 16-bit PNG or TIFF"
    assert reasons(scan)["b"] == f"the video cannot be read: b holds {said}"
    assert "the mask cannot be read: c holds 1 pictures" in reasons(scan)["c"]


def test_a_root_of_files_that_are_not_read_says_so(roots):
    videos, masks = roots
    touch(videos, "a.r3d", "b.r3d")
    for dataset in ("davis", "custom"):
        with pytest.raises(InputError, match=r"it holds 2 files like a\.r3d: RED raw .*convert to ProRes or H\.264"):
            scan_dataset(dataset, videos, masks)


def test_what_could_be_meant_is_named(roots):
    videos, masks = roots
    fill(videos, "a", "b")
    touch(videos, "c.xyz", "d.png", "lone.xyz", "notes.txt")
    fill(masks, "a", "c", "d", "gone")
    touch(masks, "b.exr")
    scan = scan_dataset("custom", videos, masks)
    assert names(scan) == ["a"]
    said = reasons(scan)
    assert sorted(said) == ["b", "c", "d", "gone"]
    assert said["b"].startswith("has no mask: b.exr: OpenEXR")
    assert said["c"].startswith(
        "has a mask but no video: c.xyz is of an unknown kind '.xyz', expected a folder or a file"
    )
    assert said["d"].startswith("has a mask but no video: d.png is of an unknown kind '.png'")
    assert said["gone"] == "has a mask but no video"


def test_davis_says_which_data_set_takes_a_file(roots):
    videos, masks = roots
    fill(videos, "a")
    touch(videos, "b.mp4")
    fill(masks, "a", "b")
    said = "has a mask but no video: b.mp4 is a file, which only the data set 'custom' takes"
    assert reasons(scan_dataset("davis", videos, masks)) == {"b": said}


def test_a_raw_file_beside_its_video_is_no_second_video(roots):
    videos, masks = roots
    touch(videos, "a.mp4", "a.r3d")
    fill(masks, "a")
    scan = scan_dataset("custom", videos, masks)
    assert (names(scan), scan.unmatched) == (["a"], ())


@pytest.mark.parametrize("dataset", ["davis", "custom"])
def test_nothing_but_files_and_folders_is_opened(roots, dataset):
    videos, masks = roots
    fill(videos, "a")
    fill(masks, "a", "pipe", "loop", "gone", "plug")
    os.mkfifo(videos / "pipe.mp4")
    (videos / "loop").symlink_to("loop")
    (videos / "gone.mp4").symlink_to("nothing.mp4")
    with socket.socket(socket.AF_UNIX) as plug:
        here = Path.cwd()
        os.chdir(videos)  # a socket's path must be short
        plug.bind("plug.mov")
        os.chdir(here)
    (videos / "null").symlink_to("/dev/null")
    scan = scan_dataset(dataset, videos, masks)
    assert names(scan) == ["a"]
    said = {name: reason.removeprefix("has a mask but no video: ") for name, reason in reasons(scan).items()}
    assert said == {
        "pipe": "pipe.mp4 is a named pipe, expected a file or a folder",
        "loop": "loop is a link that leads back to itself",
        "gone": "gone.mp4 is a link to nothing",
        "plug": "plug.mov is a socket, expected a file or a folder",
        "null": "null is a device, expected a file or a folder",
    }


def test_nothing_special_in_a_folder_is_opened(roots):
    videos, masks = roots
    for root in roots:
        fill(root, "a", "b")
    os.mkfifo(videos / "b" / "control")
    scan = scan_dataset("davis", videos, masks)
    assert names(scan) == ["a"]
    assert "b holds a special file: control is a named pipe, expected a file" in reasons(scan)["b"]


def test_masks_that_cannot_be_opened_are_named(roots):
    videos, masks = roots
    fill(videos, "a", "b")
    fill(masks, "a")
    os.mkfifo(masks / "b.png")
    scan = scan_dataset("custom", videos, masks)
    assert reasons(scan) == {"b": "has no mask: b.png is a named pipe, expected a file or a folder"}


@pytest.mark.parametrize("dataset", ["davis", "custom"])
@pytest.mark.parametrize("call", ["stat", "scandir"])
def test_what_is_not_for_us_costs_only_itself(roots, monkeypatch, dataset, call):
    videos, masks = roots
    fill(videos, "a", "b")
    fill(masks, "a", "b")
    real = getattr(os, call)

    def refuse(path, *arguments, **options):
        if str(path) == str(videos / "a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, call, refuse)
    scan = scan_dataset(dataset, videos, masks)
    assert names(scan) == ["b"]
    assert list(reasons(scan)) == ["a"]
    assert "Permission denied" in reasons(scan)["a"]


def test_names_that_are_no_utf8_are_named_and_printed(roots):
    videos, masks = roots
    odd = os.fsdecode(b"b\xe4r")
    for root in roots:
        (root / odd).mkdir()
        fill(root, "a")
    touch(videos, f"{odd}2.r3d", f"{odd}.mp4")
    scan = scan_dataset("custom", videos, masks)
    assert names(scan) == ["a"]
    assert reasons(scan)["b\\xe4r"] == "the name is not valid UTF-8; rename it"
    for name, reason in reasons(scan).items():
        assert (name + reason).encode()


def test_names_that_are_too_long_are_named_before_any_work(roots):
    videos, masks = roots
    for root in roots:
        fill(root, "a", "b" * 229, "c" * 230)
    scan = scan_dataset("davis", videos, masks)
    assert names(scan) == ["a", "b" * 229]
    assert "the name is too long: 230 bytes, expected 229 at most" in reasons(scan)["c" * 230]


def test_names_that_differ_in_case_or_normalisation_are_different_videos(roots):
    videos, masks = roots
    for root in roots:
        fill(root, "a", "A", "\u00fc", "u\u0308")
    assert names(scan_dataset("davis", videos, masks)) == ["A", "a", "u\u0308", "\u00fc"]


def test_names_that_only_look_alike_are_told(roots):
    videos, masks = roots
    fill(videos, "caf\u00e9", "bear", "alone")
    fill(masks, "cafe\u0301", "Bear")
    scan = scan_dataset("davis", videos, masks)
    differ = "differ in case or in how accents are stored: rename one"
    assert {item.name: item.reason for item in scan.unmatched} == {
        "caf\u00e9": f"has no mask; the names of it and of the mask cafe\u0301 {differ}",
        "cafe\u0301": f"has a mask but no video; the names of it and of the video caf\u00e9 {differ}",
        "bear": f"has no mask; the names of it and of the mask Bear {differ}",
        "Bear": f"has a mask but no video; the names of it and of the video bear {differ}",
        "alone": "has no mask",
    }


def test_names_that_control_a_terminal_are_told_in_one_line(roots):
    videos, masks = roots
    for root in roots:
        fill(root, "two\nlines", "red \x1b[31m")
    assert [item.name for item in scan_dataset("davis", videos, masks).unmatched] == ["red \\x1b[31m", "two\\nlines"]


@pytest.mark.parametrize("dataset", ["davis", "custom"])
@pytest.mark.parametrize("inner", ["frames", "images", "0001"])
@pytest.mark.parametrize("count", [1, 2])
def test_videos_may_keep_their_frames_a_folder_deeper(roots, dataset, inner, count):
    videos, masks = roots
    found = ["bear", "bus"][:count]
    for name in found:
        fill(videos / name, inner)
        fill(masks, name)
    scan = scan_dataset(dataset, videos, masks)
    assert names(scan) == found
    assert [video.video_path for video in scan.videos] == [videos / name for name in found]


def test_frames_a_folder_deeper_beside_plain_ones_and_mirrored_masks(roots):
    videos, masks = roots
    fill(videos, "bear", "bus/frames")
    fill(masks, "bear", "bus/frames")
    assert names(scan_dataset("davis", videos, masks)) == ["bear", "bus"]


def test_an_inbox_says_what_it_cannot_take(tmp_path):
    fill_inbox(
        tmp_path,
        ant=["video.r3d", "mask/"],
        bee=["video.xyz", "mask/"],
        cat=["video.ts", "mask.tif"],
        dog=["video.mp4", "mask.exr"],
        elk=["video.braw"],
        fox=["video.mp4", "video.r3d", "mask/"],
    )
    (tmp_path / "gnu").mkdir()
    os.mkfifo(tmp_path / "gnu" / "video.mp4")
    scan = scan_dataset("inbox", tmp_path, tmp_path)
    assert names(scan) == ["cat", "fox"]
    said = reasons(scan)
    assert said["ant"] == "video.r3d: RED raw (.r3d) is not supported, convert to ProRes or H.264"
    assert said["bee"].startswith("video.xyz is of an unknown kind '.xyz'")
    assert said["dog"].startswith("has no mask: mask.exr: OpenEXR (.exr) is not supported")
    assert said["elk"].startswith("video.braw: Blackmagic raw")
    assert said["gnu"] == "video.mp4 is a named pipe, expected a file or a folder"
