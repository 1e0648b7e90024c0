"""Clips that lack a part: what of them is paired with masks that were made for the whole, and what is missing."""

from fractions import Fraction

import av
import numpy as np
import pytest
from mask_inputs import numbered
from video_inputs import save_frames, shown_times, textured_frames, write_video

from lib.errors import InputError
from lib.mask_tracks import read_mask_track
from lib.settings import InputRules, Processing
from lib.video.clip import probe_clip, read_clip
from lib.video.listing import list_frames
from lib.video.pairing import pair_pictures, pair_video
from lib.video.reading import look_at_input
from lib.video.timeline import Timeline

CUT = Timeline(3, Fraction(24), cut=True)
X264 = {"g": "6", "preset": "veryfast"}
AVI_TIMES = {
    "none": [0, 1, 2, 3, 4, 5],
    "one": [0, 2, 3, 4, 5, 6],
    "two": [0, 1, 3, 4, 6, 7],
}  # by how many were dropped


def counted(count, height=96, width=128):
    """Masks that tell their number by their height."""
    masks = np.zeros((count, height, width), bool)
    for index in range(count):
        masks[index, : index + 1, :5] = True
    return masks.astype(np.uint8) * 255


@pytest.mark.parametrize(
    ("stems", "masks"),
    [
        (numbered(0, 5), (0, 1, 2)),
        (numbered(1, 6), (0, 1, 2)),
        (("0", "2", "4", "5"), (0, 0, 1)),
        (numbered(2, 5), (None, None, 0)),
    ],
)
def test_masks_of_the_frames_that_a_cut_clip_lacks_are_left_out(tmp_path, stems, masks):
    assert pair_pictures(tmp_path, stems, CUT).masks == masks
    with pytest.raises(InputError, match="none of them is frame"):
        pair_pictures(tmp_path, stems, Timeline(3, Fraction(24)))


def test_mask_videos_may_be_longer_than_a_cut_clip(tmp_path):
    assert pair_video(tmp_path, Timeline(6, Fraction(24)), CUT).masks == (0, 1, 2)
    for masks, clip in ((Timeline(6, Fraction(24)), Timeline(3, Fraction(24))), (Timeline(9, Fraction(30)), CUT)):
        with pytest.raises(InputError, match="expected as many frames"):
            pair_video(tmp_path, masks, clip)


@pytest.mark.parametrize("share", [0.97, 0.6])
def test_damage_that_is_passed_over_needs_no_other_masks(tmp_path, share):
    path = write_video(tmp_path / "a.mkv", textured_frames(24), options=X264)
    masks = save_frames(tmp_path / "masks", counted(24))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    processing, rules = Processing(), InputRules(accept_damaged=True)
    (note,) = look_at_input(path, masks, processing, rules).notes
    assert "its headers promise" in note.text
    clip = read_clip(path, accept_damaged=True)
    track = read_mask_track(clip.info, masks, processing, clip.positions)
    assert [int(mask[:, 0].sum()) for mask in track.masks] == list(range(1, len(clip.frames) + 1))
    assert len(clip.frames) < 24


def test_a_hole_in_the_middle_of_a_matroska_file_is_no_uneven_clip(tmp_path):
    path = write_video(tmp_path / "a.mkv", textured_frames(48), options=X264)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged, of \d\d frames \d\d are missing"):
        read_clip(path)


def test_the_last_of_uneven_frames_may_last_long(tmp_path):
    times = [0, 40, 80, 200, 240, 400]
    path = write_video(tmp_path / "a.mkv", textured_frames(6), times=times)
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88") + 3  # the stored duration
    path.write_bytes(content[:at] + np.array([9000.0]).astype(">f8").tobytes() + content[at + 8 :])
    listing = list_frames(path)
    assert (listing.missing, listing.timeline.cut) == (0, False)
    assert read_clip(path).notes == ()


@pytest.mark.parametrize("dropped", AVI_TIMES)
def test_dropped_frames_of_an_avi_leave_a_gap(tmp_path, dropped):
    """AVI tells times in whole frames: one frame more or less is no rounding."""
    times = AVI_TIMES[dropped]
    path = tmp_path / "a.avi"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for index, pixels in zip(times, textured_frames(6), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    timeline = probe_clip(path).timeline
    assert [timeline.time(index) for index in range(6)] == [Fraction(time, 25) for time in times] == shown_times(path)
    assert (timeline.times is None) == (dropped == "none")
    assert read_clip(path).notes == ()


def test_the_first_frames_times_are_counted_back_where_a_file_does_not_tell_them(tmp_path):
    frames = textured_frames(8)
    options = {"avoid_negative_ts": "disabled"}
    path = write_video(
        tmp_path / "a.mkv",
        frames,
        times=[40 * n - 80 for n in range(8)],
        options={"bf": "3"},
        container_options=options,
    )
    with av.open(path) as container:
        assert [frame.pts for frame in container.decode(video=0)][:2] == [None, None]
    assert probe_clip(path).timeline == Timeline(8, Fraction(25), last=probe_clip(path).timeline.last)


def test_the_last_frame_after_a_pause_is_shown_as_long_as_most(tmp_path):
    times = [0, 40, 80, 3080, 3120, 3160]
    path = write_video(tmp_path / "a.ts", textured_frames(6), times=times)
    assert probe_clip(path).timeline.last == Fraction(1, 25)
