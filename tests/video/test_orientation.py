"""Videos whose frames are to be turned or mirrored, as phones and cameras write them."""

from fractions import Fraction

import av
import numpy as np
import pytest
from video_inputs import box_masks, moving_frames, save_frames, write_video

from lib.removers.clip_removal import remove_from_clip
from lib.removers.propagation import PropagationRemover
from lib.settings import Processing
from lib.video.clip import first_frame, probe_clip, read_clip, read_clip_frame
from lib.video.datasets import Video
from lib.video.orientation import UPRIGHT, Orientation, orientation_of

# a, b, c, d of the display matrix, and the stored frame as players show it.
MATRICES = {
    "upright": ((1, 0, 0, 1), lambda frame: frame),
    "a quarter clockwise": ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
    "upside down": ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
    "a quarter counter-clockwise": ((0, -1, 1, 0), lambda frame: np.rot90(frame)),
    "left for right": ((-1, 0, 0, 1), np.fliplr),
    "top for bottom": ((1, 0, 0, -1), np.flipud),
    "along the diagonal": ((0, 1, 1, 0), lambda frame: frame.swapaxes(0, 1)),
    "along the other diagonal": ((0, -1, -1, 0), lambda frame: np.rot90(frame, 2).swapaxes(0, 1)),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("name", MATRICES)
def test_frames_are_read_as_players_show_them(tmp_path, name, suffix):
    matrix, shown = MATRICES[name]
    frames = moving_frames(3, 40, 64)
    path = write_video(tmp_path / f"a{suffix}", frames, "png", pixel_format="rgb24", matrix=matrix)
    expected = np.stack([shown(frame) for frame in frames])
    clip, info = read_clip(path), probe_clip(path)
    assert np.array_equal(clip.frames, expected)
    assert np.array_equal(read_clip_frame(path, 1), expected[1])
    assert (info.height, info.width) == info.size == clip.size == expected.shape[1:3]
    assert clip.notes == ()


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3), (-90, 3)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_matrices_that_ffmpeg_makes_are_read_back(tmp_path, degrees, turns, mirrored):
    frame, path = moving_frames(1, 40, 64)[0], tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.height, stream.width, stream.pix_fmt = 40, 64, "rgb24"
        stream.set_display_rotation(degrees, hflip=mirrored)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    expected = np.rot90(frame, turns)
    assert np.array_equal(read_clip(path).frames[0], np.fliplr(expected) if mirrored else expected)
    assert orientation_of(first_frame(path)).is_mirrored == mirrored


@pytest.mark.parametrize(
    ("name", "aspect"), [("upright", "4/3"), ("a quarter clockwise", "3/4"), ("top for bottom", "4/3")]
)
def test_pixels_are_turned_with_the_frame(tmp_path, name, aspect):
    path = write_video(
        tmp_path / "a.mp4", moving_frames(2), matrix=MATRICES[name][0], sample_aspect_ratio=Fraction(4, 3)
    )
    assert probe_clip(path).sample_aspect == Fraction(aspect)


def test_an_odd_angle_is_taken_as_the_nearest_quarter_turn_and_said(tmp_path):
    frame, path = moving_frames(1, 40, 64)[0], tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.height, stream.width, stream.pix_fmt = 40, 64, "rgb24"
        stream.set_display_rotation(80)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    clip = read_clip(path)
    assert np.array_equal(clip.frames[0], np.rot90(frame))
    (note,) = clip.notes
    assert "odd angle" in note.text and note.kind == "input"


def test_a_mirror_is_told_from_a_turn():
    mirrored = {
        Orientation(transposed=t, rows_flipped=r, columns_flipped=c)
        for t, r, c in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)]
    }
    turned = {
        Orientation(transposed=t, rows_flipped=r, columns_flipped=c)
        for t, r, c in [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    }
    assert [len(mirrored), len(turned)] == [4, 4]
    assert all(way.is_mirrored for way in mirrored) and not any(way.is_mirrored for way in turned)


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv420p"])
@pytest.mark.parametrize("name", ["a quarter clockwise", "left for right", "along the diagonal"])
def test_results_are_upright_and_have_no_matrix_left(tmp_path, name, pixel_format):
    frames = moving_frames(4)
    source = write_video(
        tmp_path / "a.mp4", frames, pixel_format=pixel_format, options={"crf": "1"}, matrix=MATRICES[name][0]
    )
    clip = read_clip(source)
    masks = box_masks(4, *clip.size)
    save_frames(tmp_path / "masks", masks.astype(np.uint8) * 255)
    video = Video(name="a", video_path=source, mask_path=tmp_path / "masks")
    remove_from_clip(video, tmp_path / "out", PropagationRemover(), Processing(), lossless=True)
    for suffix in (".mp4", ".mkv"):
        result = tmp_path / "out" / f"propagation{suffix}"
        assert orientation_of(first_frame(result)) == UPRIGHT
        assert first_frame(result).rotation == 0
        found = read_clip(result)
        far = np.ones(clip.size, bool)
        far[:34, :48] = False  # the masks and what is blended around them
        assert found.size == clip.size
        assert np.abs(found.frames.astype(int) - clip.frames)[:, far].mean() < 1.5
