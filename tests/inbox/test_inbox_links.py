"""Links in an inbox: those that stay in it, and those by which a sender would have published what is not theirs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from inbox_clock import Clock

from lib.inbox.listing import list_files
from lib.inbox.scan import scan_inbox
from lib.settings.inbox import Inbox

REASON = " is a link that leads out of the inbox; put a copy in its place, or allow it with --follow_links"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """What the sender could not read."""
    folder = tmp_path / "private"
    for name in ("video", "mask"):
        (folder / name).mkdir(parents=True)
        (folder / name / "00000.png").write_bytes(b"content")
    (folder / "video.mp4").write_bytes(b"content")
    return folder


def _whole_folder(bear: Path, private: Path) -> str:
    shutil.rmtree(bear)
    bear.symlink_to(private)
    return "bear"


def _the_video(bear: Path, private: Path) -> str:
    (bear / "video.mp4").unlink()
    (bear / "video.mp4").symlink_to(private / "video.mp4")
    return "video.mp4"


def _a_folder_of_masks(bear: Path, private: Path) -> str:
    shutil.rmtree(bear / "mask")
    (bear / "mask").symlink_to(private / "mask")
    return "mask"


def _one_picture_deep_down(bear: Path, private: Path) -> str:
    (bear / "mask" / "deep" / "down").mkdir(parents=True)
    (bear / "mask" / "deep" / "down" / "00001.png").symlink_to(private / "mask" / "00000.png")
    return "mask/deep/down/00001.png"


def _a_relative_link(bear: Path, _private: Path) -> str:
    (bear / "mask" / "00001.png").symlink_to("../../../private/mask/00000.png")
    return "mask/00001.png"


def _a_link_to_a_link(bear: Path, private: Path) -> str:
    (bear.parent / ".hidden").symlink_to(private)
    (bear / "gt").symlink_to("../.hidden/video")
    return "gt"


def _through_a_folder_that_is_a_link_inside(bear: Path, private: Path) -> str:
    (bear.parent / "store").mkdir()
    (bear.parent / "store" / "00001.png").symlink_to(private / "mask" / "00000.png")
    (bear / "mask" / "more").symlink_to("../../store")
    return "mask/more/00001.png"


def _to_nothing_yet(bear: Path, private: Path) -> str:
    (bear / "mask" / "00001.png").symlink_to(private / "not there")
    return "mask/00001.png"


def _to_a_folder_whose_name_begins_like_the_inbox(bear: Path, _private: Path) -> str:
    beside = bear.parent.with_name(bear.parent.name + "-2")
    beside.mkdir()
    (beside / "a.png").write_bytes(b"content")
    (bear / "mask" / "00001.png").symlink_to(beside / "a.png")
    return "mask/00001.png"


def _to_the_outbox(bear: Path, _private: Path) -> str:
    outbox = bear.parent.with_name("outbox")
    (outbox / "a.png").write_bytes(b"content")
    (bear / "mask" / "00001.png").symlink_to(outbox / "a.png")
    return "mask/00001.png"


@pytest.mark.parametrize(
    "lay",
    [
        _whole_folder,
        _the_video,
        _a_folder_of_masks,
        _one_picture_deep_down,
        _a_relative_link,
        _a_link_to_a_link,
        _through_a_folder_that_is_a_link_inside,
        _to_nothing_yet,
        _to_a_folder_whose_name_begins_like_the_inbox,
        _to_the_outbox,
    ],
)
def test_a_video_with_a_link_out_of_the_inbox_is_left_alone(box, private, lay: Callable[[Path, Path], str]):
    box.add("bear")
    box.add("bus")
    link = lay(box.inbox / "bear", private)
    assert box.left()["bear"] == ("linked outside", link + REASON)
    assert "bus" in box.ready()
    assert "bear" not in box.ready()
    assert "linked outside" in box.scan().text()


def test_what_lies_outside_is_not_even_listed(box, private, monkeypatch):
    box.add("bear")
    _a_folder_of_masks(box.inbox / "bear", private)
    (box.inbox / "bus").symlink_to(private)
    listed: list[str] = []
    for module, name in ((os, "scandir"), (os, "listdir")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda path=".", real=real: (listed.append(os.path.realpath(path)), real(path))[1]
        )
    assert sorted(box.left()) == ["bear", "bus"]
    assert str(box.inbox) in listed
    assert [path for path in listed if path.startswith(str(private))] == []


def test_links_that_stay_in_the_inbox_are_followed(box):
    box.write("store/a clip.mp4")
    box.write("store/masks/00000.png")
    (box.inbox / "bear").mkdir()
    (box.inbox / "bear" / "video.mp4").symlink_to(box.inbox / "store" / "a clip.mp4")
    (box.inbox / "bear" / "mask").symlink_to("../store/masks")
    (box.inbox / "bus").symlink_to("bear")
    (box.inbox / "bear" / "again").symlink_to(".")
    assert box.ready() == {"bear": "new", "bus": "new"}


def test_the_inbox_itself_may_be_a_link(box, private, tmp_path):
    box.add("bear")
    (box.inbox / "bear" / "gt.mp4").symlink_to(box.inbox / "bear" / "video.mp4")
    (box.inbox / "bus").symlink_to(private)
    link = tmp_path / "link to the inbox"
    link.symlink_to(box.inbox)
    clock = Clock(ahead=3600)
    settings = Inbox(inbox=link, outbox=box.outbox)
    scan = scan_inbox(settings, box.ledger, now=clock.now, sleep=clock.sleep)
    assert [item.name for item in scan.ready] == ["bear"]
    assert [(item.name, item.kind) for item in scan.left] == [("bus", "linked outside")]


def test_with_leave_links_are_followed_wherever_they_lead(box, private):
    shutil.move(private / "video", private / "spare")
    (box.inbox / "bear").symlink_to(private)
    (box.inbox / "bus").mkdir()
    for item in ("video.mp4", "mask"):
        (box.inbox / "bus" / item).symlink_to(private / item)
    (private / "mask" / "again").symlink_to(private)
    assert sorted(box.ready(follow_links=True)) == ["bear", "bus"]
    assert box.ready() == {}


@pytest.mark.parametrize("seconds_old", [3600, 20], ids=["settled", "settles meanwhile"])
def test_a_link_that_comes_while_others_settle_is_noticed_when_videos_are_taken(box, private, seconds_old):
    """The video is known to be whole, and then another is waited for."""
    for name in ("bear", "bus"):
        box.add(name)
    newest = list_files(box.inbox / "bear").newest / 1e9
    clock = Clock(ahead=0)
    clock.time = newest + 20
    if seconds_old == 3600:
        clock.time = newest + 70
        os.utime(box.inbox / "bus" / "video.mp4", (clock.time - 10, clock.time - 10))
    clock.meanwhile = lambda: _the_video(box.inbox / "bear", private)
    scan = box.scan(clock)
    assert clock.slept > 0
    assert [item.name for item in scan.ready] == ["bus"]
    assert [(item.name, item.kind) for item in scan.left] == [("bear", "linked outside")]


def test_a_video_that_was_taken_with_leave_is_left_alone_without(box, private):
    (box.inbox / "bear").mkdir()
    for item in ("video.mp4", "mask"):
        (box.inbox / "bear" / item).symlink_to(private / item)
    scan = box.scan(follow_links=True)
    box.ledger.take({"bear": scan.ready[0].identity}, "a run")
    assert list(box.left()) == ["bear"]
    assert box.ready(follow_links=True) == {"bear": "the run that had taken it was ended"}
