"""When frames are shown: uneven times, rounding that is none, and results that keep them."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from video_inputs import (
    box_masks,
    moving_frames,
    save_frames,
    shown_times,
    textured_frames,
    write_video,
    write_with_audio,
)

from lib.removers.clip_removal import remove_from_clip
from lib.removers.propagation import PropagationRemover
from lib.settings import Processing
from lib.video.clip import probe_clip, read_clip
from lib.video.datasets import Video
from lib.video.presentation import Presentation
from lib.video.timeline import Timeline
from lib.video.writer import Carried, write_clip, write_lossless

UNEVEN = (0, 40, 107, 120, 260, 300, 333, 500)  # milliseconds
DROPPED = (0, 40, 80, 160, 200, 240, 360, 400)  # 25 frames a second, some of them left out
VARIABLE = {  # suffix -> codec
    ".mkv": "libx264",
    ".mp4": "libx264",
    ".mov": "mpeg4",
    ".webm": "libvpx-vp9",
    ".flv": "libx264",
    ".ts": "libx264",
    ".nut": "mpeg4",
    ".wmv": "wmv2",
    ".avi": "mpeg4",
}
STEADY = [
    (".mkv", "libx264", Fraction(24000, 1001)),
    (".mkv", "mpeg4", Fraction(30000, 1001)),
    (".webm", "libvpx", Fraction(24000, 1001)),
    (".webm", "libvpx-vp9", Fraction(60000, 1001)),
    (".flv", "libx264", Fraction(30)),
    (".ts", "libx264", Fraction(24000, 1001)),
    (".ts", "mpeg1video", Fraction(25)),
    (".ts", "mpeg1video", Fraction(30000, 1001)),
    (".mpg", "mpeg2video", Fraction(30000, 1001)),
    (".wmv", "wmv2", Fraction(30)),
    (".mp4", "libx264", Fraction(60000, 1001)),
    (".avi", "mpeg4", Fraction(24000, 1001)),
]


def seconds(milliseconds):
    return tuple(Fraction(time, 1000) for time in milliseconds)


def from_zero(times):
    return tuple(time - times[0] for time in times)


def last_duration(path):
    """Seconds that the frame which is shown last lasts, by its packet."""
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        last = max(packets, key=lambda packet: packet.pts)
        return last.duration * last.time_base


@pytest.mark.parametrize("times", [UNEVEN, DROPPED])
@pytest.mark.parametrize("suffix", VARIABLE)
def test_uneven_times_are_read(tmp_path, suffix, times):
    path = write_video(tmp_path / f"a{suffix}", moving_frames(8), VARIABLE[suffix], times=times)
    clip = read_clip(path)
    timeline = clip.info.timeline
    assert timeline.times == seconds(times)
    assert (timeline.count, len(clip.frames), tuple(clip.positions)) == (8, 8, tuple(range(8)))
    assert abs(timeline.fps / (7 / Fraction(times[-1], 1000)) - 1) < Fraction(1, 20)
    assert clip.notes == ()


@pytest.mark.parametrize(("suffix", "codec", "rate"), STEADY)
def test_rounded_times_are_no_uneven_times(tmp_path, suffix, codec, rate):
    info = probe_clip(write_video(tmp_path / f"a{suffix}", textured_frames(40), codec, rate=rate))
    assert info.timeline.times is None
    assert info.frame_count == 40
    assert abs(info.fps - rate) < Fraction(1, 500)


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
def test_frames_that_are_never_shown_do_not_count(tmp_path, suffix):
    """VP8 has frames that only others refer to: a bit in the first byte says that they are not shown."""
    whole, path = write_video(tmp_path / "whole.webm", textured_frames(40), "libvpx"), tmp_path / f"a{suffix}"
    with av.open(whole) as source, av.open(path, "w") as result:
        stream = result.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(item for item in source.demux(video=0) if item.size):
            content = bytes(packet)
            copy = av.Packet(bytes([content[0] & ~16]) + content[1:] if index in (7, 20) else content)
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            result.mux(copy)
    clip = read_clip(path)
    kept = [index for index in range(40) if index not in (7, 20)]
    assert (len(clip.frames), clip.info.frame_count, clip.notes) == (38, 38, ())
    assert clip.info.timeline.times == tuple(Fraction(index, 25) for index in kept)


def test_empty_packets_of_an_avi_are_no_frames(tmp_path):
    """Where nothing moved, capture programs leave a slot empty: the frame before is shown on."""
    path = write_video(tmp_path / "a.avi", moving_frames(8), "mpeg4", times=DROPPED)
    assert path.read_bytes().count(b"00dc\0\0\0\0") > 100
    clip = read_clip(path)
    assert len(clip.frames) == clip.info.frame_count == 8
    assert clip.info.timeline.times == seconds(DROPPED)
    assert clip.notes == ()


@pytest.mark.parametrize("times", [UNEVEN, DROPPED, (0, 1, 2, 1000, 1001, 5000, 5001, 9000)])
def test_results_are_shown_when_their_source_is(tmp_path, times):
    frames = moving_frames(8)
    shown = Presentation(Fraction(14), seconds(times), Fraction(1, 8))
    assert write_clip(tmp_path / "a.mp4", frames, shown) == ()
    assert write_lossless(tmp_path / "a.mkv", frames, shown) == ()
    for name in ("a.mp4", "a.mkv"):
        assert from_zero(shown_times(tmp_path / name)) == seconds(times)
        assert last_duration(tmp_path / name) == Fraction(1, 8)
        timeline = probe_clip(tmp_path / name).timeline
        assert (timeline.times, timeline.last) == (seconds(times), Fraction(1, 8))


def test_times_finer_than_milliseconds_are_exact_in_mp4(tmp_path):
    times = tuple(Fraction(time, 90000) for time in (0, 3003, 6006, 12012, 15016, 18019))
    shown = Presentation(Fraction(30000, 1001), times, Fraction(3003, 90000))
    write_clip(tmp_path / "a.mp4", moving_frames(6), shown)
    write_lossless(tmp_path / "a.mkv", moving_frames(6), shown)
    assert from_zero(shown_times(tmp_path / "a.mp4")) == times
    assert last_duration(tmp_path / "a.mp4") == Fraction(3003, 90000)
    found = from_zero(shown_times(tmp_path / "a.mkv"))
    assert all(abs(time - wanted) <= Fraction(1, 2000) for time, wanted in zip(found, times, strict=True))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_removal_keeps_uneven_times_with_and_without_a_limit(tmp_path, suffix):
    source = write_video(tmp_path / f"a{suffix}", moving_frames(8), times=UNEVEN)
    save_frames(tmp_path / "masks", box_masks(8, 48, 64).astype(np.uint8) * 255)
    video = Video(name="a", video_path=source, mask_path=tmp_path / "masks")
    for limit, wanted, last in ((-1, UNEVEN, Fraction(1, 25)), (3, UNEVEN[:3], Fraction(13, 1000))):
        out = tmp_path / str(limit)
        outcome = remove_from_clip(video, out, PropagationRemover(), Processing(video_length=limit), lossless=True)
        assert not [note for note in outcome.notes if note.kind == "input" and "damaged" in note.text]
        for name in ("propagation.mp4", "propagation.mkv"):
            assert from_zero(shown_times(out / name)) == seconds(wanted)
            assert last_duration(out / name) == last


def test_uneven_times_stay_where_sound_is_joined(tmp_path):
    frames = moving_frames(8)
    sound = write_with_audio(tmp_path / "sound.mp4", frames, Fraction(25))
    shown = Presentation(Fraction(14), seconds(UNEVEN), Fraction(1, 8))
    write_clip(tmp_path / "a.mp4", frames, shown, carried=Carried(sound))
    assert from_zero(shown_times(tmp_path / "a.mp4")) == seconds(UNEVEN)
    assert probe_clip(tmp_path / "a.mp4").has_audio
    assert last_duration(tmp_path / "a.mp4") == Fraction(1, 8)


def test_a_steady_clip_is_written_with_the_bytes_of_a_rate(tmp_path):
    frames = moving_frames(5)
    steady = Presentation.of(Timeline(9, Fraction(30000, 1001)), range(5))
    assert steady.times is None
    for write, suffix in ((write_clip, ".mp4"), (write_lossless, ".mkv")):
        write(tmp_path / f"rate{suffix}", frames, Fraction(30000, 1001))
        write(tmp_path / f"shown{suffix}", frames, steady)
        assert (tmp_path / f"rate{suffix}").read_bytes() == (tmp_path / f"shown{suffix}").read_bytes()


def test_two_recordings_joined_to_one_file_go_on_in_one_clock(tmp_path):
    parts = [
        write_video(tmp_path / f"{name}.ts", textured_frames(30), "mpeg2video", options={"g": "10"}) for name in "ab"
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    info = probe_clip(joined)
    assert info.frame_count == len(read_clip(joined).frames)
    assert info.frame_count in (59, 60)  # the frame at the seam may be taken for a broken one
    assert info.timeline.times is None or max(b - a for a, b in pairwise(info.timeline.times)) <= Fraction(1, 10)


def test_presentations_of_some_of_the_frames():
    timeline = Timeline(5, Fraction(10), seconds((0, 100, 250, 300, 500)), last=Fraction(1, 4))
    assert Presentation.of(timeline, (1, 2, 4)).times == seconds((0, 150, 400))
    assert Presentation.of(timeline, (1, 2, 4)).last == Fraction(1, 4)
    assert Presentation.of(timeline, range(2)).last == Fraction(150, 1000)
    assert Presentation.of(timeline, range(2)).end(2) == Fraction(250, 1000)
    assert Presentation.of(timeline, range(5)).end(5) == Fraction(750, 1000)
    gap = Presentation.of(Timeline(4, Fraction(10)), (0, 1, 3))
    assert gap.times == seconds((0, 100, 300))
    assert [gap.duration(index, 3) for index in range(3)] == [Fraction(1, 10), Fraction(1, 5), Fraction(1, 10)]
    assert Presentation(Fraction(10)).end(3) == Fraction(3, 10)
