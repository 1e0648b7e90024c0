"""Which files of an inbox count as videos and masks, and how others are named."""

import os

import pytest

from lib.inbox.listing import is_partial, list_files


@pytest.mark.parametrize(
    ("video", "mask"), [("video.ts", "mask.tif"), ("Video.M2TS", "mask.webp"), ("video.gif", "mask.mkv")]
)
def test_all_kinds_that_are_read_are_taken(box, video, mask):
    box.write(f"bear/{video}")
    box.write(f"bear/{mask}")
    assert box.ready() == {"bear": "new"}


def test_frames_a_folder_deeper_are_taken(box):
    box.write("bear/video/frames/00000.png")
    box.write("bear/mask.png")
    assert box.ready() == {"bear": "new"}


def test_what_cannot_be_read_is_named(box):
    box.write("ant/video.r3d")
    box.write("ant/mask.png")
    box.write("bee/video/0.exr")
    box.write("bee/mask.png")
    box.write("cow.braw")
    os.mkfifo(box.inbox / "dog.mp4")
    (box.inbox / "elk").symlink_to("elk")
    left = box.left()
    assert {kind for kind, _ in left.values()} == {"incomplete"}
    said = {name: reason for name, (_, reason) in left.items()}
    assert said["ant"] == "video.r3d: RED raw (.r3d) is not supported, convert to ProRes or H.264"
    assert "video holds 1 pictures that cannot be read, 0.exr: OpenEXR" in said["bee"]
    assert said["cow.braw"].startswith("is a file; expected a folder for each video")
    assert said["dog.mp4"] == "dog.mp4 is a named pipe, expected a file or a folder"
    assert said["elk"] == "elk is a link that leads back to itself"


def test_names_that_are_no_utf8_and_too_long_ones_are_left(box):
    box.add("a" * 230)
    box.add(os.fsdecode(b"b\xe4r"))
    box.write(os.fsdecode(b"dog/mask/\xe4.png"))
    box.write("dog/video.mp4")
    scan = box.scan()
    assert [item.name for item in scan.ready] == ["dog"]
    assert {item.name: item.reason.split(";")[0] for item in scan.left} == {
        "a" * 230: "the name is too long: 230 bytes, expected 229 at most, as files are named after it",
        "b\\xe4r": "the name is not valid UTF-8",
    }


@pytest.mark.parametrize("name", [".video.m2ts.Ab12Cd", ".mask.tiff.q9XyZ0", ".shot.r3d.q9XyZ0"])
def test_half_copies_of_all_kinds_are_known(name):
    assert is_partial(name)
    assert not is_partial(".notes.txt.Ab12Cd")


@pytest.mark.parametrize("name", ["video.ts", "mask.webp", "video.r3d"])
def test_empty_files_of_all_kinds_are_seen(box, name):
    box.write(f"bear/{name}", b"")
    assert list_files(box.inbox / "bear").empty == name
