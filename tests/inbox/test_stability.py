"""What of an inbox is whole, and what is still being copied."""

import threading
import time

import pytest
from inbox_clock import Clock

from lib.errors import InputError
from lib.inbox.ledger import Ledger
from lib.inbox.listing import is_partial, list_files
from lib.inbox.scan import scan_inbox
from lib.settings.inbox import Inbox


def test_what_has_settled_is_ready_at_once(box):
    box.add("bear")
    clock = Clock(ahead=61)
    assert [item.name for item in box.scan(clock).ready] == ["bear"]
    assert clock.slept == 0


def test_what_has_just_arrived_is_waited_for(box):
    box.add("bear")
    clock = Clock(ahead=20)
    assert [item.name for item in box.scan(clock).ready] == ["bear"]
    assert clock.slept == pytest.approx(40, abs=5)


def test_what_changes_while_waiting_is_left(box):
    box.add("bear")
    box.add("bus")
    clock = Clock(ahead=20)
    clock.meanwhile = lambda: box.write("bear/video.mp4", b"more content")
    scan = box.scan(clock)
    assert [item.name for item in scan.ready] == ["bus"]
    assert [(item.name, item.kind, item.reason) for item in scan.left] == [
        ("bear", "still being copied", "changed within the last 60 seconds")
    ]


def test_a_plan_does_not_wait(box):
    box.add("bear")
    clock = Clock(ahead=20)
    assert list(box.left(clock, wait=False)) == ["bear"]
    assert clock.slept == 0


def test_modification_times_that_a_copy_has_kept_do_not_make_it_old(box):
    box.add("bear")
    for path in ("bear/video.mp4", "bear/mask/00000.png", "bear/mask", "bear"):
        box.touch(path, 1_000_000_000)
    assert list(box.left(Clock(ahead=20), wait=False)) == ["bear"]


@pytest.mark.parametrize("change", ["none", "a file"])
def test_with_a_clock_that_is_ahead_two_looks_decide(box, change):
    box.add("bear")
    clock = Clock(ahead=-7200)
    if change == "a file":
        clock.meanwhile = lambda: box.write("bear/mask/00001.png")
    assert [item.name for item in box.scan(clock).ready] == (["bear"] if change == "none" else [])
    assert clock.slept == 60


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("bear/video.mp4.part", "video.mp4.part"),
        ("bear/Unconfirmed 1234.crdownload", "Unconfirmed 1234.crdownload"),
        ("bear/mask/00001.png.tmp", "mask/00001.png.tmp"),
        ("bear/.~video.mp4", ".~video.mp4"),
        ("bear/.~tmp~/video.mp4", ".~tmp~"),
        ("bear/.video.mp4.Ab12Cd", ".video.mp4.Ab12Cd"),
        ("bear/mask/.00001.png.q9XyZ0", "mask/.00001.png.q9XyZ0"),
    ],
)
def test_half_copies_are_known_by_their_names(box, path, shown):
    box.add("bear")
    box.write(path)
    kind, reason = box.left()["bear"]
    assert kind == "still being copied"
    assert reason.startswith(f"{shown} is a half copy by its name")


def test_a_folder_may_bear_such_a_name_until_it_is_whole(box):
    box.add("bear.part")
    assert box.left()["bear.part"][1].startswith("bear.part is a half copy by its name")
    (box.inbox / "bear.part").rename(box.inbox / "bear")
    assert box.ready() == {"bear": "new"}


@pytest.mark.parametrize(
    "name", ["video.mp4", ".DS_Store", ".video.mp4", "partial.mp4", ".config.backup", "a.template"]
)
def test_other_names_are_no_half_copies(name):
    assert not is_partial(name)


@pytest.mark.parametrize("path", ["bear/video.mp4", "bear/mask/00000.png"])
def test_files_without_bytes_are_not_whole(box, path):
    box.add("bear")
    box.write(path, b"")
    assert box.left()["bear"] == ("still being copied", f"{path.removeprefix('bear/')} has no bytes")


def test_incomplete_videos_say_what_is_missing(box):
    box.write("bear/video.mp4")
    box.write("bus/mask.png")
    box.write("car/notes.txt")
    box.write("dog/video.mp4")
    (box.inbox / "dog" / "mask").mkdir()
    box.add("emu\u0007")
    box.write("clip.mp4")
    box.write("README.txt")
    box.write(".hidden/video.mp4")
    assert box.left() == {
        "bear": ("incomplete", "has no mask"),
        "bus": ("incomplete", "has a mask but no video"),
        "car": ("incomplete", "holds neither video* nor mask*"),
        "clip.mp4": ("incomplete", "is a file; expected a folder for each video, with video* and mask* in it"),
        "dog": ("incomplete", "mask is an empty folder"),
        "emu\\x07": ("incomplete", "the name contains a control character; rename it"),
    }


def test_a_link_to_nothing_is_told(box):
    box.add("bear")
    (box.inbox / "bear" / "mask" / "00001.png").symlink_to("nowhere.png")
    assert box.left()["bear"][1].startswith("mask/00001.png cannot be looked at")


def test_the_oldest_go_first_and_those_that_failed_last(box):
    for name in ("new", "old", "failing"):
        box.add(name)
    listings = {name: list_files(box.inbox / name).newest for name in ("new", "old", "failing")}
    scan = box.scan()
    by_age = sorted(listings, key=lambda name: listings[name])
    assert [item.name for item in scan.ready] == by_age == ["new", "old", "failing"]
    box.ledger.take({"new": scan.ready[0].identity}, "a run")
    box.ledger.settle({}, {"new": "no hole"})
    scan = box.scan(max_videos=2)
    assert [item.name for item in scan.ready] == ["old", "failing"]
    assert [(item.name, item.kind) for item in scan.left] == [("new", "for another night")]


def test_an_empty_inbox_is_no_error_but_a_missing_one_is(box):
    assert box.scan().text() == "the inbox is empty"
    box.inbox.rmdir()
    with pytest.raises(InputError, match="expected a folder"):
        box.scan()


def test_a_copy_in_progress_is_left_until_it_is_over(box):
    """A thread writes a video piece by piece, in real time."""
    box.add("bear")
    box.write("bus/mask.png")
    settings = Inbox(inbox=box.inbox, outbox=box.outbox, settle_seconds=1.5)
    stop = threading.Event()

    def copy():
        with (box.inbox / "bus" / "video.mp4").open("wb", buffering=0) as file:
            while not stop.wait(0.05):
                file.write(b"piece")

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        while not (box.inbox / "bus" / "video.mp4").exists():
            time.sleep(0.01)
        during = scan_inbox(settings, Ledger(box.outbox))
    finally:
        stop.set()
        thread.join()
    after = scan_inbox(settings, Ledger(box.outbox))
    assert [item.name for item in during.ready] == ["bear"]
    assert [(item.name, item.kind) for item in during.left] == [("bus", "still being copied")]
    assert [item.name for item in after.ready] == ["bear", "bus"]
