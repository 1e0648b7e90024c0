"""Files of every kind, good and bad, read as the reference reads them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from golden_support import make_clip
from PIL import Image
from tests_support import write_frames

from lib.errors import InputError
from lib.propainter.reference_inputs import read_frames, read_masks

FRAMES, MASKS = make_clip(5, 24, 40, 48)


def write_video(path: Path, pictures: np.ndarray, fps: int = 10) -> Path:
    """A lossy video; pictures are (T, H, W, 3) RGB."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, pictures.shape[2:0:-1])
    for picture in pictures:
        writer.write(picture[..., ::-1])
    writer.release()
    return path


@pytest.mark.parametrize(("seconds", "expected"), [(2, 21), (0.95, 10), (100, 24)])
def test_video_is_read_up_to_and_with_its_end(tmp_path, seconds, expected):
    clip = read_frames(write_video(tmp_path / "clip.mp4", FRAMES), video_length=seconds)
    assert clip.fps == 10
    assert clip.frames.shape == (expected, 40, 48, 3)
    assert np.abs(clip.frames.astype(int) - FRAMES[:expected]).mean() < 8


def test_folder_is_read_whole_in_order_of_names(tmp_path):
    clip = read_frames(write_frames(tmp_path / "clip.mp4", FRAMES), video_length=1, save_fps=25)
    assert clip.fps == 25
    assert np.array_equal(clip.frames, FRAMES)


def test_one_mask_picture_is_one_mask(tmp_path):
    Image.fromarray(MASKS[0]).save(tmp_path / "mask.PNG")
    assert np.array_equal(read_masks(tmp_path / "mask.PNG", 24), MASKS[:1])


def test_folder_of_masks_is_read_whole(tmp_path):
    assert np.array_equal(read_masks(write_frames(tmp_path / "masks", MASKS), 3), MASKS)


def test_mask_video_is_cut_to_the_clip_and_read_with_red_and_blue_exchanged(tmp_path):
    blue = np.zeros((6, 40, 48, 3), np.uint8)
    blue[..., 2] = 255
    masks = read_masks(write_video(tmp_path / "masks.avi", blue), 4)
    assert len(masks) == 4
    assert abs(int(masks[0][20, 20]) - round(255 * 0.299)) < 5


def test_unusable_frames_are_named(tmp_path):
    folder = write_frames(tmp_path / "clip", FRAMES[:2])
    (folder / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"notes\.txt.*not a readable picture"):
        read_frames(folder)
    (folder / "notes.txt").unlink()
    Image.fromarray(FRAMES[0][:30]).save(folder / "9.png")
    with pytest.raises(InputError, match=r"different sizes \(48x30, 48x40\)"):
        read_frames(folder)


@pytest.mark.parametrize("read", [read_frames, lambda path: read_masks(path, 5)], ids=["frames", "masks"])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.Mp4", "clip.txt", "empty"])
def test_files_that_are_none_are_named(tmp_path, read, name):
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    else:
        path.write_bytes(b"not a video")
    with pytest.raises(InputError, match=name):
        read(path)
    with pytest.raises(InputError, match=r"gone\.mp4"):
        read(tmp_path / "gone.mp4")


@pytest.mark.parametrize("name", ["broken.png", "broken.jpg"])
def test_broken_mask_picture_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(InputError, match=name):
        read_masks(tmp_path / name, 1)
