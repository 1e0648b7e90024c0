"""Roots of videos and masks, and what a scan says of them."""

from video_inputs import moving_frames, save_frames

FRAME = moving_frames(1, 8, 8)


def fill(root, *names):
    for name in names:
        save_frames(root / name, FRAME)


def names(scan):
    return [video.name for video in scan.videos]


def reasons(scan):
    return {item.name: item.reason for item in scan.unmatched}


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def fill_inbox(root, **folders):
    """`bear=["video.mp4", "mask/"]`: files, and folders with one picture."""
    for name, items in folders.items():
        (root / name).mkdir()
        for item in items:
            if item.endswith("/"):
                save_frames(root / name / item, FRAME)
            else:
                (root / name / item).write_bytes(b"x")
